//! Texts of approvals: what is taken for a request is exactly what one would be written as, and names files of ours alone.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode_policy::approval::{Request, is_id};

fuzz_target!(|text: &str| {
    let Some(request) = Request::parse(text) else { return };
    assert_eq!(request.text(), text);
    assert!(is_id(request.id()) && !request.id().contains(['/', '.', '\\']));
    assert_eq!(Request::parse(&format!("{text}x: y\n")), None);
});
