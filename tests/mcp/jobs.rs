//! Commands in the background through it: the same jobs that the command line has.

use serde_json::{Value, json};

use super::peer::Peer;
use crate::support::{World, is_running, until};

/// Starts a job; its id.
fn start(peer: &mut Peer, command: &str) -> String {
    let started = peer.call("exec", json!({ "command": command, "background": true })).json();
    assert_eq!((&started["command"], &started["name"]), (&json!(command), &Value::Null));
    started["id"].as_str().unwrap().to_owned()
}

fn last(text: &str) -> &str {
    text.lines().last().unwrap()
}

#[test]
fn a_job_is_started_read_and_listed() {
    for world in World::each() {
        let world = world.connected();
        let mut peer = Peer::of(&world);
        peer.initialize();
        let go = world.home().join("go");
        let command = format!(
            r"printf '\033[1mone\033[0m\342\200\256\n'; echo err >&2; until [ -e '{}' ]; do sleep 0.05; done; echo two; exit 3",
            go.display()
        );
        let id = start(&mut peer, &command);
        until("it has begun", || peer.call("output", json!({ "id": id })).text().starts_with("one"));
        let said = peer.call("output", json!({ "id": id }));
        assert_eq!(said.fine(), "one\\u{202e}\n[bytes 0-15 of 15; running; next offset 15]");
        let said = peer.call("output", json!({ "id": id, "offset": 15, "wait": 1 }));
        assert_eq!(said.fine(), "[bytes 15-15 of 15; running; next offset 15]");
        std::fs::write(&go, "").unwrap();
        let said = peer.call("output", json!({ "id": id, "offset": 15, "wait": 60 }));
        assert_eq!(said.fine(), "two\n[bytes 15-19 of 19; exit 3]");
        let said = peer.call("output", json!({ "id": id, "stream": "stderr", "offset": -2 }));
        assert_eq!(said.fine(), "r\n[bytes 2-4 of 4; exit 3]");
        // Another process sees the same.
        let jobs = peer.call("jobs", json!({})).json();
        assert_eq!(jobs, world.run(&["jobs", "--json"]).succeeds().json());
        assert_eq!((&jobs[0]["state"], &jobs[0]["exit_code"]), (&json!("exited"), &json!(3)));
        assert_eq!(world.run(&["jobs", "wait", &id]).status, 3);
    }
}

#[test]
fn long_output_of_a_job_is_read_in_parts() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let id = start(&mut peer, "seq 30000");
    let whole = (1..=30_000).map(|number| format!("{number}\n")).collect::<String>();
    let (mut read, mut offset) = (String::new(), 0);
    loop {
        let said = peer.call("output", json!({ "id": id, "offset": offset, "wait": 60 }));
        let end = last(said.fine());
        read += said.text().strip_suffix(end).unwrap();
        let Some((_, next)) = end.trim_end_matches(']').split_once("next offset ") else { break };
        offset = next.parse::<u64>().unwrap();
    }
    assert!(read == whole, "{} of {} bytes", read.len(), whole.len());
    let few = peer.call("output", json!({ "id": id, "limit": 5 }));
    assert_eq!(few.fine(), format!("1\n2\n[bytes 0-4 of {}; exit 0; next offset 4]", whole.len()));
}

#[test]
fn a_job_is_ended_for_certain() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let id = start(&mut peer, "sleep 120");
    let ended = peer.call("kill", json!({ "id": id })).json();
    assert_eq!(ended, json!({ "id": id, "state": "exited", "exit_code": 143 }));
    let deaf = start(&mut peer, "trap '' TERM; echo up; while :; do sleep 1; done");
    until("it is up", || peer.call("output", json!({ "id": deaf })).text().starts_with("up"));
    let going = peer.call("kill", json!({ "id": deaf, "signal": "CONT" })).json();
    assert_eq!((&going["state"], &going["exit_code"]), (&json!("running"), &Value::Null));
    peer.call("kill", json!({ "id": deaf })).fine();
    let said = peer.call("output", json!({ "id": deaf, "wait": 60 }));
    assert_eq!(said.fine(), "up\n[bytes 0-3 of 3; exit 137]");
}

