//! Commands: bytes, status, input, terminals, signals, many at once.

use serde_json::json;

use super::peer::{Ended, Peer, address, command};
use crate::support::{World, processes_with, until};

/// Each kind of gateway over each transport.
fn each(test: impl Fn(&World, &mut Peer)) {
    for world in World::each().into_iter().chain(World::own_host()) {
        let world = world.connected();
        test(&world, &mut Peer::of(&world));
    }
}

#[test]
fn streams_status_and_folder_are_exact() {
    each(|world, peer| {
        std::fs::create_dir(world.workspace().join("sub dir")).unwrap();
        let all = (0..=255).collect::<Vec<u8>>();
        std::fs::write(world.workspace().join("all"), &all).unwrap();
        let ended = peer.run(world, "cat all; cat all >&2; exit 7");
        assert_eq!(ended, Ended { stdout: all.clone(), stderr: all, status: 7 });
        let ended = peer.run(world, "pwd; printf %s \"$ODD$CODEX_CI\"; cat; [ -t 0 ] || exit 3");
        let folder = world.workspace().canonicalize().unwrap();
        assert_eq!((ended.out(), ended.status), (&*format!("{}\na 'b'\n$c1", folder.display()), 3));
        peer.start(world, "sub", "pwd", json!({ "cwd": address(world, "sub%20dir") }));
        assert_eq!(peer.ended("sub").out(), format!("{}/sub dir\n", folder.display()));
        peer.start(world, "root", "pwd", json!({ "cwd": "file:///" }));
        assert_eq!(peer.ended("root").out(), "/\n");
        peer.start(world, "none", "pwd", json!({ "cwd": address(world, "none") }));
        let none = peer.ended("none");
        assert!(none.status == 255 && none.err().contains("cannot enter"), "{none:?}");
        assert_eq!(peer.run(world, "kill -9 $$").status, 137);
        peer.start(world, "exact", "", json!({ "argv": ["printf", "%s|", "a  b", "*", "", "'\n"] }));
        assert_eq!(peer.ended("exact").out(), "a  b|*||'\n|");
    });
}

