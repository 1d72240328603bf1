//! What changes the state of this machine apart from sessions, killed at any step.

use std::fs;

use serde_json::{Value, json};

use super::crash_points::{Points, age, can_kill, killed_at};
use super::names;
use crate::support::fake_plane::{FakePlane, respond};
use crate::support::{CommandOutput, World, processes_with};

/// The points of each command that are tried.
const USUAL: Points = Points { usual: 8, of_threads: false };

#[test]
fn a_killed_detach_can_be_repeated() {
    if !can_kill("detaching killed at any step") {
        return;
    }
    let world = World::new();
    for arguments in
        [&["disconnect", "--json"][..], &["disconnect", "--keep"], &["clean", "1"], &["clean", "--all"]]
    {
        let command = || {
            world.run(&["connect", "1"]).succeeds();
            world.command(arguments)
        };
        let kills = killed_at(USUAL, command, |step| {
            let current = world.run(&["current", "--json"]).succeeds().json();
            let id = &current["workspace_id"];
            assert!(*id == json!(1) || *id == json!(null), "{arguments:?} {step}: {current}");
            let said = world.run(arguments);
            assert_eq!(said.status, 0, "{arguments:?} {step}: {said:?}");
            assert_eq!(world.run(&["run", "1", "--", "echo in"]).succeeds().text(), "in\n", "{step}");
            world.run(&["clean", "--all"]).succeeds();
            assert_eq!(names(&world.cache("")), Vec::<String>::new(), "{arguments:?} {step}");
            assert_eq!(processes_with(&world.home().to_string_lossy()), Vec::<String>::new(), "{step}");
        });
        assert!(kills > 2, "{arguments:?}: only {kills} steps were found");
    }
}

#[test]
fn a_killed_forward_is_all_or_nothing() {
    if !can_kill("forwards killed at any step") {
        return;
    }
    let world = World::new().connected();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let opening = ["forward", "9", "--local", &port];
    let listed = || world.run(&["forward", "--list", "--json"]).succeeds().json()["forwards"].clone();
    let count = |rows: &Value| rows.as_array().unwrap().len();
    let mut kills = killed_at(
        USUAL,
        || {
            world.run(&["forward", "--cancel"]).succeeds();
            // A forward that a killed command opened is on no list: only its connection's end takes it away.
            world.run(&["connect", "1", "--force"]).succeeds();
            world.command(&opening)
        },
        |step| {
            assert!(count(&listed()) <= 1, "{step}");
            let said = world.run(&opening);
            assert_eq!(said.status, 0, "{step}: {said:?}");
            assert_eq!(listed()[0]["active"], true, "{step}");
        },
    );
    kills += killed_at(
        USUAL,
        || {
            world.run(&opening).succeeds();
            world.command(&["forward", "--cancel"])
        },
        |step| {
            assert!(count(&listed()) <= 1, "{step}");
            world.run(&["forward", "--cancel"]).succeeds();
            assert_eq!(count(&listed()), 0, "{step}");
            assert!(
                std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err(),
                "{step}: it is still open"
            );
        },
    );
    assert!(kills > 5, "only {kills} steps were found");
}

#[test]
fn a_killed_statusline_install_keeps_settings() {
    if !can_kill("install-statusline killed at any step") {
        return;
    }
    let world = World::new();
    let settings = world.home().join(".claude/settings.json");
    fs::create_dir(world.home().join(".claude")).unwrap();
    let own = "{\n  \"model\": \"opus\",\n  \"hooks\": {}\n}\n";
    fs::write(&settings, own).unwrap();
    world.run(&["install-statusline"]).succeeds();
    let installed = fs::read_to_string(&settings).unwrap();
    assert_ne!(installed, own);
    let mut kills = 0;
    for (arguments, before) in
        [(&["install-statusline"][..], own), (&["install-statusline", "--remove"], &installed)]
    {
        let command = || {
            fs::write(&settings, before).unwrap();
            world.command(arguments)
        };
        kills += killed_at(USUAL, command, |step| {
            let now = fs::read_to_string(&settings).unwrap();
            assert!(now == own || now == installed, "{arguments:?} {step}: {now}");
            age(&world.home().join(".claude"));
            let said = CommandOutput::of(command().output().unwrap());
            assert_eq!(said.status, 0, "{arguments:?} {step}: {said:?}");
            let left = names(&world.home().join(".claude"));
            assert!(left.iter().all(|name| !name.starts_with('.')), "{arguments:?} {step}: {left:?}");
        });
    }
    assert!(kills > 4, "only {kills} steps were found");
}

#[test]
fn a_killed_logout_leaves_the_token_or_none() {
    if !can_kill("logout killed at any step") {
        return;
    }
    let world = World::new();
    let token = world.home().join(".config/runcode/token");
    // It lets everybody in, and cannot revoke a token: each round logs in with the same one.
    let plane = FakePlane::start(|request, stream| match request.line.starts_with("GET ") {
        true => respond(stream, 200, br#"{"error": false, "data": {"workspaces": []}}"#),
        false => respond(stream, 404, b"{}"),
    });
    let at = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("RUNCODE_API_BASE", plane.base()).env_remove("RUNCODE_TOKEN");
        command
    };
    let pasted = world.home().join("pasted");
    fs::write(&pasted, world.token()).unwrap();
    let command = || {
        let mut login = at(&["login", "--paste"]);
        login.stdin(fs::File::open(&pasted).unwrap());
        CommandOutput::of(login.output().unwrap()).succeeds();
        at(&["logout"])
    };
    let kills = killed_at(USUAL, command, |step| {
        if let Ok(saved) = fs::read_to_string(&token) {
            assert_eq!(saved, world.token(), "{step}");
        }
        CommandOutput::of(at(&["logout"]).output().unwrap()).succeeds();
        assert!(!token.exists(), "{step}");
        let left = names(&world.home().join(".config/runcode"));
        assert_eq!(left, Vec::<String>::new(), "{step}: nothing of the token is left");
    });
    assert!(kills > 1, "only {kills} steps were found");
}
