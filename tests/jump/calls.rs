//! A call: its arguments, its streams, its status.

use serde_json::json;

use super::Jump;
use crate::support::{CommandOutput, World};

#[test]
fn a_tool_gets_its_arguments() {
    let Some(jump) = Jump::to("plain") else { return };
    let said =
        jump.run(&[], &["deploy", "--", "--env", "staging", "--count=2", "--dry-run", "a b"]).succeeds();
    let arguments = r#"{"count": 2, "dry_run": true, "env": "staging", "file": "a b"}"#;
    assert_eq!(said.text(), format!("done {arguments}\n"));
    assert_eq!(said.stderr, "live\n");
    assert_eq!(jump.record(), format!("call {arguments}\n"));
    let whole = r#"{"env": "staging"}"#;
    let said = jump.run(&["--args", whole], &["deploy"]).succeeds();
    assert_eq!(said.text(), format!("done {whole}\n"));
    let mut piped = jump.command(&["--args", "-"], &["deploy"]);
    let said = crate::support::feed(&mut piped, whole.as_bytes());
    assert_eq!(said.stdout, format!("done {whole}\n").as_bytes());
}

#[test]
fn mistakes_are_told_before_the_call() {
    let Some(jump) = Jump::to("plain") else { return };
    let words = ["deploy", "--", "--dry-run", "false", "--nope", "--count=0"];
    let said = jump.run(&["--json"], &words).fails_as("usage", 255).json();
    let issues = said["issues"].as_array().unwrap();
    let at = issues.iter().map(|issue| issue["at"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(at, ["--dry-run", "--nope", "--env", "--count"]);
    assert_eq!(said["hint"], "see `runcode jump box deploy -- --help`");
    let plain = jump.run(&[], &words).ends_with(255);
    assert!(plain.stderr.contains("  deploy: --env is required\n"), "{}", plain.stderr);
    for bad in ["[]", "{", "7"] {
        jump.run(&["--json", "--args", bad], &["deploy"]).fails_as("usage", 255);
    }
    let said = jump.run(&["--json"], &["nope"]).fails_as("not_found", 255).json();
    assert_eq!(said["hint"], "it has: deploy, plain");
    let help = jump.run(&[], &["deploy", "--", "--help"]).succeeds();
    assert!(
        help.text().starts_with("deploy\n") && help.text().contains("    --env staging|production  required")
    );
    assert_eq!(jump.record(), "", "nothing was called");
}

#[test]
fn output_comes_as_it_is() {
    let Some(jump) = Jump::to("live") else { return };
    let output = jump.command(&[], &["plain"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\xff\nmore"[..], &b"err\0"[..]));
    let said = jump.run(&["--json"], &["plain"]).ends_with(7).json();
    let expected = json!({ "tool": "plain", "exit_code": 7, "signal": null, "is_error": true, "stdout": "out\u{fffd}\nmore",
        "stderr": "err\0", "content": [], "structured": null, "duration_ms": 5, "truncated": false });
    assert_eq!(said, expected);
}

#[test]
fn a_failure_of_runspec_is_taken_apart() {
    let Some(jump) = Jump::to("failed") else { return };
    let said = jump.run(&[], &["plain"]).ends_with(143);
    assert_eq!((said.text(), said.stderr.as_str()), ("out\n", "err\nstderr:\nmore\n"));
    let Some(jump) = Jump::to("image") else { return };
    let said = jump.run(&[], &["plain"]).ends_with(255);
    assert!(said.stderr.contains("add --json"), "{}", said.stderr);
    let said = jump.run(&["--json"], &["plain"]).succeeds().json();
    assert_eq!(said["content"][0]["data"], "AAAA");
}

#[test]
fn a_call_is_recorded_and_may_be_refused() {
    let Some(world) = World::server() else { return };
    let Some(jump) = Jump::in_world(world, "live") else { return };
    jump.run(&[], &["plain"]).ends_with(7);
    let log = jump.world.run(&["audit", "list", "--json"]).succeeds().json();
    let entries = log.as_array().or_else(|| log["records"].as_array()).unwrap().clone();
    let entry =
        entries.iter().rev().find(|entry| entry["action"] == "jump").unwrap_or_else(|| panic!("{log}"));
    assert_eq!(entry["exit_code"], 7, "{log}");
    assert!(!entries.iter().any(|entry| entry["action"] == "exec"), "{log}");
    jump.run(&["--args", r#"{"x": "by-object"}"#], &["deploy"]).ends_with(255);
    let log = jump.world.run(&["audit", "list", "--json"]).succeeds().json();
    assert!(log.to_string().contains("by-object"), "{log}");
    // Where only profiles may run, it is refused, and nothing is asked for.
    let called = jump.record();
    let file = jump.world.home().join(".config/runcode/servers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text =
        text.replace("host =", "allowed_profiles = [\"x\"]\nhost =") + "[profiles.x]\nargv = [\"true\"]\n";
    std::fs::write(&file, text).unwrap();
    jump.run(&["--json"], &["plain"]).fails_as("policy_denied", 255);
    assert_eq!(jump.record(), called);
}

#[test]
fn too_long_arguments_are_refused_whole() {
    let Some(jump) = Jump::to("plain") else { return };
    let whole = |length: usize| {
        let start = br#"{"env": "staging"}"#;
        [start, &vec![b' '; length - start.len()][..]].concat()
    };
    let run = |input: &[u8]| {
        let mut command = jump.command(&["--json", "--args", "-"], &["deploy"]);
        CommandOutput::of(crate::support::feed(&mut command, input))
    };
    run(&whole(16 << 20)).succeeds();
    let called = jump.record();
    let said = run(&whole((16 << 20) + 1)).fails_as("usage", 255).json();
    assert!(said["message"].as_str().unwrap().contains("longer than 16 MiB"), "{said}");
    assert_eq!(jump.record(), called);
}
