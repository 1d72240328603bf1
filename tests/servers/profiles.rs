//! Profiles on a server that the user's own ssh logs in to: they hold for runcode, and say so.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{with_servers, write};
use crate::mcp::peer::Peer;
use crate::support::{CommandOutput, World, processes_with, until};

const PROFILES: &str = r#"
[servers.prod]
auth_method = "ssh"
host = "box"
environment = "production"
allowed_profiles = ["say", "read", "both", "wait", "fail", "pick"]
[profiles.say]
description = "Says a word"
argv = ["printf", "<%s>", "{{word}}", "it's {{word}}"]
[profiles.read]
template = "cat"
stdin = true
[profiles.both]
argv = ["sh", "-c", "echo out; echo err >&2; cat"]
[profiles.wait]
argv = ["sh", "-c", "trap '' TERM; sleep {{seconds}} & sleep {{seconds}}"]
timeout_seconds = 60
args.seconds.type = "int"
[profiles.fail]
argv = ["sh", "-c", "exit {{status}}"]
[profiles.pick]
template = "ls {{what}} {{key}}"
args.what = { choices = ["/", "/tmp"], default = "/" }
args.key = { secret = true, pattern = "[a-z]+" }
[profiles.other]
template = "df"
"#;

fn run(world: &World, arguments: &[&str]) -> CommandOutput {
    world.run(&[&["run", "prod", "--profile"], arguments].concat())
}

