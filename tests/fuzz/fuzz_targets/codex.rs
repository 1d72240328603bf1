//! What Codex writes to its environment: whatever it is, no path climbs, and nothing stops the reader.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::codex::messages_for_fuzzing;

fuzz_target!(|bytes: &[u8]| {
    messages_for_fuzzing(bytes);
});
