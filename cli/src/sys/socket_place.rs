//! Whether a folder takes the sockets that ssh makes: it binds one under a name of its own, and gives it the right name with a
//! hard link. File systems that come from another machine often lack one or the other.

use std::io;
use std::path::Path;

use crate::sys::random;

/// Makes a socket in the folder as ssh would, and removes it.
#[cfg(unix)]
pub fn try_out(folder: &Path) -> io::Result<()> {
    let word = random::word();
    // No longer than the names that ssh makes: socket paths are limited in length.
    let name = |kind: char| folder.join(format!(".{kind}-{}", word.get(..8).unwrap_or_default()));
    let (first, second) = (name('s'), name('t'));
    let tried =
        std::os::unix::net::UnixListener::bind(&first).and_then(|_| std::fs::hard_link(&first, &second));
    for path in [first, second] {
        let _ = std::fs::remove_file(path);
    }
    tried
}

/// There are no such sockets.
#[cfg(windows)]
pub fn try_out(_folder: &Path) -> io::Result<()> {
    let _ = random::word;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_as_it_was_after_a_try() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        try_out(folder.path())?;
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        assert!(try_out(&folder.path().join("missing")).is_err());
        assert!(try_out(Path::new("/proc")).is_err(), "where nobody may make a file");
        Ok(())
    }
}