#[test]
fn a_profile_runs_with_its_streams_and_status() {
    let Some(world) = with_servers(PROFILES) else { return };
    let said = run(&world, &["say", "--arg", "word=$(id) 'x' | y; ä"]).succeeds();
    assert_eq!(said.text(), "<$(id) 'x' | y; ä><it's $(id) 'x' | y; ä>");
    for status in [0, 7, 255] {
        run(&world, &["fail", "--arg", &format!("status={status}")]).ends_with(status);
    }
    // The profile says whether it reads: nobody feeds one that does not.
    let fed = |profile: &str| {
        crate::support::feed(&mut world.command(&["run", "prod", "--profile", profile]), b"\0fed\xff")
    };
    assert_eq!(fed("read").stdout, b"\0fed\xff");
    let both = fed("both");
    assert_eq!((&both.stdout[..], &both.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    // A value may come by stdin, so that it is in no process list.
    let said = world.run_with(&["run", "prod", "--profile", "say", "--arg-stdin", "word"], b"secret\n");
    assert_eq!(said.succeeds().text(), "<secret><it's secret>");
}

#[test]
fn a_server_with_profiles_runs_nothing_else() {
    let Some(world) = with_servers(PROFILES) else { return };
    let said = world.run(&["connect", "prod", "--json"]).succeeds().json();
    assert_eq!((&said["mode"], &said["environment"]), (&json!("restricted"), &json!("production")));
    // Nobody is told the way around the profiles.
    assert_eq!((&said["command"], &said["alias"]), (&Value::Null, &Value::Null));
    assert!(!calls(&world).contains("-M"), "attaching makes no connection");
    std::fs::write(world.home().join("f"), "x").unwrap();
    std::fs::write(world.home().join("g"), "y").unwrap();
    let [file, other] = ["f", "g"].map(|name| world.home().join(name).display().to_string());
    for words in [
        &["exec", "--", "touch ran"][..],
        &["run", "prod", "--", "touch", "ran"],
        &["exec", "-w", "prod", "--", "touch ran"],
        &["exec", "--detach", "--", "touch ran"],
        &["jobs"],
        &["jobs", "wait", "x"],
        &["jobs", "kill", "x"],
        &["shell"],
        &["put", &file, "ran"],
        &["get", "/etc/passwd"],
        &["write", "ran"],
        &["edit", "ran", "--old", &file, "--new", &other],
        &["context"],
        &["forward", "5173"],
        &["forward", "5173", "-R"],
    ] {
        let said = world.run(&[&["--json"], words].concat()).json();
        assert_eq!(said["error"], "policy_denied", "{words:?}: {said}");
        assert!(said["hint"].as_str().unwrap().contains("fail, "), "{said}");
    }
    assert!(!world.home().join("sshd/ran").exists() && !world.home().join("ran").exists());
    for (profile, code) in [("other", "policy_denied"), ("none", "policy_denied"), ("say", "usage")] {
        assert_eq!(run(&world, &[profile, "--json"]).ends_with(255).json()["error"], code, "{profile}");
    }
    // The attached server runs its profiles, and says which there are where no command is given.
    let said = world.run(&["exec", "--profile", "say", "--arg", "word=x"]).succeeds();
    assert_eq!(said.text(), "<x><it's x>");
    let said = world.run(&["exec", "--json"]).ends_with(255).json();
    assert!(
        said["error"] == "usage" && said["hint"].as_str().unwrap().contains("its profiles are"),
        "{said}"
    );
    let said = world.run(&["doctor", "prod", "--json"]).succeeds().json();
    let checks = said["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "profiles"), "{said}");
    // On anything else there are no profiles.
    assert_eq!(world.run(&["run", "ssh:box", "--profile", "say", "--json"]).json()["error"], "usage");
}

fn calls(world: &World) -> String {
    std::fs::read_to_string(world.home().join("calls")).unwrap_or_default()
}

#[test]
fn values_that_do_not_fit_run_nothing() {
    let Some(world) = with_servers(PROFILES) else { return };
    for (words, about) in [
        (&["say"][..], "`word`"),
        (&["say", "--arg", "word"], "`="),
        (&["say", "--arg", "word=a", "--arg", "word=b"], "twice"),
        (&["say", "--arg", "word=a", "--arg", "x=b"], "no argument"),
        (&["say", "--arg", "word=-x"], "begins with `-`"),
        (&["say", "--arg", "word=a\u{202e}b"], "control character"),
        (&["wait", "--arg", "seconds=1;id"], "whole number"),
        (&["pick", "--arg", "what=/etc", "--arg", "key=a"], "choices"),
        (&["pick", "--arg", "key=A"], "pattern"),
    ] {
        let said = run(&world, &[words, &["--json"]].concat()).ends_with(255).json();
        assert_eq!(said["error"], "usage", "{words:?}");
        assert!(said["message"].as_str().unwrap().contains(about), "{words:?}: {said}");
        // What only shows ends as any other verb does.
        assert_eq!(run(&world, &[words, &["--plan"]].concat()).status, 2);
    }
    for beside in [&["--", "id"][..], &["--env", "A=1"], &["--home"], &["--cwd", "/"]] {
        let words = [&["say", "--arg", "word=a"], beside].concat();
        assert!(run(&world, &words).ends_with(255).stderr.contains("--profile"), "{beside:?}");
    }
    assert_eq!(calls(&world), "");
}

#[test]
fn a_plan_tells_the_truth_and_connects_nowhere() {
    let Some(world) = with_servers(PROFILES) else { return };
    let plan = run(&world, &["pick", "--arg", "key=hunter", "--plan", "--json"]).succeeds().json();
    assert_eq!(plan["command"], "ls '/' '[redacted]'");
    assert_eq!(plan["args"], json!({ "what": "/", "key": "[redacted]" }));
    assert_eq!((&plan["enforced"], &plan["would_run"]), (&json!("none"), &json!(true)));
    assert_eq!(plan["target"], json!({ "host": "box", "port": null, "user": null }));
    let said = run(&world, &["pick", "--arg", "key=hunter", "--plan"]).succeeds();
    let text = said.text();
    assert!(text.contains("the host would let you do anything else") && !text.contains("hunter"), "{text}");
    assert_eq!(calls(&world), "");
    let dry = run(&world, &["say", "--arg", "word=x", "--dry-run", "--json"]).succeeds().json();
    let argv = dry["argv"].as_array().unwrap();
    assert!(
        !calls(&world).lines().any(|line| line.contains("box") && !line.contains("-G")),
        "{}",
        calls(&world)
    );
    // What is shown is what runs it, with what keeps ssh from asking and from the user's terminal.
    assert!(argv.contains(&json!("BatchMode=yes")) && argv.contains(&json!("-T")), "{dry}");
    world.run(&["connect", "prod"]).succeeds();
    let mut ssh = Command::new(world.home().join("ssh"));
    ssh.args(argv[1..].iter().map(|word| word.as_str().unwrap()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let lifeline = child.stdin.take();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    drop(lifeline);
    assert_eq!((&*out, child.wait().unwrap().code()), ("<x><it's x>", Some(0)));
    // A server whose owner wants more than advice runs nothing.
    write(&world, &format!("[broker]\nrequire_enforcement = true\n{PROFILES}"));
    let plan = run(&world, &["say", "--arg", "word=x", "--plan", "--json"]).succeeds().json();
    assert_eq!(plan["would_run"], false);
    let said = run(&world, &["say", "--arg", "word=x", "--json"]).ends_with(255).json();
    assert_eq!(said["error"], "policy_denied");
    assert_eq!(world.run(&["run", "prod", "--", "id"]).status, 255);
}

#[test]
fn profiles_are_listed_with_what_they_take() {
    let Some(world) = with_servers(PROFILES) else { return };
    let rows = world.run(&["servers", "profiles", "prod", "--json"]).succeeds().json();
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(rows.as_array().unwrap().len(), 6);
    assert_eq!(row("say")["description"], "Says a word");
    assert_eq!(row("say")["command"], "printf '<%s>' {{word}} 'it'\\''s {{word}}'");
    assert_eq!((&row("read")["stdin"], &row("wait")["timeout_seconds"]), (&json!(true), &json!(60)));
    let expected = json!([
        { "name": "what", "type": "text", "required": false, "default": "/", "choices": ["/", "/tmp"], "secret": false },
        { "name": "key", "type": "text", "required": true, "default": null, "choices": [], "secret": true },
    ]);
    assert_eq!(row("pick")["args"], expected);
    let said = world.run(&["servers", "profiles", "server:prod"]).succeeds();
    let text = said.text();
    assert!(text.contains("runcode run prod --profile say --arg word=…"), "{text}");
    let warnings = world.run(&["servers", "check", "--json"]).succeeds().json()["warnings"].clone();
    let at = warnings.as_array().unwrap().iter().map(|it| it["at"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(at, ["profiles.fail", "profiles.wait"], "values in code are warned of");
    // The file of another broker, as its documentation has it, is understood as it is.
    let broker = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/src/origin/servers/broker.toml");
    write(&world, &std::fs::read_to_string(broker).unwrap());
    let words =
        ["run", "staging-api", "--profile", "logs", "--arg", "service=api", "--arg", "since=10 min ago"];
    let plan = world.run(&[&words[..], &["--plan", "--json"]].concat()).succeeds().json();
    assert_eq!(plan["command"], "journalctl -u 'api' --since '10 min ago' --no-pager");
}

/// A time limit, Ctrl-C and a killed client all end the whole process group on the host.
#[test]
fn a_profile_ends_with_its_client() {
    let Some(world) = with_servers(PROFILES) else { return };
    run(&world, &["fail", "--arg", "status=0"]).succeeds();
    let unique = |number: u32| format!("{}{number}", 100_000 + std::process::id());
    let is_running = |seconds: &str| processes_with(seconds).iter().any(|line| line.starts_with("sleep"));
    let limited = unique(1);
    let since = std::time::Instant::now();
    let said = run(&world, &["wait", "--arg", &format!("seconds={limited}"), "--timeout", "1", "--json"]);
    assert_eq!(said.ends_with(255).json()["error"], "timed_out");
    assert!(since.elapsed().as_secs() < 20 && !is_running(&limited));
    for (number, signal) in [(2, "-INT"), (3, "-KILL")] {
        let seconds = unique(number);
        let value = format!("seconds={seconds}");
        let mut child =
            world.command(&["run", "prod", "--profile", "wait", "--arg", &value]).spawn().unwrap();
        until("it runs", || is_running(&seconds));
        let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        child.wait().unwrap();
        until("all of it has ended", || !is_running(&seconds));
    }
}

/// An agent's tools go through the same gate as the commands.
#[test]
fn the_tools_run_profiles_and_nothing_else() {
    let Some(world) = with_servers(PROFILES) else { return };
    let mut peer = Peer::of(&world);
    let mut exec = |more: Value| {
        let mut arguments = json!({ "workspace": "prod" });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        peer.call("exec", arguments)
    };
    let said = exec(json!({ "profile": "say", "args": { "word": "a  'b' $HOME" } }));
    assert!(said.fine().starts_with("<a  'b' $HOME><it's a  'b' $HOME>\n[exit 0"), "{}", said.text());
    assert!(exec(json!({ "profile": "read", "stdin": "fed" })).fine().starts_with("fed\n[exit 0"));
    let failed = exec(json!({ "profile": "fail", "args": { "status": "7" } }));
    assert_eq!(failed.facts()["exit_code"], 7);
    let slow = exec(json!({ "profile": "wait", "args": { "seconds": "600" }, "timeout": 1 }));
    assert_eq!((slow.code(), &slow.facts()["timed_out"]), ("timed_out", &json!(true)));
    for (arguments, code) in [
        (json!({ "command": "ls" }), "policy_denied"),
        (json!({ "argv": ["printf"] }), "policy_denied"),
        (json!({ "profile": "other" }), "policy_denied"),
        (json!({ "profile": "say" }), "usage"),
        (json!({ "profile": "say", "command": "ls" }), "usage"),
        (json!({ "profile": "say", "args": { "word": "x" }, "cwd": "/" }), "usage"),
    ] {
        assert_eq!(exec(arguments.clone()).code(), code, "{arguments}");
    }
    let said = exec(json!({ "command": "ls" }));
    assert!(
        said.text().contains("hint: call `exec` with `profile`") && !said.text().contains("runcode servers")
    );
    for (tool, mut arguments) in [
        ("read", json!({ "path": "x" })),
        ("write", json!({ "path": "x", "content": "y" })),
        ("edit", json!({ "path": "x", "old": "y", "new": "z" })),
        ("glob", json!({ "pattern": "*" })),
        ("grep", json!({ "pattern": "x" })),
        ("context", json!({})),
        ("forward", json!({ "port": 80 })),
    ] {
        arguments["workspace"] = "prod".into();
        assert_eq!(peer.call(tool, arguments).code(), "policy_denied", "{tool}");
    }
}

/// What only shows something, or belongs to a profile, never lets a command run.
#[test]
fn plan_never_runs_a_command() {
    let Some(world) =
        with_servers(&format!("{PROFILES}[servers.free]\nauth_method = \"ssh\"\nhost = \"box\"\n"))
    else {
        return;
    };
    for option in [
        &["--plan"][..],
        &["--dry-run"],
        &["--request"],
        &["--arg", "word=x"],
        &["--arg-stdin", "word"],
        &["--approval", "x"],
    ] {
        for verb in [&["run", "free"][..], &["exec", "-w", "free"]] {
            let said = world.run(&[verb, option, &["--", "echo ran"]].concat());
            assert!(said.status == 255 && said.stdout.is_empty(), "{verb:?} {option:?}: {said:?}");
        }
    }
}
