//! Running commands through it.

use serde_json::{Value, json};

use super::peer::Peer;
use crate::support::World;

/// The last line of a result.
fn last(text: &str) -> &str {
    text.lines().last().unwrap()
}

#[test]
fn a_command_runs_as_exec_runs_it() {
    for world in World::each() {
        let world = world.connected();
        let mut peer = Peer::of(&world);
        peer.initialize();
        let said = peer.call("exec", json!({ "command": "echo out; echo err >&2; pwd | grep -c box" }));
        let lines = said.fine().lines().collect::<Vec<_>>();
        assert_eq!(lines[..4], ["out", "1", "[stderr]", "err"]);
        assert!(lines[4].starts_with("[exit 0 \u{b7} ") && lines.len() == 5, "{lines:?}");
        let facts = said.facts();
        assert_eq!(
            (&facts["exit_code"], &facts["stdout_bytes"], &facts["stderr_bytes"]),
            (&json!(0), &json!(6), &json!(4))
        );
        assert_eq!((&facts["signal"], &facts["timed_out"]), (&Value::Null, &json!(false)));
        // Exact arguments, one of which alone is a program, too.
        let said = peer.call("exec", json!({ "argv": ["printf", "<%s>", "a b", "$HOME", ""] }));
        assert!(said.fine().starts_with("<a b><$HOME><>\n["), "{}", said.text());
        let said = peer.call("exec", json!({ "argv": ["echo hi"] }));
        assert_eq!((&said.0["isError"], &said.facts()["exit_code"]), (&json!(true), &json!(127)));
        // No shell is shared.
        peer.call("exec", json!({ "command": "mkdir -p sub; cd sub; LEFT=1" })).fine();
        let said = peer.call(
            "exec",
            json!({ "command": "basename \"$PWD\"; echo \"[$LEFT$GIVEN]\"; cat", "cwd": "sub",
            "env": { "GIVEN": "a'b\n" }, "stdin": "in\u{e9}" }),
        );
        assert!(said.fine().starts_with("sub\n[a'b\n]\nin\u{e9}\n[exit 0"), "{}", said.text());
        let said = peer.call("exec", json!({ "command": "exit 7" }));
        assert!(said.text().starts_with("[no output \u{b7} exit 7 \u{b7} ") && said.0["isError"] == true);
        // A program may end with any status: that is no proof of a signal.
        let said = peer.call("exec", json!({ "command": "exit 137" }));
        assert!(said.text().starts_with("[no output \u{b7} exit 137, 128 + KILL \u{b7} "), "{}", said.text());
        assert_eq!((&said.facts()["signal"], &said.facts()["exit_code"]), (&Value::Null, &json!(137)));
        let said = peer.call("exec", json!({ "command": "echo before; kill -9 $$" }));
        assert_eq!((said.code(), &said.facts()["exit_code"]), ("killed", &Value::Null));
        assert!(said.text().starts_with("before\nruncode: the command was killed"), "{}", said.text());
        let said = peer.call("exec", json!({ "command": "echo begun; sleep 60", "timeout": 1 }));
        assert_eq!((said.code(), &said.facts()["timed_out"]), ("timed_out", &json!(true)));
        assert!(said.text().starts_with("begun\n[timed out after 1 s, ended \u{b7} "), "{}", said.text());
        for wrong in
            [json!({}), json!({ "command": "a", "argv": ["b"] }), json!({ "command": "ls", "cd": "x" })]
        {
            assert_eq!(peer.call("exec", wrong).code(), "usage");
        }
    }
}

#[test]
fn output_cannot_steer_a_terminal() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let said = peer.call(
        "exec",
        json!({ "command":
        r"printf '\033[31mred\033[0m\033]0;t\007 \342\200\256x\000\n10%%\r100%%\n\377\n'" }),
    );
    assert!(said.fine().starts_with("red \\u{202e}x\\u{0}\n100%\n\u{fffd}\n[exit 0"), "{}", said.text());
}

