//! A user's file: the block goes in and comes out, and every byte outside it stays.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::integrations::ssh_config_block::MARKERS;

fuzz_target!(|content: &[u8]| {
    let Ok(once) = MARKERS.insert(Some(content), b"Host ours\n") else { return };
    let twice = MARKERS.insert(Some(&once), b"Host ours\n").unwrap();
    assert_eq!(once, twice);
    let span = MARKERS.find(&once).unwrap().unwrap();
    let outside = [&once[..span.start], &once[span.end..]].concat();
    let had = MARKERS.find(content).unwrap();
    let expected = match had.clone() {
        Some(old) => [&content[..old.start], &content[old.end..]].concat(),
        None => content.to_vec(),
    };
    assert_eq!(outside, expected);
    if had.is_none() {
        assert_eq!(MARKERS.remove(&once).unwrap().as_deref(), Some(content));
    }
});
