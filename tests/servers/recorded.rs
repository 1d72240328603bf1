//! What the audit log calls what was done, and what it says of refusals.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::audit::{log, records, said};
use super::certified::certified;
use super::with_servers;
use crate::mcp::peer::Peer;
use crate::support::{CommandOutput, World};

const GPU: &str = "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n";

/// The actions that were announced, each with its words.
fn announced(world: &World) -> Vec<String> {
    let is_intent = |record: &Value| record["phase"] == "intent";
    let word = |record: &Value, name: &str| record[name].as_str().unwrap_or("-").to_owned();
    let each = records(world).into_iter().filter(is_intent);
    each.map(|it| format!("{} {}", word(&it, "action"), word(&it, "rendered_command"))).collect()
}

#[test]
fn a_machine_that_starts_and_stops_is_on_record() {
    let power = "[servers.gpu.power]\nstart = [\"true\"]\nstop = [\"false\"]\n";
    let Some(world) = with_servers(&format!("{GPU}{power}")) else { return };
    let run = |words: &[&str]| {
        CommandOutput::of(world.command(words).current_dir(world.workspace()).output().unwrap())
    };
    run(&["connect", "gpu", "--start"]).succeeds();
    run(&["stop", "gpu", "--json"]).fails_as("stop_failed", 2);
    assert_eq!(
        said(&records(&world)),
        [
            "start intent started",
            "start outcome succeeded",
            "session_open intent started",
            "session_open outcome succeeded",
            "stop intent started",
            "stop outcome failed"
        ]
    );
}

#[test]
fn each_tool_is_on_record_by_its_name() {
    let Some(world) = with_servers(GPU) else { return };
    let mut peer = Peer::of(&world);
    peer.initialize();
    let folder = world.workspace().join("there");
    std::fs::create_dir_all(&folder).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    peer.call("write", json!({ "workspace": "gpu", "path": at("a"), "content": "one" }));
    peer.call("edit", json!({ "workspace": "gpu", "path": at("a"), "old": "one", "new": "two" }));
    peer.call("glob", json!({ "workspace": "gpu", "pattern": "*", "path": at("") }));
    peer.call("grep", json!({ "workspace": "gpu", "pattern": "two", "path": at("") }));
    peer.call("grep", json!({ "workspace": "gpu", "pattern": "two" }));
    let expected = [
        format!("write {}", at("a")),
        format!("edit {}", at("a")),
        format!("glob {}", at("")),
        format!("grep {}", at("")),
        "grep -".to_owned(),
    ];
    assert_eq!(announced(&world), expected);
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let Some(world) = with_servers(&format!("[broker]\naudit_anchor = \"anchor\"\n{GPU}")) else { return };
    world.run(&["run", "gpu", "--", "true"]).succeeds();
    let other = world.home().join("other.jsonl").display().to_string();
    for verb in ["list", "verify", "export"] {
        world.run(&["audit", verb, "--log", &other, "--json"]).fails_as("not_found", 2);
    }
    // The anchor is not that of another log.
    let anchor = super::file(&world).with_file_name("anchor");
    let before = std::fs::read(&anchor).unwrap();
    world.run(&["audit", "seal", "--log", &other]).succeeds();
    assert_eq!(std::fs::read(&anchor).unwrap(), before);
    world.run(&["audit", "verify", "--log", &other]).succeeds();
    let usual = log(&world).display().to_string();
    world.run(&["audit", "seal", "--log", &usual]).succeeds();
    assert_ne!(std::fs::read(&anchor).unwrap(), before);
    let large = world.home().join("large");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    world.run(&["audit", "verify", "--anchor", large.to_str().unwrap(), "--json"]).fails_as("usage", 2);
}

#[test]
fn a_folder_that_others_may_write_holds_no_log() {
    let Some(world) = with_servers(&format!("[broker]\naudit_log_path = \"logs/a.jsonl\"\n{GPU}")) else {
        return;
    };
    let folder = super::file(&world).with_file_name("logs");
    std::fs::create_dir(&folder).unwrap();
    let chmod = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    let run = || world.run(&["--json", "run", "gpu", "--", "true"]);
    for mode in [0o777, 0o1777, 0o770] {
        chmod(mode);
        run().fails_as("audit_failed", 255);
        assert!(!folder.join("a.jsonl").exists());
    }
    chmod(0o755);
    run().succeeds();
}

#[test]
fn a_session_that_is_refused_is_on_record() {
    let Some(world) = certified("") else { return };
    world.run(&["exec", "--workspace", "prod", "--json", "--", "true"]).ends_with(255);
    let all = records(&world);
    assert_eq!(said(&all), ["session_open event denied"]);
    assert_eq!(all[0]["server_alias"], "prod");
    assert!(all[0]["message"].as_str().unwrap().starts_with("for `exec`: policy_denied: "), "{all:?}");
}
