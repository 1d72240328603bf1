//! Lines of the audit log, heads, keys and texts to redact: a line that is read is one whose hash fits, and can be read again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode_audit::{Head, Line, Refused, SealKey, redact, redact_words};
use sha2::{Digest as _, Sha256};

fuzz_target!(|bytes: &[u8]| {
    let known = Line::parse(bytes);
    if known == Err(Refused::Hash) {
        // Nobody guesses a hash: with the right one, whatever else the line says is read.
        let end = bytes.windows(9).rposition(|window| window == b",\"hash\":\"").unwrap();
        let hash = Sha256::digest(&bytes[..end]).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let whole = [&bytes[..end + 9], hash.as_bytes(), &bytes[end + 9 + 64..]].concat();
        match Line::parse(&whole) {
            Ok(line) => assert!(line.hash == hash && line.record.v == 1),
            Err(why) => assert_eq!(why, Refused::Malformed),
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for head in Head::find(text, None) {
        assert_eq!(Head::parse(&head.to_string()), Some(head));
    }
    if let Some(key) = SealKey::parse(text) {
        assert_eq!(*key.to_text(), text);
    }
    let redacted = redact(text);
    assert_eq!(redacted.is_changed, redacted.text != text);
    let (words, _) = redact_words(text.split(' '));
    assert_eq!(words.len(), text.split(' ').count());
});
