//! Two agents at once, and fifty: never a corrupted session, a lost pointer, a stuck lock, a leaked process.

use std::process::Child;
use std::time::{Duration, Instant};

use super::{assert_whole, names};
use crate::support::{CommandOutput, World, processes_with};
#[test]
fn two_connects_at_once_attach_one_of_them() {
    let world = World::two();
    for _ in 0..3 {
        let spawn = |id: &str| world.command(&["connect", id, "--json"]).spawn().unwrap();
        let children = ["1", "2", "1", "2", "2", "1"].map(spawn);
        // While they are at it, the attachment is absent, or one of the two, and never half written.
        let mut running = children.into_iter().collect::<Vec<Child>>();
        while let Some(mut child) = running.pop() {
            while child.try_wait().unwrap().is_none() {
                let files = std::fs::read_dir(world.cache("attachments")).into_iter().flatten().flatten();
                for file in
                    files.map(|entry| entry.path()).filter(|path| path.extension() == Some("json".as_ref()))
                {
                    let pointer: serde_json::Value =
                        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
                    assert!([1, 2].contains(&pointer["workspace_id"].as_u64().unwrap()));
                }
            }
            CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
        }
        let id = world.run(&["current", "--json"]).succeeds().json()["workspace_id"].as_u64().unwrap();
        assert!(id == 1 || id == 2);
        assert_eq!(world.run(&["exec", "--", "echo hi"]).succeeds().text(), "hi\n");
        world.run(&["clean", "--all"]).succeeds();
    }
}

#[test]
fn fifty_mixed_commands_at_once_succeed() {
    let seconds = std::env::var("HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let world = World::new().connected();
    let own = "# mine\r\nHost *\n\tUser me";
    std::fs::create_dir(world.home().join(".ssh")).unwrap();
    std::fs::write(world.home().join(".ssh/config"), own).unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let jobs: [&[&str]; 11] = [
        &["connect", "1", "--json"],
        &["exec", "--json", "--", "echo hi"],
        &["run", "1", "--json", "--", "echo hi"],
        &["connect", "1", "--force", "--json"],
        &["disconnect", "--json"],
        &["status", "--json"],
        &["clean", "1", "--json"],
        &["exec", "--json", "--", "cat", "/dev/null"],
        &["config-ssh", "--json"],
        &["config-ssh", "--remove", "--json"],
        &["proxy", "1"],
    ];
    std::thread::scope(|scope| {
        let world = &world;
        for job in jobs {
            scope.spawn(move || {
                let mut done = 0;
                while Instant::now() < end {
                    let said = CommandOutput::of(world.command(job).output().unwrap());
                    // Another one may have detached, dropped or renewed in between: that is told, and nothing else is.
                    let is_told = said.status == 0
                        || said.stderr.starts_with("runcode: ")
                        || said
                            .text()
                            .lines()
                            .last()
                            .and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                            .is_some_and(|json| {
                                ["not_found", "transport"]
                                    .contains(&json["error"].as_str().unwrap_or_default())
                            }); // `exec` may have put out something before
                    assert!(is_told || job[0] == "proxy", "{job:?}: {said:?}");
                    // One whose connection was ended by another command says so, and has no status.
                    if said.status == 0 && job[0] == "run" {
                        assert_eq!(said.text(), "hi\n", "{said:?}");
                    }
                    done += 1;
                }
                assert!(done > 0, "{job:?} hung");
            });
        }
    });
    world.run(&["connect", "1"]).succeeds();
    assert_eq!(world.run(&["exec", "--", "echo after"]).succeeds().text(), "after\n");
    assert_whole(&world);
    world.run(&["clean", "--all"]).succeeds();
    assert_eq!(processes_with(&world.home().to_string_lossy()), Vec::<String>::new(), "a process is left");
    assert_eq!(names(&world.cache("")), ["config-ssh.lock"]);
    world.run(&["config-ssh", "--remove"]).succeeds();
    assert_eq!(std::fs::read_to_string(world.home().join(".ssh/config")).unwrap(), own);
}

/// Two planes, so two gateways with a key each; one cache.
#[test]
fn two_gateways_at_once_get_their_own_pins() {
    let one = World::new();
    let two = World::two();
    let here = |arguments: &[&str]| one.command(arguments);
    let there = |arguments: &[&str]| {
        let mut command = two.command(arguments);
        command.env("HOME", one.home()).current_dir(one.home());
        command
    };
    let children = (0..4).flat_map(|_| {
        [
            here(&["run", "1", "--", "echo one"]).spawn().unwrap(),
            there(&["run", "2", "--", "echo two"]).spawn().unwrap(),
        ]
    });
    let texts = children
        .collect::<Vec<_>>()
        .into_iter()
        .map(|child| CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text().to_owned());
    let mut texts = texts.collect::<Vec<_>>();
    texts.sort();
    assert_eq!(texts, [["one\n"; 4], ["two\n"; 4]].concat());
    let pins = |id| std::fs::read_to_string(one.cache(&format!("ws-{id}/known_hosts"))).unwrap();
    assert_ne!(pins(1).split_once(' ').unwrap().1, pins(2).split_once(' ').unwrap().1);
    assert!(pins(1).starts_with("runcode-ws-1 ") && pins(2).starts_with("runcode-ws-2 "));
}

/// The holder of a lock dies: the kernel frees it, and nobody waits for a ghost.
#[test]
fn a_killed_holder_frees_its_lock() {
    let world = World::new();
    let plane = crate::support::fake_plane::FakePlane::start(|_, stream| {
        let _ = std::io::Read::read(stream, &mut [0]); // never answers
    });
    let mut child = world.command(&["connect", "1"]).env("RUNCODE_API_BASE", plane.base()).spawn().unwrap();
    crate::support::until("it holds the lock", || !plane.seen().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    world.run(&["connect", "1"]).succeeds();
    assert!(start.elapsed() < Duration::from_secs(20));
}
