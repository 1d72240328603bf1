//! Hosts of the user's own: whatever ssh reaches is a workspace, by the user's config, without a login or a file of ours.

pub(crate) mod configs;
pub(crate) mod forged;
pub(crate) mod login;
pub(crate) mod moves;

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::fake_plane::FakePlane;
use crate::support::{CommandOutput, World, processes_with, until};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The world with more lines at the start of its ssh config.
fn with_config(lines: &str) -> Option<World> {
    let world = World::own_host()?;
    let config = world.home().join(".ssh/config");
    std::fs::write(&config, format!("{lines}\n{}", read(&config))).unwrap();
    Some(world)
}

#[test]
fn a_host_of_the_ssh_config_works_at_once() {
    let Some(world) = World::own_host() else { return };
    let before = read(&world.home().join(".ssh/known_hosts"));
    let said = world.run(&["connect", "box", "--json"]).succeeds().json();
    for (name, value) in [
        ("origin", json!("ssh")),
        ("name", json!("box")),
        ("command", json!(["ssh", "box"])),
        ("host", json!("127.0.0.1")),
        ("config", Value::Null),
        ("expires_at", Value::Null),
        ("workspace_id", Value::Null),
        ("web_url", Value::Null),
        ("workdir", Value::Null),
        ("reused", json!(false)),
    ] {
        assert_eq!(said[name], value, "{name}: {said}");
    }
    assert!(world.run(&["connect", "ssh:box"]).succeeds().text().contains("ssh:box"));
    let home = world.home();
    std::fs::write(home.join("local"), "content").unwrap();
    // Without a workdir everything starts in the login folder, which is the account's own; the tests stay in theirs.
    let folder = world.workspace();
    let at = |name: &str| folder.join(name).display().to_string();
    assert_eq!(world.run(&["exec", "--", "echo", "a b"]).succeeds().text(), "a b\n");
    world.run(&["put", "local", &at("there")]).succeeds();
    assert_eq!(read(&folder.join("there")), "content");
    world.run(&["get", &at("there"), "--out", "back"]).succeeds();
    assert_eq!(read(&home.join("back")), "content");
    world.run_with(&["write", &at("written")], b"bytes").succeeds();
    assert_eq!(read(&folder.join("written")), "bytes");
    assert_eq!(world.run(&["context", "--json"]).succeeds().json()["origin"], "ssh");
    let status = world.run(&["status", "--json"]).succeeds().json();
    assert_eq!((&status[0]["origin"], &status[0]["connected"]), (&json!("ssh"), &json!(true)), "{status}");
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["name"], "box");
    assert!(world.run(&["statusline", "--plain"]).succeeds().text().contains("box"));
    assert!(world.run(&["config-ssh"]).stderr.contains("runcode login"));
    world.run(&["disconnect"]).succeeds();
    assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new());
    assert_eq!(read(&world.home().join(".ssh/known_hosts")), before);
}

/// Whoever shares a workspace chooses its titles: none of them takes a name that the user's own hosts have.
#[test]
fn a_teammate_takes_no_own_hosts_name() {
    let Some(world) = with_config("Host prod\n  User nobody") else { return };
    world.run(&["connect", "box"]).succeeds();
    let row = |title: &str, custom: &str| json!([{"id": 9, "title": title, "custom_title": custom, "provider": "aws", "current_state": "running"}]);
    let at = |plane: &FakePlane, arguments: &[&str], named: Option<&str>| {
        let mut command = world.command(arguments);
        command.env("RUNCODE_API_BASE", plane.base()).env("RUNCODE_TOKEN", "rc-token");
        named.map(|named| command.env("RUNCODE_WORKSPACE", named));
        CommandOutput::of(command.output().unwrap())
    };
    for (name, title, custom) in [("box", "mate-1", "box"), ("prod", "Prod", ""), ("prod", "x", "prod")] {
        let plane = FakePlane::listing(json!([]), row(title, custom));
        for said in [
            at(&plane, &["run", name, "--json", "--", "true"], None).fails_as("ambiguous", 255),
            at(&plane, &["connect", name, "--json"], None).fails_as("ambiguous", 2),
            at(&plane, &["exec", "--json", "--", "true"], Some(name)).fails_as("ambiguous", 255),
        ] {
            let message = said.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&format!("ssh:{name}, and also 9")), "{message}");
        }
        assert!(plane.seen().iter().all(|request| !request.line.contains("ssh-session")));
        // One's own comes before the host.
        let own = FakePlane::listing(row(title, custom), json!([]));
        at(&own, &["connect", name], None);
        assert!(own.seen().iter().any(|request| request.line.contains("/9/ssh-session")));
    }
    world.run(&["run", "ssh:box", "--", "true"]).succeeds();
}