#[test]
fn input_arrives_byte_for_byte() {
    each(|world, peer| {
        peer.start(world, "in", "head -c 100000 | sha256sum; cat", json!({ "pipeStdin": true }));
        let bytes = (0..100_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>();
        for chunk in bytes.chunks(7001) {
            assert_eq!(peer.feed("in", chunk), "accepted");
        }
        assert_eq!(peer.feed("in", b"\0more"), "accepted");
        peer.said("in", "more");
        assert_eq!(peer.ask("process/terminate", json!({ "processId": "in" }))["running"], true);
        peer.next(|message| message["method"] == "process/closed");
        assert_eq!(peer.feed("in", b"x"), "unknownProcess");
        assert_eq!(peer.ask("process/terminate", json!({ "processId": "in" }))["running"], false);
        peer.start(world, "closed", "sleep 600", json!({}));
        assert_eq!(peer.feed("closed", b"x"), "stdinClosed");
    });
}

#[test]
fn a_terminal_is_one() {
    for transport in ["mux", "openssh"] {
        let Some(world) = World::real() else { return };
        let world = world.connected();
        let mut peer = Peer::with(&world, |command| {
            command.env("RUNCODE_TRANSPORT", transport);
        });
        let script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty -a && read x && echo \"got $x\" && echo err >&2; exit 5";
        peer.start(&world, "tty", script, json!({ "tty": true }));
        assert_eq!(peer.feed("tty", b"abc\n"), "accepted");
        let ended = peer.ended("tty");
        assert_eq!(ended.status, 5, "{ended:?}");
        let out = ended.out();
        assert!(out.contains("rows 24; columns 80") && out.contains("abc\r\n"), "{transport}: {out}");
        assert!(out.ends_with("got abc\r\nerr\r\n"), "{transport}: {out}");
        let mark = format!("sleep 5{:06}", std::process::id());
        peer.start(&world, "ctrl-c", &format!("{mark}; exit 3"), json!({ "tty": true }));
        // A dash that is about to exec takes the signal, and its child runs on.
        until("it runs", || processes_with(&mark).iter().any(|it| it.starts_with("sleep")));
        assert_eq!(peer.feed("ctrl-c", b"\x03"), "accepted");
        let closed = peer.next(|message| {
            message["method"] == "process/exited" && message["params"]["processId"] == "ctrl-c"
        });
        assert_eq!(closed["params"]["exitCode"], 130, "{transport}: {closed}");
    }
}

#[test]
fn an_interrupt_is_no_end() {
    each(|world, peer| {
        let script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done";
        peer.start(world, "int", script, json!({}));
        peer.said("int", "ready");
        peer.ask("process/signal", json!({ "processId": "int", "signal": "interrupt" }));
        peer.said("int", "caught");
        let exited = peer.next(|message| message["method"] == "process/exited");
        assert_eq!(exited["params"]["exitCode"], 9);
        assert_eq!(peer.refused("process/signal", json!({ "processId": "int", "signal": "kill" })).0, -32602);
    });
}

#[test]
fn what_is_terminated_leaves_nothing() {
    let Some(world) = World::real() else { return };
    let world = world.connected();
    let mut peer = Peer::of(&world);
    let mark = format!("sleep 6{:06}", std::process::id());
    let script = format!("(trap '' INT TERM; {mark}) & {mark} & echo ready; wait");
    peer.start(&world, "tree", &script, json!({}));
    peer.said("tree", "ready");
    until("it runs", || processes_with(&mark).len() >= 2);
    peer.ask("process/terminate", json!({ "processId": "tree" }));
    peer.next(|message| message["method"] == "process/closed");
    until("all of it is gone", || processes_with(&mark).is_empty());
    // When the client ends, so does what it started.
    peer.start(&world, "left", &format!("{mark} & {mark}"), json!({}));
    until("it runs", || processes_with(&mark).len() >= 2);
    peer.hang_up();
    until("all of it is gone", || processes_with(&mark).is_empty());
}

#[test]
fn many_at_once_do_not_mix() {
    let Some(world) = World::real() else { return };
    let world = world.connected();
    let mut peer = Peer::of(&world);
    peer.start(&world, "held", "cat", json!({ "pipeStdin": true })); // until the end of the test
    let ids = (0..20).map(|n| format!("p{n}")).collect::<Vec<_>>();
    for (n, id) in ids.iter().enumerate() {
        let script = format!("seq {n}000 {n}999; sleep 0.{}; echo {n} >&2; exit {n}", n % 5);
        peer.request("process/start", &command(&world, id, &script, &json!({})));
    }
    assert_eq!(peer.refused("process/start", command(&world, "held", "touch twice", &json!({}))).0, -32602);
    for (n, id) in ids.iter().enumerate() {
        let ended = peer.ended(id);
        let expected = (0..1000).map(|line| format!("{}\n", n * 1000 + line)).collect::<String>();
        assert_eq!((ended.out(), ended.err(), ended.status), (&*expected, &*format!("{n}\n"), n as i64));
    }
    assert!(!world.workspace().join("twice").exists());
}

#[test]
fn much_output_takes_little_memory() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    peer.start(&world, "much", "head -c 100000000 /dev/zero | tr '\\0' x", json!({}));
    // Nobody reads until the environment has had every chance to read ahead.
    until("the command waits", || {
        processes_with("head -c 100000000").iter().any(|it| it.starts_with("head"))
    });
    let ended = peer.ended("much");
    assert_eq!((ended.stdout.len(), ended.status), (100_000_000, 0));
    assert!(ended.stdout.iter().all(|&byte| byte == b'x'));
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", peer.child.as_ref().unwrap().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    assert!(peak < 100_000, "{peak} kB");
}

#[test]
fn variables_are_those_of_the_policy() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let policy = json!({ "inherit": "core", "ignoreDefaultExcludes": false, "exclude": [], "set": { "SET": "1" }, "includeOnly": [] });
    peer.start(&world, "env", "env; echo end", json!({ "envPolicy": policy, "env": { "MY_TOKEN": "t" } }));
    let ended = peer.ended("env");
    let names = ended.out().lines().filter_map(|line| Some(line.split_once('=')?.0)).collect::<Vec<_>>();
    assert!(["HOME", "PATH", "SET", "MY_TOKEN"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("RUNCODE") && *name != "SSH_CONNECTION"), "{names:?}");
}
