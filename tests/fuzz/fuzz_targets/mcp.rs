//! What an MCP client writes: whatever it is, each line is answered once at most, and nothing ends the server.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::mcp::messages_for_fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|&byte| byte == b'\n').count();
    let answers = messages_for_fuzzing(bytes);
    assert!(answers.len() <= lines);
    for answer in answers {
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(answer.get("result").is_some() != answer.get("error").is_some());
        let id = &answer["id"];
        assert!(id.is_null() || id.is_string() || id.is_number());
    }
});