#[test]
fn forwards_come_and_go() {
    let Some(world) = World::own_host() else { return };
    let world = world.connected();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"hello").unwrap();
    });
    let said = world.run(&["forward", &port.to_string(), "--local", "0", "--json"]).succeeds().json();
    let local = said["forwards"][0]["local"].as_u64().unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", u16::try_from(local).unwrap())).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert_eq!(text, "hello");
    answer.join().unwrap();
}

#[test]
fn bad_destinations_start_nothing() {
    let Some(world) = World::own_host() else { return };
    let long = format!("ssh:{}", "x".repeat(300));
    for bad in [
        "ssh:-oProxyCommand=touch hacked",
        "ssh:a b",
        "ssh:a'b",
        "ssh:$(id)",
        "ssh:a\tb",
        "ssh:",
        "-x@box",
        &long,
    ] {
        for verb in [&["connect", "--json", "--", bad][..], &["run", bad, "--", "true"]] {
            let said = world.run(verb);
            assert!(matches!(said.status, 2 | 255), "{bad}: {said:?}");
        }
        world.run(&["connect", "--json", "--", bad]).fails_as("usage", 2);
    }
    assert_eq!(read(&world.home().join("calls")), "");
    assert!(!world.home().join(".cache").exists());
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    let Some(world) = with_config("Host build-box build-two\n  Port 1\nHost gpu-*\n  User me") else {
        return;
    };
    let said = world.run(&["connect", "biuld-box", "--json"]).fails_as("not_found", 2);
    let hint = said.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("ssh:build-box") && !hint.contains("gpu-*"), "{hint}");
    world.run(&["exec", "--", "true"]).ends_with(255);
}

#[test]
fn a_config_for_terminals_is_in_nobodys_way() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let lines = format!(
        "Host box\n  RemoteCommand tmux attach\n  RequestTTY force\n  LocalForward {port} localhost:80\n\
         \x20 ExitOnForwardFailure yes\n  ControlMaster auto\n  ControlPath ~/.ssh/own-%C\n  ControlPersist yes\n\
         \x20 PermitLocalCommand yes\n  LocalCommand echo noise\n  StdinNull yes\n  ForkAfterAuthentication yes\n\
         \x20 SessionType none\n  LogLevel QUIET\n  SendEnv *"
    );
    let Some(world) = with_config(&lines) else { return };
    let world = world.connected();
    for transport in ["mux", "openssh"] {
        let mut exec = world.command(&["exec", "--", "cat; env; exit 3"]);
        exec.env("RUNCODE_TRANSPORT", transport).env("RUNCODE_TOKEN", "rc-secret").env("SOME_SECRET", "leak");
        let mut child = exec.stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"in\n").unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(3);
        assert!(said.text().starts_with("in\n"), "{transport}: {said:?}");
        for leak in ["rc-secret", "leak", "noise"] {
            assert!(!said.text().contains(leak), "{transport}: {leak}");
        }
        assert_eq!(said.stderr, "", "{transport}");
    }
    let home = world.home().join(".ssh");
    let names =
        std::fs::read_dir(home).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.starts_with("own-")), "the user's own master was made");
}

