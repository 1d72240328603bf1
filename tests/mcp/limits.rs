//! What its tools refuse, whoever calls them.

use std::fs;

use serde_json::{Value, json};

use super::peer::Peer;
use crate::support::World;

/// Clients call what changes nothing without asking anybody, and ssh reaches any host.
#[test]
fn an_unknown_host_is_not_looked_at() {
    let Some(world) = World::own_host() else { return };
    fs::write(world.workspace().join("file"), "x").unwrap();
    let folder = world.workspace();
    let calls = |peer: &mut Peer, host: &str| {
        [
            ("context", json!({ "workspace": host })),
            ("read", json!({ "workspace": host, "path": folder.join("file") })),
            ("glob", json!({ "workspace": host, "pattern": "file", "path": folder })),
            ("grep", json!({ "workspace": host, "pattern": "x", "path": folder })),
        ]
        .map(|(tool, arguments)| (tool, peer.call(tool, arguments)))
    };
    let before = world.snapshot();
    let mut peer = Peer::of(&world);
    let mut strict = Peer::with(&world, &["--read-only"], world.home(), |_| {});
    for host in ["ssh:box", "box", "ssh://127.0.0.1:1"] {
        for (tool, said) in calls(&mut peer, host).into_iter().chain(calls(&mut strict, host)) {
            assert_eq!(said.code(), "not_found", "{tool} {host}");
            assert!(said.text().contains("is not connected\nhint: call `connect`"), "{}", said.text());
        }
        assert_eq!(strict.call("connect", json!({ "workspace": host })).code(), "not_found", "{host}");
    }
    let mut by_variable = Peer::with(&world, &[], world.home(), |command| {
        command.env("RUNCODE_WORKSPACE", "ssh:box");
    });
    assert_eq!(by_variable.call("context", json!({})).code(), "not_found");
    assert_eq!(world.snapshot(), before, "no session was made");
    // The command line that starts the server is the user's own.
    let mut named = Peer::with(&world, &["-w", "ssh:box"], world.home(), |_| {});
    for workspace in [json!("ssh:box"), Value::Null] {
        let said = named.call("read", json!({ "workspace": workspace, "path": folder.join("file") }));
        assert!(said.fine().starts_with("1\tx\n"), "{}", said.text());
        world.run(&["clean", "--all"]).succeeds();
    }
    // What changes something asks the user, as `connect` does; from then on the host is known.
    assert_eq!(peer.call("connect", json!({ "workspace": "ssh:box" })).json()["origin"], "ssh");
    world.connect(); // with a folder that is not the real home
    for (tool, said) in calls(&mut peer, "ssh:box").into_iter().chain(calls(&mut strict, "box")) {
        assert_eq!(said.0["isError"], false, "{tool}: {}", said.text());
    }
    assert_eq!(strict.call("connect", json!({ "workspace": "ssh:box" })).json()["reused"], true);
}

#[test]
fn a_read_only_server_boots_nothing() {
    let world = World::with(|options| options.workspaces[0].running = false);
    let mut peer = Peer::with(&world, &["--read-only"], world.home(), |_| {});
    assert_eq!(peer.call("connect", json!({ "workspace": "box", "start": true })).code(), "usage");
    let said = peer.call("connect", json!({ "workspace": "box" }));
    assert_eq!(said.code(), "conflict");
    assert!(said.text().ends_with("or have them boot it if this server is read-only"), "{}", said.text());
}

#[test]
fn the_workspace_of_the_start_is_meant() {
    let world = World::two().connected();
    let mut peer = Peer::with(&world, &["-w", "other"], world.home(), |_| {});
    let attached = peer.call("list", json!({})).json()["attached"].clone();
    assert_eq!((&attached["named"], &attached["attached"]), (&json!("other"), &json!(false)));
    peer.call("context", json!({})).fine();
    assert_eq!(peer.call("list", json!({})).json()["attached"]["workspace_id"], 2);
    // The other one, which is attached, stays so.
    assert_eq!(peer.call("disconnect", json!({})).code(), "not_found");
    assert_eq!(Peer::of(&world).call("list", json!({})).json()["attached"]["workspace_id"], 1);
    assert_eq!(peer.call("disconnect", json!({ "workspace": "box" })).json()["detached"], 1);
}

#[test]
fn a_hint_names_tools() {
    let world = World::two();
    let mut peer = Peer::of(&world);
    let hint = |peer: &mut Peer, tool: &str, arguments: Value| {
        let said = peer.call(tool, arguments);
        let hint = said.0["_meta"]["io.runcode/error"]["hint"].as_str().unwrap().to_owned();
        assert!(said.text().ends_with(&format!("hint: {hint}")) && !hint.contains("runcode "), "{hint}");
        hint
    };
    assert_eq!(
        hint(&mut peer, "exec", json!({ "command": "ls" })),
        "call `connect` first; `list` says what there is"
    );
    world.connect();
    assert!(hint(&mut peer, "read", json!({ "path": "none" })).contains("`glob`"));
    hint(&mut peer, "disconnect", json!({ "workspace": "other" }));
}

#[test]
fn a_local_root_is_a_folder() {
    let world = World::new();
    let start = |root: &str| world.run(&["mcp", "--json", "--local-root", root]);
    fs::write(world.home().join("file"), "").unwrap();
    start("none").fails_as("io", 1);
    start("file").fails_as("usage", 2);
    start(".").succeeds();
}

#[test]
fn a_name_with_a_line_feed_is_counted() {
    let world = World::new().connected();
    let folder = world.workspace().join("sub");
    fs::create_dir_all(folder.join("deep\n9999999999 .")).unwrap();
    for name in ["real.rs", "a\nforged.rs", "deep\n9999999999 ./forged.rs"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let mut peer = Peer::of(&world);
    let found = peer.call("glob", json!({ "pattern": "*.rs", "path": "sub" }));
    let last = "[1 files, by find; left out: 2 names with a line feed in them]";
    assert_eq!(found.fine(), format!("sub/real.rs\n{last}"));
    let listed = peer.call("read", json!({ "path": "sub" }));
    let last = "[a folder: 1 entries; left out: 2 names with a line feed in them]";
    assert_eq!(listed.fine(), format!("real.rs\n{last}"));
}

#[test]
fn kept_output_goes_with_the_sessions() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let said = peer.call("exec", json!({ "command": "echo kept" }));
    let id = said.facts()["id"].clone();
    assert!(peer.call("output", json!({ "id": id })).fine().starts_with("kept\n"));
    let names = fs::read_dir(world.cache("mcp")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(names.count() >= 2 && world.cache("mcp").is_dir());
    world.run(&["clean", "--all"]).succeeds();
    assert!(!world.cache("mcp").exists());
    assert_eq!(peer.call("output", json!({ "id": id })).code(), "not_found");
}
