//! Profiles through the tools of `mcp`, on a server that certifies each run.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::approvals::{people, sign};
use super::certified::{certified, left};
use crate::mcp::peer::{Peer, Said};
use crate::support::{processes_with, until};

fn exec(peer: &mut Peer, more: &Value) -> Said {
    let mut arguments = json!({ "workspace": "prod" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    peer.call("exec", arguments)
}

#[test]
fn a_tool_runs_by_a_certificate_of_its_own() {
    let Some(world) = certified("") else { return };
    let mut peer = Peer::of(&world);
    // An agent learns what there is when it connects.
    let connected = peer.call("connect", json!({ "workspace": "prod" })).json();
    assert_eq!(connected["mode"], "restricted");
    let profiles = connected["profiles"].as_array().unwrap();
    let names = profiles.iter().map(|it| it["name"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["fail", "read", "say", "wait"]);
    assert_eq!(profiles[2]["args"][0]["name"], "word");
    let mut exec = |more: Value| exec(&mut peer, &more);
    let said = exec(json!({ "profile": "say", "args": { "word": "a  'b' $HOME" } }));
    assert!(said.fine().starts_with("ran\n<a  'b' $HOME>\n0\n[exit 0 "), "{}", said.text());
    let failed = exec(json!({ "profile": "fail", "args": { "status": "7" } }));
    assert!(failed.text().starts_with("[stderr]\nerr\n[exit 7 "), "{}", failed.text());
    assert!(exec(json!({ "profile": "read", "stdin": "fed" })).fine().starts_with("fed\n[exit 0"));
    let seconds = format!("{}.25", 70_000 + std::process::id() % 10_000);
    let wait = |more: Value| {
        let mut call = json!({ "profile": "wait", "args": { "seconds": seconds } });
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    let is_running = || !processes_with(&format!("sleep {seconds}")).is_empty();
    let slow = exec(wait(json!({ "timeout": 1 })));
    assert_eq!((slow.code(), &slow.facts()["timed_out"]), ("timed_out", &json!(true)), "{}", slow.text());
    until("what took too long is gone", || !is_running());
    for wrong in [json!({ "command": "ls" }), json!({ "profile": "other" })] {
        assert_eq!(exec(wrong).code(), "policy_denied");
    }
    assert_eq!(exec(wait(json!({ "background": true }))).code(), "usage");
    let mut call = wait(json!({}));
    call["workspace"] = "prod".into();
    let id = peer.begin("exec", &call);
    until("it runs", is_running);
    peer.cancel(id);
    until("what was cancelled is gone", || !is_running());
    until("key and certificate are gone", || left(&world) == Vec::<PathBuf>::new());
}

#[test]
fn a_tool_waits_for_its_approval() {
    let Some(world) = certified("requires_approval = true\napprovers = \"approvers\"") else { return };
    people(&world);
    let mut peer = Peer::of(&world);
    let say = |more: Value| {
        let mut call = json!({ "profile": "say", "args": { "word": "yes" } });
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    let said = exec(&mut peer, &say(json!({})));
    assert_eq!(said.code(), "approval_required");
    let (_, hint) = said.text().split_once("hint: an approver runs `runcode servers approve ").unwrap();
    let (file, then) = hint.split_once("`; then call exec again with the same `args`, and ").unwrap();
    let id = then.strip_suffix(" as `approval`").unwrap();
    sign(&world, Path::new(file), "ben");
    let said = exec(&mut peer, &say(json!({ "approval": id })));
    assert!(said.fine().starts_with("ran\n<yes>\n"), "{}", said.text());
    assert_eq!(exec(&mut peer, &say(json!({ "approval": id }))).code(), "approval_invalid", "it serves once");
}
