//! Killed at any step: `kill -9` on the way into every system call that changes the disk, one after the other. Whatever
//! step it was, what is there afterwards is the old state or the new one, whole, and the next command works.

use std::path::Path;
use std::process::Command;

use super::assert_whole;
use super::crash_points::{Points, can_kill, killed_at};
use crate::support::fake_plane::{FakePlane, respond};
use crate::support::{CommandOutput, World, processes_with};

/// Every point of what writes sessions and tokens is tried, each time.
const ALL: Points = Points { usual: usize::MAX, of_threads: false };

#[test]
fn a_killed_connect_leaves_a_whole_session() {
    if !can_kill("connect killed at any step") {
        return;
    }
    let world = World::new().connected();
    let kills = killed_at(
        ALL,
        || world.command(&["connect", "1", "--force"]),
        |step| {
            let said = world.run(&["exec", "--", "echo alive"]);
            assert!(said.status == 0 && said.text() == "alive\n", "{step}: {said:?}");
            world.run(&["connect", "1"]).succeeds(); // takes the lock, and so clears up
            assert_whole(&world);
            let mut ssh = Command::new("ssh");
            ssh.arg("-F").arg(world.cache("ws-1/config")).args(["-O", "check", "runcode-box"]);
            assert!(ssh.output().unwrap().status.success(), "{step}");
        },
    );
    assert!(kills > 30, "only {kills} steps were found");
    world.run(&["clean", "--all"]).succeeds();
    assert_eq!(processes_with(&world.home().to_string_lossy()), Vec::<String>::new(), "a process is left");
}

#[test]
fn a_killed_first_connect_is_all_or_nothing() {
    if !can_kill("a first connect killed at any step") {
        return;
    }
    let world = World::new();
    let kills = killed_at(
        ALL,
        || {
            let _ = std::fs::remove_dir_all(world.cache(""));
            world.command(&["run", "1", "--", "true"])
        },
        |step| {
            let said = world.run(&["connect", "1", "--json"]);
            assert_eq!(said.status, 0, "{step}: {said:?}");
            assert_whole(&world);
            world.run(&["clean", "--all"]).succeeds();
        },
    );
    assert!(kills > 20, "only {kills} steps were found");
}

#[test]
fn a_killed_config_ssh_keeps_the_users_file() {
    if !can_kill("config-ssh killed at any step") {
        return;
    }
    let world = World::new();
    let own = "# mine\r\nHost *\n\tUser me\n\n# no newline at the end";
    let config = world.home().join(".ssh/config");
    std::fs::create_dir(world.home().join(".ssh")).unwrap();
    let block = {
        std::fs::write(&config, own).unwrap();
        world.run(&["config-ssh"]).succeeds();
        std::fs::read_to_string(&config).unwrap()
    };
    assert!(block.ends_with(own) && block.len() > own.len());
    let mut kills = 0;
    for (arguments, before) in [(&["config-ssh"][..], own), (&["config-ssh", "--remove"], block.as_str())] {
        kills += killed_at(
            ALL,
            || {
                std::fs::write(&config, before).unwrap();
                world.command(arguments)
            },
            |step| {
                let now = std::fs::read_to_string(&config).unwrap();
                assert!(now == own || now == block, "{arguments:?} {step}: {now}");
                let backup = std::fs::read_to_string(world.home().join(".ssh/config.bak")).unwrap();
                assert_eq!(backup, own, "{step}: the pristine file");
            },
        );
    }
    assert!(kills > 8, "only {kills} steps were found");
}

#[test]
fn a_killed_login_leaves_one_bound_token() {
    if !can_kill("login killed at any step") {
        return;
    }
    let list = |stream: &mut std::net::TcpStream| {
        respond(stream, 200, br#"{"error":false,"data":{"workspaces":[]}}"#)
    };
    let (one, two) =
        (FakePlane::start(move |_, stream| list(stream)), FakePlane::start(move |_, stream| list(stream)));
    let world = World::new();
    let login = |plane: &FakePlane, token: &str| {
        let file = world.home().join(token);
        std::fs::write(&file, token).unwrap();
        let mut command = world.command(&["login", "--paste"]);
        command.env("RUNCODE_API_BASE", plane.base()).env_remove("RUNCODE_TOKEN");
        super::in_shell(&format!("exec \"$@\" < '{}'", file.display()), &command)
    };
    let token = world.home().join(".config/runcode/token");
    // With a login to each plane in turn, each has its own.
    CommandOutput::of(login(&one, "token-one").output().unwrap()).succeeds();
    let mut kills = 0;
    for (plane, secret, other) in [(&two, "token-two", "token-one"), (&one, "token-one", "token-two")] {
        kills += killed_at(
            ALL,
            || {
                let before = if plane.base() == two.base() { &one } else { &two };
                CommandOutput::of(login(before, other).output().unwrap()).succeeds();
                login(plane, secret)
            },
            |step| {
                let saved = std::fs::read_to_string(&token).unwrap();
                assert_eq!(saved, "token-one", "{step}");
                for plane in [&one, &two] {
                    let mut command = world.command(&["list", "--json"]);
                    command.env("RUNCODE_API_BASE", plane.base()).env_remove("RUNCODE_TOKEN");
                    let said = CommandOutput::of(command.output().unwrap());
                    let may_lack = plane.base() == two.base() && said.status != 0;
                    assert!(
                        said.status == 0 || may_lack && said.json()["error"] == "no_token",
                        "{step}: {said:?}"
                    );
                }
            },
        );
    }
    assert!(kills > 10, "only {kills} steps were found");
    for (plane, foreign) in [(&one, "token-two"), (&two, "token-one")] {
        assert!(
            plane.seen().iter().all(|request| !request.text.contains(foreign)),
            "a token went to the other plane"
        );
    }
    world.run(&["logout", "--all"]).succeeds();
    assert_no_copy(world.home(), &["token-one", "token-two"]);
}

/// No file below the configuration holds one of the words.
fn assert_no_copy(home: &Path, words: &[&str]) {
    let folder = home.join(".config/runcode");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let content = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!words.iter().any(|word| content.contains(word)), "{}", entry.path().display());
    }
}
