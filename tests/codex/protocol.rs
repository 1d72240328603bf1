//! The first messages, and messages that are not understood.

use serde_json::json;

use super::peer::{Peer, address, command};
use crate::support::World;

#[test]
fn codex_learns_of_the_workspace() {
    for world in World::each() {
        let world = world.connected();
        let mut peer = Peer::stranger(&world);
        let info = peer.initialize();
        assert_eq!(info["cwd"], address(&world, ""), "{info}");
        let shell = info["shell"]["path"].as_str().unwrap();
        assert!(shell.starts_with('/') && shell.ends_with(info["shell"]["name"].as_str().unwrap()), "{info}");
        assert_eq!((&info["platformOs"], &info["capabilities"]), (&json!("linux"), &json!({})));
        let config = peer.ask("environmentConfig/read", json!({ "cwd": address(&world, "") }));
        assert_eq!(config["config"]["layers"], json!([]));
        assert_eq!(peer.refused("fs/watchMissing", json!({ "watchId": 1 })).0, -32601);
    }
}

#[test]
fn an_unknown_protocol_is_refused() {
    let world = World::new().connected();
    let known = json!({ "clientName": "codex-environment", "resumeSessionId": null });
    for (change, says) in [
        (json!({ "clientName": "codex-environment-2" }), "is not a client that runcode knows"),
        (json!({ "protocolVersion": 2 }), "asks for something that runcode does not know"),
        (json!({ "resumeSessionId": "x" }), "ended with it"),
    ] {
        let mut peer = Peer::stranger(&world);
        let mut params = known.clone();
        params.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (code, words) = peer.refused("initialize", params);
        assert!(code == -32600 && words.contains(says), "{code} {words}");
        // Afterwards, nothing is done for it, either.
        let (code, words) = peer.refused("process/start", command(&world, "1", "touch made", &json!({})));
        assert!(code == -32600 && words.contains("must come first"), "{code} {words}");
    }
    assert!(!world.workspace().join("made").exists());
    let mut peer = Peer::of(&world);
    assert_eq!(peer.refused("initialize", known).0, -32600);
}

#[test]
fn rubbish_is_refused_and_survived() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    for text in ["", "{", "[]", "null", "\u{7f}", "{\"id\":[],\"method\":\"x\"}", "{\"id\":9,\"result\":{}}"]
    {
        peer.write(text);
    }
    peer.write(&format!("{{\"id\":1000,\"method\":\"x\",\"params\":\"{}\"}}", "x".repeat(25 << 20)));
    for (method, params) in [
        ("process/start", json!({})),
        ("process/start", command(&world, "", "touch made", &json!({}))),
        ("process/start", command(&world, "1", "touch made", &json!({ "cwd": "/tmp" }))),
        ("process/start", command(&world, "1", "touch made", &json!({ "cwd": "file://host/tmp" }))),
        ("process/start", command(&world, "1", "touch made", &json!({ "argv": [] }))),
        ("process/start", command(&world, "1", "touch made", &json!({ "arg0": "codex-linux-sandbox" }))),
        ("process/start", command(&world, "1", "touch made", &json!({ "enforceManagedNetwork": true }))),
        ("process/start", command(&world, "1", "touch made", &json!({ "env": { "A=B": "" } }))),
        ("process/start", command(&world, "1", &"x".repeat(200_000), &json!({}))),
        ("process/write", json!({ "processId": "1", "chunk": "?" })),
        ("process/signal", json!({ "processId": "1", "signal": "interrupt" })),
        ("fs/readFile", json!({ "path": "file:///%2e%2e%2fetc/passwd" })),
        ("fs/writeFile", json!({ "path": address(&world, "made"), "dataBase64": "=" })),
    ] {
        let (code, words) = peer.refused(method, params);
        assert!(code == -32602, "{method} {code} {words}");
    }
    assert_eq!(peer.run(&world, "ls").out(), "");
}