#[test]
fn the_workdir_is_any_folder_and_remembered() {
    let Some(world) = World::own_host() else { return };
    let odd = world.home().join("a b'$(x)\"!\\é");
    std::fs::create_dir(&odd).unwrap();
    let odd = odd.to_str().unwrap();
    for (workdir, expected) in [(odd, odd.to_owned()), ("~", String::new()), ("~/", String::new())] {
        world.run(&["connect", "box", "--workdir", workdir]).succeeds();
        let account =
            world.run(&["exec", "--home", "--", "cd ~ && pwd"]).succeeds().text().trim_end().to_owned();
        let expected = if expected.is_empty() { account } else { expected };
        let said = world.run(&["exec", "--", "pwd"]).succeeds();
        assert_eq!(said.text().trim_end(), expected, "{workdir}");
    }
    world.run(&["connect", "box", "--workdir", odd]).succeeds();
    world.run_with(&["write", "deep/file"], b"x").succeeds();
    assert_eq!(read(&Path::new(odd).join("deep/file")), "x");
    assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["workdir"], odd);
    // A missing one changes nothing.
    let said = world.run(&["connect", "box", "--workdir", "/no/such", "--json"]).fails_as("not_found", 1);
    assert!(said.json()["message"].as_str().unwrap().contains("/no/such"));
    assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["workdir"], odd);
    world.run(&["disconnect"]).succeeds();
    assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["workdir"], Value::Null);
    for bad in ["relative", "~root", "/a\nb", ""] {
        world.run(&["connect", "box", "--workdir", bad, "--json"]).fails_as("usage", 2);
    }
}

#[test]
fn two_names_are_two_sessions() {
    let Some(world) = with_config(
        "Host other\n  HostName 127.0.0.1\n  SetEnv LC_WHICH=other\nHost box\n  SetEnv LC_WHICH=box",
    ) else {
        return;
    };
    let config = world.home().join(".ssh/config");
    let text = read(&config);
    let port = text.lines().find_map(|line| line.trim().strip_prefix("Port ")).unwrap().to_owned();
    let identity = world.home().join(".ssh/id");
    std::fs::write(
        &config,
        format!("Host other\n  Port {port}\n  IdentityFile {}\n{text}", identity.display()),
    )
    .unwrap();
    world.run(&["connect", "box"]).succeeds();
    world.run(&["connect", "other"]).succeeds();
    let status = world.run(&["status", "--json"]).succeeds().json();
    let names: Vec<&str> =
        status.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{status}");
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["name"], "other");
    assert_eq!(world.run(&["run", "ssh:box", "--", "true"]).status, 0);
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["name"], "other");
    world.run(&["disconnect", "box"]).ends_with(2);
    world.run(&["disconnect", "other"]).succeeds();
}

