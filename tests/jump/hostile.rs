//! What the other side may do wrong.

use super::Jump;

#[test]
fn a_server_that_ends_early_is_told() {
    let Some(jump) = Jump::to("exits") else { return };
    let said = jump.run(&["--json"], &[]).fails_as("transport", 255);
    assert!(said.json()["message"].as_str().unwrap().ends_with("ended before it answered (status 1)"));
    assert_eq!(said.stderr, "cannot serve\n");
}

#[test]
fn lines_before_the_first_message_are_shown() {
    let Some(jump) = Jump::to("motd") else { return };
    let said = jump.run(&[], &["plain"]).succeeds();
    assert_eq!(said.text(), "done {}\n");
    assert!(said.stderr.starts_with("Welcome\u{fffd}[2J 0\nWelcome\u{fffd}[2J 1\n"), "{}", said.stderr);
    let Some(jump) = Jump::to("endless-motd") else { return };
    let said = jump.run(&["--json"], &[]).fails_as("bad_response", 255);
    assert_eq!(said.stderr.matches("Welcome").count(), 100);
}

#[test]
fn what_is_no_message_ends_it() {
    for (mode, shown) in [
        ("garbage", "not a valid message: \"oops \u{fffd}[2J\""),
        ("latin", "not a valid message: \"{"),
        ("error", "says: \"go\u{fffd} away\""),
        ("future", "version 2031-01-01"),
        ("many", "more than 1,000 tools"),
        ("crowded", "more than 250000 values"),
        ("asks", "asks for more than it reads"),
    ] {
        let Some(jump) = Jump::to(mode) else { return };
        let said = jump.run(&["--json"], &[]).fails_as("bad_response", 255).json();
        assert!(said["message"].as_str().unwrap().contains(shown), "{mode}: {said}");
    }
}

#[test]
fn a_message_without_an_end_is_not_read() {
    let Some(jump) = Jump::to("long") else { return };
    let said = jump.run(&["--json"], &[]).fails_as("bad_response", 255).json();
    assert!(said["message"].as_str().unwrap().contains("more than 64 MiB"), "{said}");
}

#[test]
fn what_nobody_asked_for_is_passed_over() {
    let Some(jump) = Jump::to("chatty") else { return };
    jump.run(&[], &["plain"]).succeeds();
    let record = jump.record();
    assert!(record.contains(r#"reply {"id": "p", "jsonrpc": "2.0", "result": {}}"#), "{record}");
    assert!(record.contains("-32601") && record.contains(r#""id": 7"#), "{record}");
}

#[test]
fn a_call_that_is_lost_is_not_repeated() {
    for (mode, code) in [("dies", "transport"), ("refuses", "bad_response")] {
        let Some(jump) = Jump::to(mode) else { return };
        let said = jump.run(&["--json"], &["plain"]).fails_as(code, 255).json();
        assert!(said["hint"].as_str().unwrap().contains("not called again"), "{said}");
        assert_eq!(jump.record(), "call {}\n");
    }
}
