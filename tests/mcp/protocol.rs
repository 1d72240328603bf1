//! What every client sees first, and how the process ends.

use std::time::{Duration, Instant};

use serde_json::json;

use super::peer::Peer;
use crate::support::{World, is_running, until};

fn runs(pid: &str) -> bool {
    pid.parse().is_ok_and(is_running)
}

#[test]
fn the_first_answers_need_nothing() {
    let world = World::new();
    let before = world.snapshot();
    let refusing = "http://127.0.0.1:1";
    let mut peer = Peer::with(&world, &[], world.home(), |command| {
        command.env("RUNCODE_API_BASE", refusing).env_remove("RUNCODE_TOKEN");
    });
    let began = Instant::now();
    let result = peer.initialize()["result"].clone();
    assert_eq!(result["protocolVersion"], "2025-11-25");
    assert!(result["instructions"].as_str().unwrap().starts_with("runcode: a remote workspace"));
    let listed = peer.ask("tools/list", &json!({}))["result"]["tools"].clone();
    let names = listed.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    assert_eq!(names.take(3).collect::<Vec<_>>(), ["list", "connect", "disconnect"]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // The other era, on the same stream.
    let meta = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    } });
    let discovered = peer.ask("server/discover", &meta)["result"].clone();
    assert_eq!(
        (&discovered["resultType"], &discovered["instructions"]),
        (&json!("complete"), &result["instructions"])
    );
    assert_eq!(peer.ask("tools/list", &meta)["result"]["tools"], listed);
    assert_eq!(world.snapshot(), before, "nothing was written");
    assert!(!world.cache("").exists());
}

#[test]
fn hostile_lines_end_nothing() {
    let world = World::new();
    let mut peer = Peer::of(&world);
    peer.write(b"not json\n[1,2]\n\xff\xfe\n\n");
    peer.write(&[vec![b'['; 5 << 20], b"\n".to_vec()].concat());
    let codes = (0..4).map(|_| peer.next()["error"]["code"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(codes, [-32700, -32600, -32700, -32700]);
    let unknown = peer.ask("tools/call", &json!({ "name": "rm" }));
    assert_eq!(unknown["error"]["code"], -32602);
    assert_eq!(peer.ask("ping", &json!({}))["result"], json!({}));
}

/// However a client goes: what runs for it on the workspace ends, and the process soon after.
#[test]
fn it_ends_with_its_client() {
    for way in ["eof", "INT", "TERM"] {
        let world = World::new().connected();
        let mut peer = Peer::of(&world);
        peer.initialize();
        peer.begin("exec", &json!({ "command": "echo $$ > pid; sleep 600" }));
        let file = world.workspace().join("pid");
        let pid = || std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
        until("it runs", || !pid().is_empty());
        let began = Instant::now();
        match way {
            "eof" => peer.close(),
            signal => {
                let id = peer.child.id().to_string();
                std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap();
            }
        }
        let status = peer.child.wait().unwrap();
        assert!(status.success(), "{way}: {status}");
        assert!(began.elapsed() < Duration::from_secs(5), "{way}: {:?}", began.elapsed());
        until("the command is gone", || !runs(&pid()));
        // The connection stays.
        let warm = world.run(&["status", "--json"]).succeeds().json();
        assert_eq!(warm[0]["connected"], true, "{warm}");
    }
}

/// A script pipes its messages in, and still reads the answers.
#[test]
fn piped_calls_are_answered_after_the_last() {
    let world = World::new().connected();
    let call = |id: u64, command: &str| {
        let params = json!({ "name": "exec", "arguments": { "command": command } });
        format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }))
    };
    let said = world.run_with(&["mcp"], call(1, "echo done").as_bytes()).succeeds();
    assert!(said.text().contains("done\\n[exit 0"), "{said:?}");
    let said = world.run_with(&["mcp"], call(1, "sleep 600").as_bytes()).succeeds();
    assert_eq!(said.text(), "");
    assert!(said.stderr.contains("stdin ended before 1 call was answered; it is cancelled"), "{said:?}");
}

#[test]
fn a_cancelled_command_ends_unanswered() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    peer.initialize();
    let id = peer.begin("exec", &json!({ "command": "echo $$ > pid; sleep 600" }));
    let file = world.workspace().join("pid");
    let pid = || std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
    until("it runs", || !pid().is_empty());
    peer.cancel(id);
    until("the command is gone", || !runs(&pid()));
    let after = peer.call("exec", json!({ "command": "echo still here" }));
    assert!(after.fine().starts_with("still here\n"));
    assert_eq!(peer.rest(), Vec::<serde_json::Value>::new());
}
