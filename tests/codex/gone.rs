//! The workspace is gone, or is another one: Codex is told so, and nothing runs here.

use serde_json::json;

use super::peer::{Peer, address, command};
use crate::support::{CommandOutput, World, processes_with, until};

/// Asserts that neither a command nor a file is served, and why.
fn refused(world: &World, peer: &mut Peer) -> String {
    let here = format!("touch '{}'", world.home().join("made").display());
    let (_, why) = peer.refused("process/start", command(world, "refused", &here, &json!({})));
    let (code, _) = peer.refused("fs/readFile", json!({ "path": address(world, "x") }));
    assert!(code < 0 && !world.home().join("made").exists(), "it ran here");
    assert_eq!(peer.ask("process/terminate", json!({ "processId": "refused" }))["running"], false);
    why
}

#[test]
fn nothing_runs_where_nothing_is_attached() {
    let world = World::new();
    let mut peer = Peer::stranger(&world);
    let (_, why) = peer.refused("initialize", json!({ "clientName": "codex-environment" }));
    assert!(why.contains("no workspace is attached to this folder"), "{why}");
    let (_, why) = peer.refused("process/start", command(&world, "1", "touch made", &json!({})));
    assert!(why.contains("no workspace is attached") && !world.home().join("made").exists(), "{why}");
    peer.hang_up();
    until("it ends", || peer.child.as_mut().unwrap().try_wait().unwrap().is_some());
}

#[test]
fn the_folders_attachment_is_followed() {
    let world = World::two().connected();
    let mut peer = Peer::of(&world);
    assert_eq!(peer.run(&world, "echo fine").out(), "fine\n");
    world.run(&["connect", "other"]).succeeds();
    let why = refused(&world, &mut peer);
    assert!(why.contains("attached to") && why.contains("no longer to box"), "{why}");
    world.run(&["connect", "box"]).succeeds();
    assert_eq!(peer.run(&world, "echo again").out(), "again\n");
    world.run(&["disconnect"]).succeeds();
    let why = refused(&world, &mut peer);
    assert!(why.contains("no workspace is attached"), "{why}");
}

#[test]
fn a_lost_workspace_serves_nothing() {
    let mut world = World::new().connected();
    let mut peer = Peer::of(&world);
    peer.start(&world, "runs", "echo ready; sleep 600", json!({}));
    peer.said("runs", "ready");
    world.stop_plane();
    let ended = peer.next(|message| message["method"] == "process/exited");
    assert_eq!(ended["params"]["exitCode"], 255);
    let why = refused(&world, &mut peer);
    assert!(why.starts_with("runcode: "), "{why}");
}

#[test]
fn a_workspace_that_comes_back_serves_again() {
    let mut world = World::new().connected();
    let mut peer = Peer::of(&world);
    assert_eq!(peer.run(&world, "echo fine").out(), "fine\n");
    world.restart_plane();
    assert_eq!(peer.run(&world, "echo again").out(), "again\n");
}

#[test]
fn a_named_workspace_is_no_attached_one() {
    let world = World::new().connected();
    let mut command = world.command(&["codex", "exec", "x"]);
    let output = CommandOutput::of(command.env("RUNCODE_WORKSPACE", "box").output().unwrap());
    assert!(output.status == 255 && output.stderr.contains("RUNCODE_WORKSPACE"), "{output:?}");
}

#[test]
fn a_killed_environment_ends_its_commands() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let mark = format!("sleep 7{:06}", std::process::id());
    peer.start(&world, "runs", &format!("echo ready; {mark}"), json!({}));
    peer.said("runs", "ready");
    peer.child.as_mut().unwrap().kill().unwrap();
    until("the conversation is over", || peer.is_over());
    // The next command on the workspace ends the one that lost its client.
    until("it is gone", || {
        world.run(&["exec", "--", "true"]).succeeds();
        processes_with(&mark).is_empty()
    });
}
