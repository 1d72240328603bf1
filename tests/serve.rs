//! `serve`: programs of this machine as tools, from the built binary.

mod environments;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::mcp::peer::Peer;
use crate::support::{World, is_running, until};

/// A folder with a file of tools.
fn configured(world: &World, text: &str) -> PathBuf {
    let file = world.home().join("tools/serve.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

/// A script beside the file.
fn script(world: &World, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = world.home().join("tools").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn peer(world: &World, file: &Path) -> Peer {
    let mut command = world.command(&["serve", "--config", file.to_str().unwrap()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    Peer::start(&mut command)
}

fn call(peer: &mut Peer, tool: &str, arguments: Value) -> Value {
    peer.ask("tools/call", &json!({ "name": tool, "arguments": arguments }))["result"].clone()
}

const SHELL: &str = r#"
[config]
name = "box"
[sh]
command = ["/bin/sh", "-c"]
run_as = ""
[sh.args]
line = {type = "str", position = 1}
"#;

#[test]
fn a_tool_is_listed_in_both_eras() {
    let world = World::new();
    let mut peer = peer(&world, &configured(&world, SHELL));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let listed = peer.ask("tools/list", &json!({ "_meta": meta }))["result"].clone();
    assert_eq!(listed["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "box");
    assert_eq!(listed["tools"][0]["inputSchema"]["properties"]["line"]["x-position"], 1);
    let hello = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "x" } });
    let agreed = peer.ask("initialize", &hello)["result"].clone();
    assert_eq!(
        (&agreed["protocolVersion"], &agreed["serverInfo"]["name"]),
        (&json!("2024-11-05"), &json!("box"))
    );
    assert_eq!(peer.ask("tools/list", &json!({}))["result"]["tools"][0]["name"], "sh");
    let unknown = peer.ask("tools/call", &json!({ "name": "x" }));
    assert_eq!(unknown["error"]["code"], -32602);
}

#[test]
fn a_result_has_text_status_and_facts() {
    let world = World::new();
    let mut peer = peer(&world, &configured(&world, SHELL));
    let fine = call(&mut peer, "sh", json!({ "line": "echo out; echo err >&2" }));
    assert_eq!((&fine["isError"], &fine["content"][0]["text"]), (&json!(false), &json!("out\n")));
    let facts = &fine["_meta"]["io.runcode/result"];
    assert_eq!(
        (&facts["exit_code"], &facts["stderr_bytes"], &facts["run_as"]),
        (&json!(0), &json!(4), &Value::Null)
    );
    assert_eq!((&fine["_meta"]["runspec"]["tool"], &facts["lossy"]), (&json!("sh"), &json!(false)));
    let failed = call(&mut peer, "sh", json!({ "line": "echo out; echo err >&2; exit 7" }));
    assert_eq!(failed["content"][0]["text"], "exit_code: 7\nstdout:\nout\nstderr:\nerr");
    assert_eq!((&failed["isError"], &failed["_meta"]["runspec"]["exit_code"]), (&json!(true), &json!(7)));
    let killed = call(&mut peer, "sh", json!({ "line": "kill -KILL $$" }));
    assert_eq!(killed["_meta"]["runspec"]["exit_code"], 137);
    assert_eq!(killed["_meta"]["io.runcode/result"]["signal"], 9);
    let odd = call(&mut peer, "sh", json!({ "line": r"printf 'a\377b'" }));
    assert_eq!(
        (&odd["content"][0]["text"], &odd["_meta"]["io.runcode/result"]["lossy"]),
        (&json!("a\u{fffd}b"), &json!(true))
    );
    let seen = call(
        &mut peer,
        "sh",
        json!({ "line": "cat; echo $RUNSPEC_AGENT $RUNSPEC_LABEL; ps -o sid= -p $$ | tr -d ' '; echo $$" }),
    );
    let lines = seen["content"][0]["text"].as_str().unwrap().lines().collect::<Vec<_>>();
    assert_eq!((lines[0], lines[1]), ("1 mcp", lines[2]), "a session of its own, and an empty stdin");
    let wrong = call(&mut peer, "sh", json!({ "line": "-c", "x": 1 }));
    assert_eq!(wrong["_meta"]["io.runcode/error"]["error"], "invalid_arguments");
    assert_eq!(wrong["_meta"]["io.runcode/error"]["issues"].as_array().unwrap().len(), 2);
}

#[test]
fn long_output_keeps_its_two_ends() {
    let world = World::new();
    let text = SHELL.replace("run_as = \"\"", "run_as = \"\"\nmax-output = 20");
    let mut peer = peer(&world, &configured(&world, &text));
    let cut = call(&mut peer, "sh", json!({ "line": "printf 'éé%s\nend' \"$(yes | head -n 2000)\"" }));
    let said = cut["content"][0]["text"].as_str().unwrap();
    assert!(
        said.starts_with("éé") && said.ends_with("\nend") && said.contains(" bytes left out]\n"),
        "{said}"
    );
    let facts = &cut["_meta"]["io.runcode/result"];
    assert_eq!(facts["omitted_bytes"].as_u64().unwrap() + 20, facts["stdout_bytes"].as_u64().unwrap());
}

#[test]
fn output_comes_live_to_who_takes_it() {
    let world = World::new();
    let mut peer = peer(&world, &configured(&world, SHELL));
    let extension = json!({ "experimental": { "io.runcode/output": {} } });
    peer.ask("initialize", &json!({ "protocolVersion": "2025-11-25", "capabilities": extension }));
    let go = world.home().join("go");
    let line = format!("echo one; while ! [ -e '{}' ]; do sleep 0.01; done; echo two >&2", go.display());
    let id = peer.request("tools/call", &json!({ "name": "sh", "arguments": { "line": line } }));
    let first = peer.next();
    assert_eq!(first["method"], "notifications/io.runcode/output");
    assert_eq!(first["params"], json!({ "requestId": id, "stream": "stdout", "data": "b25lCg==" }));
    std::fs::write(go, "").unwrap();
    assert_eq!(peer.next()["params"], json!({ "requestId": id, "stream": "stderr", "data": "dHdvCg==" }));
    let last = peer.next();
    assert_eq!((&last["id"], &last["result"]["content"]), (&json!(id), &json!([])));
}

#[test]
fn a_run_ends_with_its_timeout_or_client() {
    let world = World::new();
    let text = SHELL.replace("run_as = \"\"", "run_as = \"\"\ntimeout = 1")
        + &SHELL.replace("[sh", "[long").replace("[config]\nname = \"box\"", "")
        + &SHELL
            .replace("[sh]", "[kept]\non-disconnect = \"finish\"")
            .replace("[sh", "[kept")
            .replace("[config]\nname = \"box\"", "");
    let mut peer = peer(&world, &configured(&world, &text));
    let late = call(&mut peer, "sh", json!({ "line": "sleep 600 & wait" }));
    assert_eq!(
        (&late["isError"], &late["_meta"]["io.runcode/result"]["timed_out"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(late["_meta"]["io.runcode/result"]["may_still_run"], false);
    let pid = |name: &str| {
        let file = world.home().join(name);
        until("the process has begun", || {
            std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
        });
        std::fs::read_to_string(file).unwrap().trim().parse::<i32>().unwrap()
    };
    let line = |name: &str| {
        let file = world.home().join(name);
        format!("trap '' TERM; sleep 600 & echo $! > '{}'; wait", file.display())
    };
    let id = peer.request("tools/call", &json!({ "name": "long", "arguments": { "line": line("one") } }));
    let one = pid("one");
    peer.send(
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }),
    );
    until("it has ended", || !is_running(one));
    assert_eq!(peer.ask("ping", &json!({}))["result"], json!({}), "a cancelled call is not answered");
    peer.request("tools/call", &json!({ "name": "long", "arguments": { "line": line("two") } }));
    let go = world.home().join("go");
    let done = world.home().join("done");
    let stays = format!(
        "echo $$ > '{}'; while ! [ -e '{}' ]; do sleep 0.01; done; echo still; echo x > '{}'",
        world.home().join("three").display(),
        go.display(),
        done.display(),
    );
    peer.request("tools/call", &json!({ "name": "kept", "arguments": { "line": stays } }));
    let (two, three) = (pid("two"), pid("three"));
    let began = std::time::Instant::now();
    peer.close();
    assert!(peer.child.wait().unwrap().success());
    assert!(began.elapsed().as_secs() < 5);
    assert!(!is_running(two) && is_running(three));
    std::fs::write(go, "").unwrap();
    until("it goes on", || done.exists());
}

#[test]
fn a_killed_server_leaves_no_tool() {
    let world = World::new();
    let text = SHELL.to_owned()
        + "[kept]\ncommand = [\"/bin/sh\", \"-c\"]\nrun_as = \"\"\non-disconnect = \"finish\"\n\
           [kept.args]\nline = {type = \"str\", position = 1}\n";
    let mut peer = peer(&world, &configured(&world, &text));
    call(&mut peer, "sh", json!({ "line": "true" }));
    let file = |name: &str| world.home().join(name);
    let line = format!("trap '' TERM; sleep 600 & echo $$ $! >'{}'; wait; wait", file("ends").display());
    peer.request("tools/call", &json!({ "name": "sh", "arguments": { "line": line } }));
    let line = format!(
        "echo $$ >'{}'; until [ -e '{}' ]; do sleep 0.01; done; echo x >'{}'",
        file("stays").display(),
        file("go").display(),
        file("done").display()
    );
    peer.request("tools/call", &json!({ "name": "kept", "arguments": { "line": line } }));
    let pids = |name: &str| {
        let text = || std::fs::read_to_string(file(name)).unwrap_or_default();
        until("the tool runs", || text().ends_with('\n'));
        text().split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
    };
    let (mut ends, stays) = (pids("ends"), pids("stays"));
    let ps = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
    let children = String::from_utf8(ps.stdout).unwrap();
    let children = children.lines().filter_map(|line| {
        let (pid, parent) = line.trim().split_once(char::is_whitespace)?;
        (parent.trim() == peer.child.id().to_string()).then(|| pid.parse::<i32>().unwrap())
    });
    ends.extend(children.filter(|pid| !stays.contains(pid)));
    assert_eq!(ends.len(), 4, "two processes of the tool, of which one is a child, and a shell: {ends:?}");
    peer.child.kill().unwrap();
    until("nothing of it is left", || !ends.iter().any(|&pid| is_running(pid)));
    assert!(is_running(stays[0]));
    std::fs::write(file("go"), "").unwrap();
    until("it goes on", || file("done").exists());
}

#[test]
fn a_file_that_others_may_write_serves_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let file = configured(&world, SHELL);
    let check = |file: &Path| world.run(&["serve", "--check", "--config", file.to_str().unwrap()]);
    assert!(check(&file).succeeds().text().contains("sh"));
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for (path, wrong, right) in [(file.as_path(), 0o664, 0o644), (file.parent().unwrap(), 0o777, 0o755)] {
        mode(path, wrong);
        let said = check(&file);
        assert_eq!(said.status, 2);
        assert!(said.stderr.contains("others may write"), "{}", said.stderr);
        mode(path, right);
    }
    let program = script(&world, "x", "true");
    std::fs::write(&file, "[x]\ncommand = [\"./x\"]\n[y]\ncommand = [\"x\"]\n[z]\ntimeout = \"x\"\n")
        .unwrap();
    mode(&program, 0o777);
    let said = check(&file);
    assert_eq!(said.status, 2);
    for line in [
        "serve.toml:2: x.command names a program that",
        "serve.toml:4: y.command must begin with",
        "serve.toml:6: z.timeout must be",
    ] {
        assert!(said.stderr.contains(line), "{line}: {}", said.stderr);
    }
    // An interpreter's script is a program as well.
    let script = program.to_str().unwrap();
    for command in [&["/bin/sh", script][..], &["/usr/bin/env", "-i", script]] {
        std::fs::write(&file, format!("[x]\ncommand = {command:?}\n")).unwrap();
        mode(&program, 0o777);
        let said = check(&file);
        assert!(said.status == 2 && said.stderr.contains("x.command has the file"), "{}", said.stderr);
        mode(&program, 0o755);
        check(&file).succeeds();
    }
}

#[test]
fn the_users_and_the_machines_file_are_one() {
    let world = World::new();
    let [own, machines] = [".config/runcode", "etc/runcode"].map(|folder| {
        std::fs::create_dir_all(world.home().join(folder)).unwrap();
        world.home().join(folder).join("serve.toml")
    });
    let said = world.run(&["serve", "--check", "--json"]);
    said.fails_as("not_found", 2);
    let tool = |name: &str| format!("[{name}]\ncommand = [\"/bin/echo\", \"{name}\"]\nrun_as = \"\"\n");
    std::fs::write(&machines, tool("theirs")).unwrap();
    assert_eq!(world.run(&["serve", "--check"]).succeeds().text(), "theirs\n");
    std::fs::write(&own, tool("mine")).unwrap();
    let mut command = world.command(&["serve"]);
    command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut peer = Peer::start(&mut command);
    for name in ["mine", "theirs"] {
        assert_eq!(call(&mut peer, name, json!({}))["content"][0]["text"], format!("{name}\n"));
    }
    // Neither file overrules the other, and if one cannot be read, neither is served.
    std::fs::write(&own, tool("mine") + &tool("theirs")).unwrap();
    let said = world.run(&["serve", "--check"]).ends_with(2);
    assert!(said.stderr.contains("theirs, which another file also defines"), "{}", said.stderr);
    std::fs::write(&own, "[mine").unwrap();
    let said = world.run(&["serve", "--check"]).ends_with(2);
    assert!(said.stderr.contains(".config/runcode/serve.toml:1: "), "{}", said.stderr);
}

#[test]
fn another_user_is_reached_by_exact_words() {
    let world = World::new();
    let bin = world.home().join("tools/bin");
    for method in ["sudo", "dzdo", "pbrun", "su"] {
        script(
            &world,
            &format!("bin/{method}"),
            "printf '%s|' \"${0##*/}\" \"$@\"; printf '\\n'; head -c 4096",
        );
    }
    let mut text = String::new();
    for method in ["sudo", "dzdo", "pbrun", "su"] {
        text += &format!(
            "[{method}]\ncommand = [\"/bin/echo\"]\nrun_as = \"nobody\"\nbecome_method = \"{method}\"\n\
             become_flags = \"-H 'a b'\"\n[{method}.args]\nx = \"\"\n"
        );
    }
    text += "[framed]\ncommand = [\"/bin/echo\"]\nrun_as = \"nobody\"\nenv = {SECRET = \"hunter2\"}\n";
    let file = configured(&world, &text);
    let mut command = world.command(&["serve", "--config", file.to_str().unwrap()]);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut peer = Peer::start(&mut command);
    for (method, expected) in [
        ("sudo", "sudo|-n|-H|a b|-u|nobody|--|/bin/echo|--x|1 2|\n"),
        ("dzdo", "dzdo|-n|-H|a b|-u|nobody|--|/bin/echo|--x|1 2|\n"),
        ("pbrun", "pbrun|-H|a b|-u|nobody|/bin/echo|--x|1 2|\n"),
        ("su", "su|-H|a b|-c|/bin/echo --x '1 2'|nobody|\n"),
    ] {
        let said = call(&mut peer, method, json!({ "x": "1 2" }));
        assert_eq!(said["content"][0]["text"], expected, "{said}");
        assert_eq!(said["_meta"]["io.runcode/result"]["run_as"], "nobody");
    }
    let framed = call(&mut peer, "framed", json!({}));
    let text = framed["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("sudo|-n|-u|nobody|--|sh|-c|while "), "{text}");
    assert!(
        !text.contains("hunter2") && text.contains("\nSECRET=\\0150\\0165") && text.ends_with("\n.\n"),
        "{text}"
    );
}

#[test]
fn what_is_for_people_is_not_run() {
    let world = World::new();
    let text = SHELL.replace("run_as = \"\"", "run_as = \"\"\nautonomy = \"manual\"");
    let file = configured(&world, &text);
    let refused = call(&mut peer(&world, &file), "sh", json!({ "line": "echo x" }));
    assert_eq!(refused["_meta"]["io.runcode/error"]["error"], "needs_a_human");
    std::fs::write(&file, text.replace("[config]", "[config]\nserve-manual = true")).unwrap();
    assert_eq!(call(&mut peer(&world, &file), "sh", json!({ "line": "echo x" }))["isError"], false);
    std::fs::write(&file, "[x]\ncommand = [\"/etc/passwd\"]\nrun_as = \"\"\n").unwrap();
    let failed = call(&mut peer(&world, &file), "x", json!({}));
    assert_eq!(
        (&failed["isError"], &failed["_meta"]["io.runcode/error"]["error"]),
        (&json!(true), &json!("cannot_start"))
    );
}
