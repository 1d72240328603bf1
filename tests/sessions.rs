//! What a session promises: one mint for many, healing before a command started and never after, nothing left behind.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;

use crate::support::{CommandOutput, World, is_running, processes_with, until, with_certificates};

fn spawn(world: &World, arguments: &[&str]) -> Child {
    world.command(arguments).spawn().unwrap()
}

/// A world whose plane writes an access log beside the workspace's folder.
fn logged() -> World {
    World::with(|options| options.access_log = Some(options.workspaces[0].dir.with_file_name("access.log")))
}

fn mints(world: &World) -> usize {
    let log = std::fs::read_to_string(world.home().join("access.log")).unwrap();
    log.lines().filter(|line| line.contains("ssh-session")).count()
}

#[test]
fn fifty_cold_commands_mint_one_session() {
    let world = logged();
    let children =
        (0..50).map(|i| (i, spawn(&world, &["run", "1", "--", &format!("echo {i}")]))).collect::<Vec<_>>();
    for (i, child) in children {
        assert_eq!(CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text(), format!("{i}\n"));
    }
    assert_eq!(mints(&world), 1);
}

#[test]
fn a_session_is_private_and_complete() {
    let world = World::new().connected();
    for (name, mode) in [
        ("", 0o700),
        ("id_ed25519", 0o600),
        ("id_ed25519.pub", 0o600),
        ("known_hosts", 0o600),
        ("config", 0o600),
        ("meta.json", 0o600),
    ] {
        let metadata = std::fs::metadata(world.cache("ws-1").join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    let config = std::fs::read_to_string(world.cache("ws-1/config")).unwrap();
    for line in [
        "IdentitiesOnly yes",
        "IdentityAgent none",
        "ForwardAgent no",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "CheckHostIP no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PreferredAuthentications publickey",
        "BatchMode yes",
        "PermitLocalCommand no",
        "ProxyCommand none",
        "RemoteCommand none",
        "RequestTTY auto",
        "ControlMaster auto",
        "ControlPersist 300",
        "ServerAliveInterval 15",
        "ServerAliveCountMax 3",
        "ConnectTimeout 15",
        "HostKeyAlias runcode-ws-1",
    ] {
        assert!(config.contains(line), "{line}");
    }
    let certificate = world.cache("ws-1/id_ed25519-cert.pub");
    assert_eq!(certificate.exists(), with_certificates());
    if with_certificates() {
        assert_eq!(std::fs::metadata(&certificate).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(config.contains(&format!("CertificateFile \"{}\"", certificate.display())), "{config}");
    } else {
        assert!(config.contains("CertificateFile none"), "{config}");
    }
}

#[test]
fn a_killed_master_keeps_its_session() {
    let world = logged().connected();
    let before = mints(&world);
    let pid = master_pid(&world);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(world.run(&["exec", "--", "echo again"]).succeeds().text(), "again\n");
    assert_eq!(mints(&world), before);
}

/// The process that listens on the session's socket.
fn master_pid(world: &World) -> i32 {
    let config = world.cache("ws-1/config");
    let output = std::process::Command::new("ssh")
        .arg("-F")
        .arg(config)
        .args(["-O", "check", "runcode-box"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split("pid=").nth(1).unwrap_or_else(|| panic!("{text}")).split(')').next().unwrap().parse().unwrap()
}

#[test]
fn a_revoked_key_is_renewed_before_anything_runs() {
    let world = World::new().connected();
    world.run(&["stop", "box", "--keep"]).succeeds();
    world.run(&["connect", "box", "--start", "--wait"]).succeeds();
    assert_eq!(world.run(&["exec", "--", "echo back"]).succeeds().text(), "back\n");
}

#[test]
fn a_restarted_gateway_is_reached_again() {
    for mut world in World::each().into_iter().map(World::connected) {
        world.restart_plane();
        assert_eq!(world.run(&["exec", "--", "echo again"]).succeeds().text(), "again\n");
    }
}

#[test]
fn an_outage_keeps_the_session() {
    for mut world in World::each().into_iter().map(World::connected) {
        let before = world.snapshot();
        world.stop_plane();
        let said = world.run(&["exec", "--", "echo no"]).ends_with(255);
        assert!(said.stdout.is_empty() && said.stderr.starts_with("runcode: "), "{said:?}");
        assert_eq!(
            world.snapshot().get(&world.cache("ws-1/meta.json")),
            before.get(&world.cache("ws-1/meta.json"))
        );
    }
}

#[test]
fn a_started_command_is_never_run_twice() {
    for mut world in World::each().into_iter().map(World::connected) {
        let child = spawn(&world, &["exec", "--", "echo ran >> marks; sleep 60"]);
        let marks = world.workspace().join("marks");
        until("it has started", || marks.exists());
        world.restart_plane();
        let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(255);
        assert!(said.stderr.contains("not run again") || said.stderr.contains("may"), "{said:?}");
        world.run(&["exec", "--", "true"]).succeeds();
        assert_eq!(std::fs::read_to_string(marks).unwrap(), "ran\n");
    }
}

#[test]
fn interrupt_and_timeout_end_remote_commands() {
    for world in World::each().into_iter().map(World::connected) {
        let started = world.workspace().join("started");
        let child = spawn(&world, &["exec", "--", "touch started; sleep 613 & wait"]);
        until("it has started", || started.exists());
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        CommandOutput::of(child.wait_with_output().unwrap()).ends_with(130);
        until("sleep is gone", || processes_with("sleep 613").is_empty());
        let said = world.run(&["exec", "--timeout", "1", "--", "sleep", "614"]).ends_with(255);
        assert!(said.stderr.contains("longer than 1 s"), "{said:?}");
        world
            .run(&["exec", "--json", "--timeout", "1", "--", "cd . && exec sleep 614"])
            .fails_as("timed_out", 255);
        until("sleep is gone", || processes_with("sleep 614").is_empty());
        world.run(&["exec", "--json", "--", "kill -9 $$"]).fails_as("killed", 255);
        until("sleep is gone", || processes_with("sleep 614").is_empty());
    }
}

#[test]
fn renewal_lets_commands_finish() {
    let world = World::with(|options| options.max_ttl = std::time::Duration::from_secs(60)).connected();
    let cache = world.cache("").to_string_lossy().into_owned();
    world.run(&["exec", "--", "true"]).succeeds();
    let first = master_pid(&world);
    let (started, go) = (world.workspace().join("started"), world.workspace().join("go"));
    // The session is as good as over at once, so every command renews it.
    let slow =
        spawn(&world, &["exec", "--", "touch started; while [ ! -e go ]; do sleep 0.05; done; echo whole"]);
    until("it has started", || started.exists());
    world.run(&["exec", "--", "true"]).succeeds();
    assert_ne!(master_pid(&world), first);
    std::fs::write(&go, "").unwrap();
    assert_eq!(CommandOutput::of(slow.wait_with_output().unwrap()).succeeds().text(), "whole\n");
    std::fs::remove_file(&go).unwrap();
    std::fs::remove_file(&started).unwrap();
    let slow = spawn(&world, &["exec", "--", "touch started; while [ ! -e go ]; do sleep 0.05; done"]);
    until("it has started", || started.exists());
    let second = master_pid(&world);
    world.run(&["exec", "--", "true"]).succeeds();
    world.run(&["disconnect"]).succeeds();
    CommandOutput::of(slow.wait_with_output().unwrap()).ends_with(255);
    until("no master is left", || !is_running(second) && processes_with(&cache).is_empty());
}

#[test]
fn disconnect_leaves_no_process_or_socket() {
    for world in World::each().into_iter().map(World::connected) {
        world.run(&["exec", "--", "true"]).succeeds();
        let cache = world.cache("").to_string_lossy().into_owned();
        assert!(!processes_with(&cache).is_empty(), "the master is up");
        world.run(&["disconnect"]).succeeds();
        assert_eq!(processes_with(&cache), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(world.cache("")).unwrap().count(), 0);
    }
}

#[test]
fn short_sessions_are_renewed_with_the_same_key() {
    let world = World::with(|options| options.max_ttl = std::time::Duration::from_secs(60)).connected();
    let key = std::fs::read(world.cache("ws-1/id_ed25519")).unwrap();
    assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["reused"], false);
    assert_eq!(std::fs::read(world.cache("ws-1/id_ed25519")).unwrap(), key);
    world.run(&["connect", "box", "--force"]).succeeds();
    assert_ne!(std::fs::read(world.cache("ws-1/id_ed25519")).unwrap(), key);
}

#[test]
fn a_certificate_session_needs_no_flag() {
    let world =
        World::with(|options| options.credential = runcode_gateway::CredentialMode::Certificate).connected();
    assert!(world.cache("ws-1/id_ed25519-cert.pub").exists());
    assert_eq!(world.run(&["exec", "--", "echo hi"]).succeeds().text(), "hi\n");
}

#[test]
fn odd_homes_work_impossible_ones_are_refused() {
    let world = World::new();
    for name in ["a b", "q'\"uote", "per%cent%h", "back\\slash", "ünï", "$(id)", "#hash", &"long".repeat(30)]
    {
        let home = world.home().join(name);
        std::fs::create_dir(&home).unwrap();
        let in_home = |arguments: &[&str]| {
            CommandOutput::of(world.command(arguments).env("HOME", &home).output().unwrap())
        };
        assert_eq!(in_home(&["run", "box", "--", "echo hi"]).succeeds().text(), "hi\n", "{name}");
        in_home(&["disconnect"]).succeeds();
    }
    for name in ["new\nline", "${HOME}"] {
        let home = world.home().join(name);
        std::fs::create_dir(&home).unwrap();
        CommandOutput::of(world.command(&["connect", "box", "--json"]).env("HOME", &home).output().unwrap())
            .fails_as("io", 1);
    }
}

#[test]
fn a_localhost_base_url_works() {
    let world = World::new();
    let base = world.base().replace("127.0.0.1", "localhost");
    assert_ne!(base, world.base());
    assert!(world.run_at(&base, &["list"]).succeeds().text().contains("box"));
}

#[test]
fn another_planes_session_is_not_reused() {
    let (world, other) = (World::new().connected(), World::new());
    let said = world.run_at(&other.base(), &["exec", "--", "true"]).ends_with(255);
    assert!(said.stderr.contains("belongs to"), "{said:?}");
    let mut command = world.command(&["connect", "1", "--json"]);
    command.env("RUNCODE_API_BASE", other.base()).env("RUNCODE_TOKEN", other.plane().token());
    assert_eq!(CommandOutput::of(command.output().unwrap()).succeeds().json()["reused"], false);
}

/// Workspaces of any plane count from 1.
#[test]
fn two_planes_keep_sessions_side_by_side() {
    let (world, other) = (World::new(), World::new());
    std::fs::write(other.workspace().join("mark"), "other").unwrap();
    std::fs::write(world.workspace().join("mark"), "world").unwrap();
    let of = |plane: &World, arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("RUNCODE_API_BASE", plane.base()).env("RUNCODE_TOKEN", plane.token());
        command
    };
    // Both are cold, and both are made at once.
    let planes = [&world, &other, &world, &other, &world, &other];
    let children = planes.map(|plane| of(plane, &["run", "1", "--", "cat", "mark"]).spawn().unwrap());
    for (child, expected) in children.into_iter().zip(["world", "other"].into_iter().cycle()) {
        assert_eq!(CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text(), expected);
    }
    let entries = std::fs::read_dir(world.cache("")).unwrap().flatten().map(|entry| entry.path());
    assert_eq!(entries.filter(|path| path.is_dir()).count(), 2);
    assert!(world.cache("ws-1").exists());
    let both = world.run(&["status", "--json"]).succeeds().json();
    let connected = |row: &serde_json::Value| row["workspace_id"] == 1 && row["connected"] == true;
    assert!(both.as_array().unwrap().len() == 2 && both.as_array().unwrap().iter().all(connected), "{both}");
    let mut theirs = String::new();
    for plane in [&world, &other] {
        let said =
            CommandOutput::of(of(plane, &["connect", "1", "--json"]).output().unwrap()).succeeds().json();
        assert_eq!((&said["reused"], &said["origin"]), (&true.into(), &"plane".into()));
        let config = said["config"].as_str().unwrap();
        let output =
            std::process::Command::new("ssh").args(["-F", config, "runcode-box", "cat mark"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(text, if plane.base() == world.base() { "world" } else { "other" });
        theirs = config.to_owned();
    }
    // Who goes takes nothing of the other's along, and neither moves to the other's place.
    CommandOutput::of(of(&world, &["clean", "1"]).output().unwrap()).succeeds();
    let said = CommandOutput::of(of(&other, &["connect", "1", "--json"]).output().unwrap()).succeeds().json();
    assert_eq!((&said["reused"], &said["config"]), (&true.into(), &theirs.as_str().into()));
    CommandOutput::of(of(&world, &["connect", "1"]).output().unwrap()).succeeds();
    assert_eq!(
        world.run(&["clean", "--all", "--json"]).succeeds().json()["cleaned"],
        serde_json::json!([1, 1])
    );
    assert_eq!(std::fs::read_dir(world.cache("")).unwrap().count(), 0);
    assert_eq!(processes_with(&world.cache("").to_string_lossy()), Vec::<String>::new());
}

/// What runcode 0.1 wrote names no origin and no title.
#[test]
fn older_sessions_are_read_as_they_are() {
    let world = World::new().connected();
    let pid = master_pid(&world);
    let strip = |name: &str| {
        let text = std::fs::read(world.cache(name)).unwrap();
        let mut value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let fields = value.as_object_mut().unwrap();
        assert!(fields.remove("origin").is_some() && fields.remove("title").is_some(), "{name}");
        for kept in ["workspace_id", "api_base"] {
            assert!(fields.contains_key(kept), "{name} has no {kept}");
        }
        std::fs::write(world.cache(name), value.to_string()).unwrap();
    };
    strip("ws-1/meta.json");
    std::fs::rename(world.attachment(), world.cache("current")).unwrap();
    strip("current");
    let current = world.run(&["current", "--json"]).succeeds().json();
    assert_eq!((&current["origin"], &current["name"]), (&"plane".into(), &"box".into()));
    assert_eq!(world.run(&["exec", "--", "echo hi"]).succeeds().text(), "hi\n");
    assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["reused"], true);
    assert_eq!(master_pid(&world), pid);
}

#[test]
fn a_name_prefers_this_planes_session() {
    let world = World::new().connected();
    let meta = std::fs::read_to_string(world.cache("ws-1/meta.json")).unwrap();
    for id in [7, 8] {
        let folder = world.cache(&format!("ws-{id}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let there = meta.replace("\"workspace_id\": 1", &format!("\"workspace_id\": {id}"));
        let there =
            there.replace(&world.base(), "https://plane.example").replace("/ws-1/", &format!("/ws-{id}/"));
        std::fs::write(folder.join("meta.json"), there).unwrap();
    }
    let ids = || [1, 7, 8].map(|id| world.cache(&format!("ws-{id}")).exists());
    world.run(&["clean", "box"]).succeeds();
    assert_eq!(ids(), [false, true, true]);
    let said = world.run(&["clean", "box", "--json"]).fails_as("ambiguous", 2);
    assert!(said.json()["message"].as_str().unwrap().contains("7, 8"), "{said:?}");
    assert_eq!(ids(), [false, true, true]);
    world.run(&["clean", "7"]).succeeds();
    world.run(&["clean", "box"]).succeeds();
    assert_eq!(ids(), [false; 3]);
}

#[test]
fn status_ends_no_running_command() {
    let world = World::with(|options| options.max_ttl = std::time::Duration::from_secs(2)).connected();
    let (started, go) = (world.workspace().join("started"), world.workspace().join("go"));
    let slow =
        spawn(&world, &["exec", "--", "touch started; while [ ! -e go ]; do sleep 0.05; done; echo whole"]);
    until("it has started", || started.exists());
    until("the session is over", || world.run(&["status"]).succeeds().text().starts_with("no active"));
    std::fs::write(&go, "").unwrap();
    assert_eq!(CommandOutput::of(slow.wait_with_output().unwrap()).succeeds().text(), "whole\n");
}

#[test]
fn ended_and_unknown_sessions_are_told_apart() {
    let world = World::with(|options| options.max_ttl = std::time::Duration::from_secs(1)).connected();
    until("the session is over", || world.run(&["status"]).succeeds().text().starts_with("no active"));
    assert!(world.run(&["status"]).text().contains("#1, which is attached, is renewed"));
    assert_eq!(world.run(&["clean", "--all", "--json"]).succeeds().json()["cleaned"], serde_json::json!([1]));
    world.run(&["connect", "99"]).ends_with(2);
    assert_eq!(world.run(&["clean", "99"]).succeeds().text(), "there was nothing to clean\n");
    assert!(world.run(&["status"]).text().contains("open one with"));
}