#[test]
fn what_is_no_job_is_refused() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    for tool in ["output", "kill"] {
        let said = peer.call(tool, json!({ "id": "none" }));
        assert_eq!(said.code(), "not_found", "{tool}");
        assert!(said.text().ends_with("hint: jobs lists them"), "{}", said.text());
    }
    for wrong in [json!({ "id": "../x" }), json!({ "id": "a", "signal": "WINCH" })] {
        assert_eq!(peer.call("kill", wrong).code(), "usage");
    }
    for with in [json!({ "stdin": "x" }), json!({ "timeout": 5 })] {
        let mut call = with.clone();
        call["command"] = "touch started".into();
        call["background"] = true.into();
        assert_eq!(peer.call("exec", call).code(), "usage", "{with}");
    }
    assert_eq!(peer.call("jobs", json!({})).json(), json!([]));
    let mut peer = Peer::with(&world, &["--read-only", "-w", "box"], world.home(), |_| {});
    let refused = peer.ask("tools/call", &json!({ "name": "kill", "arguments": { "id": "a" } }));
    assert_eq!(refused["error"]["code"], -32602);
    assert_eq!(peer.call("jobs", json!({})).json(), json!([]));
}

#[test]
fn auto_becomes_a_job_where_it_outlasts() {
    for world in World::each() {
        let world = world.connected();
        let mut peer = Peer::of(&world);
        let auto = |command: &str| json!({ "command": command, "background": "auto", "timeout": 60 });
        let said = peer.call("exec", auto("echo out; echo err >&2; exit 7"));
        assert!(said.text().starts_with("out\n[stderr]\nerr\n[exit 7 \u{b7} "), "{}", said.text());
        assert_eq!((&said.0["isError"], &said.facts()["stdout_bytes"]), (&json!(true), &json!(4)));
        let id = said.facts()["id"].clone();
        assert!(peer.call("output", json!({ "id": id })).fine().starts_with("out\n"));
        assert!(peer.call("exec", auto(":")).fine().starts_with("[no output \u{b7} exit 0 \u{b7} "));
        let long = peer.call("exec", auto("seq 100000"));
        assert!(long.fine().starts_with("1\n2\n") && long.text().contains("\n100000\n[exit 0 "));
        assert_eq!(peer.call("jobs", json!({})).json(), json!([]), "what ended in time is no job any more");
        let go = world.home().join("go");
        let mut call =
            auto(&format!("echo begun; until [ -e '{}' ]; do sleep 0.05; done; echo done", go.display()));
        call["timeout"] = 1.into();
        let said = peer.call("exec", call);
        let job = said.facts()["job"].as_str().unwrap().to_owned();
        assert!(said.fine().starts_with("[still running after 1 s: it is now job "), "{}", said.text());
        std::fs::write(&go, "").unwrap();
        let said = peer.call("output", json!({ "id": job, "wait": 60 }));
        assert_eq!(said.fine(), "begun\ndone\n[bytes 0-11 of 11; exit 0]");
        // Cancelling the call ends it, like any command.
        let id = peer.begin("exec", &auto("echo $$ > pid; exec sleep 600"));
        let file = world.workspace().join("pid");
        let pid = || std::fs::read_to_string(&file).unwrap_or_default().trim().parse().unwrap_or_default();
        until("it runs", || pid() > 0);
        peer.cancel(id);
        until("it is gone", || !is_running(pid()));
        for wrong in [json!({ "stdin": "x" }), json!({ "background": "yes" }), json!({ "argv": ["a"] })] {
            let mut call = auto("touch started");
            call.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            assert_eq!(peer.call("exec", call).code(), "usage", "{wrong}");
        }
        assert!(!world.workspace().join("started").exists());
    }
}