#[test]
fn list_needs_no_login() {
    let Some(world) = World::own_host() else { return };
    let said = world.run(&["list", "--json"]).succeeds();
    assert_eq!(said.json(), json!([]));
    for part in ["not logged in", "runcode connect box\n", "      your ssh config has box\n"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    let world = world.connected();
    assert!(world.run(&["list"]).succeeds().stderr.contains("attached here: ssh:box"));
    let said = world.run(&["config-ssh", "--json"]).fails_as("no_token", 1).json();
    assert!(said["hint"].as_str().unwrap().contains("`ssh HOST` works as it is"), "{said}");
    let said = world.run(&["stop", "--json"]).fails_as("unavailable", 2).json();
    assert!(said["hint"].as_str().unwrap().contains("servers init"), "{said}");
}

#[test]
fn completions_offer_the_users_hosts() {
    let Some(world) = with_config("Host build-box\n  Port 1\nHost *.corp\n  User me") else { return };
    let mut complete = world.command(&["--", "runcode", "connect", "b"]);
    let said = CommandOutput::of(complete.env("RUNCODE_COMPLETE", "zsh").output().unwrap()).succeeds();
    assert_eq!(said.text(), "box\tin your ssh config\nbuild-box\tin your ssh config\n", "{said:?}");
}

#[test]
fn doctor_says_why_ssh_fails() {
    let Some(mut world) = with_config(
        "Host gone\n  HostName no-such-host.invalid\nHost refused\n  HostName 127.0.0.1\n  Port 1",
    ) else {
        return;
    };
    let find = |said: &Value, name: &str| {
        let checks = said["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {said}")).clone()
    };
    let well = world.run(&["doctor", "ssh:box", "--json"]);
    for name in ["ssh-config", "ssh-login", "ssh-shell", "ssh-room", "ssh-clock"] {
        assert_ne!(find(&well.json(), name)["status"], "fail", "{well:?}");
    }
    for (host, part) in [("gone", "no host of this name"), ("refused", "nothing listens")] {
        let said = world.run(&["doctor", &format!("ssh:{host}"), "--json"]).ends_with(1).json();
        let check = find(&said, "ssh-login");
        assert_eq!(check["status"], "fail");
        assert!(check["detail"].as_str().unwrap().contains(part), "{check}");
        assert!(check["detail"].as_str().unwrap().contains(&format!("ssh -v {host}")), "{check}");
    }
    let noisy = world.home().join("noisy");
    std::fs::write(&noisy, "#!/bin/sh\necho welcome\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n").unwrap();
    let line = format!("ForceCommand sh {}\n", noisy.display());
    world.own_sshd().restart_with(&line);
    let said = world.run(&["doctor", "ssh:box", "--json"]).json();
    let check = find(&said, "ssh-shell");
    assert_eq!(check["status"], "warn", "{said}");
    assert!(check["detail"].as_str().unwrap().contains("welcome"), "{check}");
}

#[test]
fn secrets_stay_out_of_the_command_line() {
    let Some(world) = World::own_host() else { return };
    let world = world.connected();
    for name in ["MY_TOKEN", "OPENAI_BASE_URL", "password"] {
        let said =
            world.run(&["exec", "--env", &format!("{name}=rc-secret"), "--", "echo ran"]).ends_with(255);
        assert!(said.stderr.contains(&format!("--env-secret {name}")) && said.stdout.is_empty(), "{said:?}");
    }
    for bad in ["X 1 id=x", "X;touch hacked=1", "NOT_SET_ANYWHERE"] {
        let said = world.run(&["exec", "--env-secret", bad, "--", "echo ran"]).ends_with(255);
        assert!(said.stdout.is_empty(), "{bad}");
    }
    for transport in ["mux", "openssh"] {
        let shown = "echo \"$MY_TOKEN\"; tr '\\0' ' ' < /proc/$PPID/cmdline; tr '\\0' ' ' < /proc/$$/cmdline";
        let mut exec = world.command(&["exec", "--env", "CI=1", "--env-secret", "MY_TOKEN", "--", shown]);
        exec.env("MY_TOKEN", "it's a secret").env("RUNCODE_TRANSPORT", transport);
        let said = CommandOutput::of(exec.output().unwrap()).succeeds();
        assert_eq!(said.text().matches("a secret").count(), 1, "{transport}: {said:?}");
        assert!(said.text().starts_with("it's a secret\n"), "{transport}: {said:?}");
    }
}

/// What the user's ssh is called with, apart from questions.
fn calls(world: &World) -> Vec<String> {
    read(&world.home().join("calls"))
        .lines()
        .filter(|line| !line.starts_with("-G"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn warm_commands_start_no_ssh() {
    let Some(world) = World::own_host() else { return };
    let world = world.connected();
    let before = calls(&world);
    assert_eq!(before.len(), 1, "{before:?}");
    for _ in 0..3 {
        world.run(&["exec", "--", "true"]).succeeds();
    }
    assert_eq!(calls(&world), before);
    until("the master is one process", || {
        processes_with(world.session_file("master").to_str().unwrap()).len() == 1
    });
}
