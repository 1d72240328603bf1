//! What the server that `jump` started answers: whatever it is, nothing that is shown of it steers a terminal.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::mcp::jump::answers_for_fuzzing;

fuzz_target!(|bytes: &[u8]| {
    for shown in answers_for_fuzzing(bytes) {
        assert!(!shown.chars().any(runcode::output::sanitize::is_steering), "{shown:?}");
    }
});
