//! serve.toml and the arguments of a call: whatever a tool takes, each word can stand in a command line.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::mcp::tools_for_fuzzing;
use serde_json::{Map, Value};

fuzz_target!(|text: &str| {
    // The file, and after a line with two dashes alone the arguments.
    let (file, call) = text.split_once("\n--\n").unwrap_or((text, ""));
    let arguments = serde_json::from_str::<Map<String, Value>>(call).unwrap_or_default();
    for words in tools_for_fuzzing(file, &arguments) {
        assert!(words.iter().all(|word| !word.contains('\0') && word.len() <= 131_071));
        assert!(words.iter().map(|word| word.len() + 1).sum::<usize>() <= 1 << 20);
    }
});
