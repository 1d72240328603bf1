//! The terminal filter: nothing that steers gets through, filtering twice changes nothing, long is cut.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::output::sanitize::{MAX_CHARS, is_steering, line, lines, short};

fuzz_target!(|text: &str| {
    let once = line(text).into_owned();
    assert!(!once.chars().any(|c| is_steering(c) || c.is_control()));
    assert_eq!(line(&once), once);
    assert_eq!(once.chars().count(), text.chars().count());
    let cut = short(text);
    assert!(cut.chars().count() <= MAX_CHARS && short(&cut) == cut);
    let several = lines(text);
    assert!(!several.chars().any(|c| c != '\n' && (is_steering(c) || c.is_control())));
    assert_eq!(several.matches('\n').count(), text.matches('\n').count());
    if let Some(directive) = runcode::origin::hosted::tripwire::find(text) {
        let word = directive.split(' ').next().unwrap();
        assert!(text.to_ascii_lowercase().contains(word));
    }
});