#[test]
fn long_output_is_shown_in_parts() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    // The second of them is longer than what is in memory.
    for count in [9000, 120_000] {
        let said = peer.call("exec", json!({ "command": format!("seq {count}; seq 100000 101000 >&2") }));
        let text = said.fine();
        assert!(text.starts_with("1\n2\n3\n") && text.contains(&format!("\n{count}\n[stderr]\n")), "{count}");
        let cut = text.lines().find(|line| line.contains("left out; read them: output {")).unwrap();
        let id = said.facts()["id"].as_str().unwrap();
        let call = cut.split_once("output ").unwrap().1.trim_end_matches(']');
        let mut call: Value = serde_json::from_str(call).unwrap();
        assert_eq!(call["id"], id);
        // What was left out is exactly what stands between, and it is read page by page.
        let before = text.split(cut).next().unwrap();
        let after =
            text.split(cut).nth(1).unwrap().split("[stderr]").next().unwrap().trim_start_matches('\n');
        let mut between = String::new();
        let whole = (1..=count).map(|number| format!("{number}\n")).collect::<String>();
        while before.len() + between.len() + after.len() < whole.len() {
            let page = peer.call("output", call.clone());
            let end = last(page.fine()).to_owned();
            between += page.text().strip_suffix(&end).unwrap();
            assert!(end.ends_with(']') && end.contains("; exit 0"), "{end}");
            let Some((_, next)) = end.trim_end_matches(']').split_once("next offset ") else { break };
            call["offset"] = next.parse::<u64>().unwrap().into();
        }
        between.truncate(whole.len() - before.len() - after.len());
        assert!(format!("{before}{between}{after}") == whole, "{count}: {cut}");
        let lines = cut.trim_start_matches('[').split(' ').next().unwrap().parse::<usize>().unwrap();
        assert_eq!(lines, between.lines().count());
        let end = peer.call("output", json!({ "id": id, "stream": "stderr", "offset": -7 }));
        assert!(end.fine().starts_with("101000\n[bytes 7000-7007 of 7007; exit 0]"), "{}", end.text());
    }
    for id in ["x0000000", "../x", "", "x"] {
        assert_eq!(peer.call("output", json!({ "id": id })).code(), "not_found", "{id}");
    }
    let mode = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&world.cache("mcp")), 0o700);
    for entry in std::fs::read_dir(world.cache("mcp")).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600);
    }
}

#[test]
fn many_commands_run_at_once() {
    let world = World::real().unwrap_or_else(World::new).connected();
    let mut peer = Peer::of(&world);
    peer.initialize();
    let ids = (0..40).map(|n| peer.begin("exec", &json!({ "command": format!("sleep 0.2; echo n{n}") })));
    let ids = ids.collect::<Vec<_>>();
    let mut answers = (0..40).map(|_| peer.next()).collect::<Vec<_>>();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    for (n, (id, answer)) in ids.iter().zip(&answers).enumerate() {
        assert_eq!(answer["id"], *id);
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with(&format!("n{n}\n[exit 0")), "{text}");
    }
}

#[test]
fn progress_says_the_last_line() {
    let world = World::new().connected();
    let mut peer = Peer::of(&world);
    let arguments = json!({ "command": "printf 'one\\ntwo\\033[1m!\\n'; sleep 0.6; echo three; sleep 0.6" });
    let params = json!({ "name": "exec", "arguments": arguments, "_meta": { "progressToken": 5 } });
    let id = peer.request("tools/call", &params);
    let (mut told, mut before) = (Vec::new(), 0);
    loop {
        let message = peer.next();
        if message["id"] == id {
            break;
        }
        let params = &message["params"];
        assert_eq!(
            (&message["method"], &params["progressToken"]),
            (&json!("notifications/progress"), &json!(5))
        );
        let now = params["progress"].as_u64().unwrap();
        assert!(now > before);
        before = now;
        told.push(params["message"].as_str().unwrap().to_owned());
    }
    assert!(told.ends_with(&["two!".to_owned(), "three".to_owned()]), "{told:?}");
}

