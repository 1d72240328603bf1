//! Machines that are not like ours: folders that cannot be written or take no sockets, and a user without a name.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{CommandOutput, World};

/// An `ssh` that runs `lines` before it becomes the real one.
fn ssh_that(world: &World, lines: &str) -> PathBuf {
    let path = world.home().join("odd-ssh");
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("ssh"))
        .find(|path| path.is_file())
        .unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\nexec '{}' \"$@\"\n", real.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What ssh says where it can make no socket, or give it no second name.
const REFUSALS: [&str; 2] = [
    "unix_listener: cannot bind to path /h/master.x: Operation not permitted",
    "muxserver_listen: link mux listener /h/master.x => /h/master: Operation not permitted",
];

#[test]
fn sockets_lie_where_ssh_can_make_them() {
    for refusal in REFUSALS {
        let world = World::new();
        let lines = format!(
            "case \" $* \" in *' -M '*) grep -q 'ControlPath.*ws-1/master' '{}' && {{ echo '{refusal}' >&2; exit 255; }};; esac",
            world.cache("ws-1/config").display()
        );
        let ssh = ssh_that(&world, &lines);
        let run = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            CommandOutput::of(
                command.env("RUNCODE_SSH", &ssh).env("XDG_RUNTIME_DIR", world.home()).output().unwrap(),
            )
        };
        let said = run(&["connect", "box"]).succeeds();
        assert!(!said.stderr.contains("note:"), "{}", said.stderr);
        assert_eq!(run(&["exec", "--", "echo here"]).succeeds().text(), "here\n");
        let status = run(&["status", "--json"]).succeeds().json();
        assert!(status.to_string().contains("\"connected\":true"), "{status}");
        let config = std::fs::read_to_string(world.cache("ws-1/config")).unwrap();
        assert!(config.contains(&format!("{}/runcode/", world.home().display())), "{config}");
        run(&["connect", "box", "--force"]).succeeds();
        let config = std::fs::read_to_string(world.cache("ws-1/config")).unwrap();
        assert!(!config.contains("ws-1/master"), "that is remembered: {config}");
        run(&["clean", "--all"]).succeeds();
    }
}

#[test]
fn no_place_for_a_socket_is_told() {
    let world = World::new();
    let ssh =
        ssh_that(&world, &format!("case \" $* \" in *' -M '*) echo '{}' >&2; exit 255;; esac", REFUSALS[0]));
    let mut command = world.command(&["run", "1", "--json", "--", "true"]);
    let said =
        CommandOutput::of(command.env("RUNCODE_SSH", ssh).output().unwrap()).fails_as("transport", 255);
    assert!(said.json()["hint"].as_str().unwrap().contains("XDG_RUNTIME_DIR"), "{said:?}");
}

#[test]
fn a_user_id_without_a_name_is_told_at_once() {
    let worlds = [Some((World::new(), "box")), World::own_host().map(|world| (world, "ssh:box"))];
    for (world, name) in worlds.into_iter().flatten() {
        let ssh = ssh_that(&world, "echo 'No user exists for uid 54321' >&2; exit 255");
        let run = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            CommandOutput::of(command.env("RUNCODE_SSH", &ssh).output().unwrap())
        };
        let began = Instant::now();
        for (arguments, status) in [
            (&["connect", name, "--json"][..], 2),
            (&["connect", name, "--wait", "--json"], 2),
            (&["run", name, "--json", "--", "true"], 255),
        ] {
            let said = run(arguments).fails_as("unavailable", status).json();
            assert!(said["message"].as_str().unwrap().contains("54321"), "{arguments:?}: {said}");
            assert!(said["hint"].as_str().unwrap().contains("/etc/passwd"), "{arguments:?}: {said}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(!world.cache("attachments").exists(), "nothing is attached");
        let doctor = run(&["doctor", "--json"]).ends_with(1).json();
        assert!(doctor["checks"][0]["detail"].as_str().unwrap().contains("54321"), "{doctor}");
    }
}

/// A folder in which even root may make nothing.
#[test]
fn a_folder_that_cannot_be_written_is_told() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let world = World::new();
    let at = |variable: &str, arguments: &[&str]| {
        let mut command = world.command(arguments);
        CommandOutput::of(command.env(variable, "/sys/kernel").output().unwrap())
    };
    for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
        let doctor = at(variable, &["doctor", "--json"]).ends_with(1).json();
        let check =
            doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "cache").unwrap();
        assert!(check["status"] == "fail" && check["fix"].as_str().unwrap().contains(variable), "{check}");
    }
    for arguments in [&["connect", "box", "--json"][..], &["config-ssh", "--json"]] {
        let said = at("XDG_CACHE_HOME", arguments).fails_as("io", 1).json();
        assert!(said["hint"].as_str().unwrap().contains("XDG_CACHE_HOME"), "{said}");
    }
    let mut login = world.command(&["login", "--paste", "--json"]);
    let said = CommandOutput::of(crate::support::feed(
        login.env("XDG_CONFIG_HOME", "/sys/kernel"),
        world.token().as_bytes(),
    ));
    assert!(said.fails_as("io", 1).json()["hint"].as_str().unwrap().contains("XDG_CONFIG_HOME"));
}
