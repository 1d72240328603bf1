//! An archive that a workspace sent: whatever is in it, nothing appears outside the folder that it is unpacked into.
#![no_main]
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use runcode::files::unpack_for_fuzzing as unpack;

fuzz_target!(|archive: &[u8]| {
    let base = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let stage = base.path().join("stage");
    std::fs::create_dir(&stage).unwrap();
    let _ = unpack(archive, &stage);
    assert_eq!(names(base.path()), ["stage"]);
    assert_eq!(names(&stage), ["t"]);
});

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}