/// Which workspace a call means is decided at each call, as the command line decides it.
#[test]
fn a_call_means_what_the_command_line_means() {
    let world = World::two();
    let (one, two) = (world.home().join("one"), world.home().join("two"));
    for folder in [&one, &two] {
        std::fs::create_dir(folder).unwrap();
    }
    let mut peer = Peer::with(&world, &[], &one, |_| {});
    peer.initialize();
    let said = peer.call("exec", json!({ "command": "true" }));
    assert_eq!(said.code(), "not_found");
    let listed = peer.call("list", json!({})).json();
    assert_eq!((&listed["attached"], listed["workspaces"].as_array().unwrap().len()), (&Value::Null, 2));
    assert_eq!((&listed["servers"], &listed["logged_in"]), (&json!([]), &json!(true)));
    let connected = peer.call("connect", json!({ "workspace": "box" })).json();
    assert_eq!(
        (&connected["workspace_id"], &connected["folder"]),
        (&json!(1), &json!(one.to_str().unwrap()))
    );
    world.run_in(&two, &["connect", "other"]).succeeds();
    let current = |peer: &mut Peer| peer.call("list", json!({})).json()["attached"]["workspace_id"].clone();
    assert_eq!(current(&mut peer), 1);
    // Claude Code names the project; Codex names it with each call.
    let mut other = Peer::with(&world, &[], &one, |command| {
        command.env("CLAUDE_PROJECT_DIR", &two);
    });
    assert_eq!(current(&mut other), 2);
    for (folder, id) in [(&one, 1), (&two, 2)] {
        let meta = json!({ "codex/sandbox-state": { "sandboxCwd": folder } });
        let params = json!({ "name": "list", "arguments": {}, "_meta": meta });
        let answer = other.ask("tools/call", &params);
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap()["attached"]["workspace_id"], id);
    }
    // Named, in the call or at the start.
    let context = peer.call("context", json!({ "workspace": "other" })).json();
    assert_eq!(context["workspace_id"], 2);
    let mut named = Peer::with(&world, &["-w", "other"], &one, |_| {});
    assert_eq!(named.call("context", json!({})).json()["workspace_id"], 2);
    // What changes elsewhere is seen at once.
    world.run_in(&one, &["connect", "other"]).succeeds();
    assert_eq!(current(&mut peer), 2);
    assert_eq!(peer.call("disconnect", json!({})).json()["detached"], 1);
    assert_eq!(peer.call("disconnect", json!({ "workspace": "box" })).code(), "not_found");
}

#[test]
fn a_workspace_is_booted_and_stopped() {
    let world = World::with(|options| options.workspaces[0].running = false);
    let mut peer = Peer::of(&world);
    assert_eq!(peer.call("connect", json!({ "workspace": "box" })).code(), "conflict");
    let started = peer.call("connect", json!({ "workspace": "box", "start": true })).json();
    assert_eq!((&started["started"], &started["workspace_id"]), (&json!(true), &json!(1)));
    let stopped = peer.call("stop", json!({})).json();
    assert_eq!((&stopped["stopped"], &stopped["detached"]), (&json!(true), &json!(true)));
    assert_eq!(peer.call("exec", json!({ "command": "true" })).code(), "not_found");
}

#[test]
fn without_a_login_the_user_is_asked() {
    let world = World::new();
    let mut peer = Peer::with(&world, &[], world.home(), |command| {
        command.env_remove("RUNCODE_TOKEN");
    });
    let said = peer.call("connect", json!({ "workspace": "1" }));
    assert_eq!(said.code(), "no_token");
    assert!(said.text().ends_with("hint: ask the user to run `runcode login`"), "{}", said.text());
    assert_eq!(peer.call("list", json!({})).json()["logged_in"], false);
}

#[test]
fn read_only_runs_nothing() {
    let world = World::new().connected();
    let mut peer = Peer::with(&world, &["--read-only"], world.home(), |_| {});
    let refused = peer.ask("tools/call", &json!({ "name": "exec", "arguments": { "command": "touch x" } }));
    assert_eq!(refused["error"]["code"], -32602);
    assert_eq!(peer.call("context", json!({})).json()["workspace_id"], 1);
}
