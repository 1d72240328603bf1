//! Spare channels: used where they should be, never stale, never in the way, and gone with the session.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Case, long_sleep, on_every_origin, signal, started};
use crate::support::{CommandOutput, World, is_running, processes_with, until};

/// A command that prints 1 if it runs in what was a spare channel, whose shell has our words in its arguments, and 0 if not.
const IS_SPARE: &str = "grep -c KSH_VERSION /proc/$$/cmdline; true";

/// How long a keeper takes to learn that a command has ended.
const TOLD: Duration = Duration::from_millis(150);

/// What the session's keeper says: its process id and its state, or why there is no spare.
fn told(world: &World) -> Option<(String, String)> {
    let folders = std::fs::read_dir(world.cache("")).ok()?.flatten().map(|entry| entry.path());
    let path = folders.map(|folder| folder.join("spare")).find(|path| path.exists())?;
    let text = std::fs::read_to_string(path).ok()?;
    let (pid, state) = text.split_once(' ')?;
    Some((pid.to_owned(), state.to_owned()))
}

fn keeper(world: &World) -> Option<i32> {
    told(world)?.0.parse().ok().filter(|pid| is_running(*pid))
}

/// Waits until a spare is ready, or none is to be expected.
pub(super) fn settle(world: &World) {
    let began = Instant::now();
    loop {
        let is_due = match told(world) {
            Some((pid, state)) if pid != "off" && state == "opening" => {
                began.elapsed() < Duration::from_secs(10)
            }
            Some((_, state)) if state == "busy" => began.elapsed() < TOLD,
            _ => false,
        };
        if !is_due || keeper(world).is_none() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a spare.
#[track_caller]
fn ready(world: &World) {
    let is_ready = || told(world).is_some_and(|(_, state)| state == "ready");
    until("there is a spare", is_ready);
}

/// What runs of the world's keepers.
fn keepers(world: &World) -> Vec<String> {
    let mut found = processes_with(world.cache("").to_str().unwrap());
    found.retain(|arguments| arguments.starts_with("runcode spare "));
    found
}

fn in_spares(test: impl Fn(&Case<'_>) + Sync) {
    on_every_origin(|case| {
        if case.transport == "spare" {
            case.run(&["--", "true"]).succeeds();
            ready(case.world);
            test(case);
        }
    });
}

fn is_spare(case: &Case<'_>) -> bool {
    case.run(&["--", IS_SPARE]).succeeds().text() == "1\n"
}

#[test]
fn spares_serve_one_command_after_another() {
    in_spares(|case| {
        for _ in 0..5 {
            assert!(is_spare(case));
            ready(case.world);
            let as_words = ["--", "sh", "-c", "cat; grep -c KSH_VERSION /proc/$PPID/cmdline; exit 7"];
            let mut command = case.command(&as_words);
            let said = CommandOutput::of(crate::support::feed(&mut command, b"fed\0\n"));
            assert_eq!((said.stdout.as_slice(), said.status), (&b"fed\0\n1\n"[..], 7), "{said:?}");
            ready(case.world);
        }
        assert_eq!(keepers(case.world).len(), 1);
        let mut plain = case.command(&["--", IS_SPARE]);
        plain.env("RUNCODE_SPARE", "off");
        assert_eq!(CommandOutput::of(plain.output().unwrap()).succeeds().text(), "0\n");
        let long = format!("{IS_SPARE} # {}", "x".repeat(40_000));
        assert_eq!(case.run(&["--", &long]).succeeds().text(), "0\n");
    });
}

#[test]
fn a_spare_is_never_stale() {
    in_spares(|case| {
        let start_up = case.run(&["--home", "--", "echo ~/.bashrc"]).succeeds().text().trim().to_owned();
        let before = std::fs::read(&start_up).unwrap_or_default();
        for round in 0..10 {
            ready(case.world);
            let change = format!("echo 'FRESH={round}' >> ~/.bashrc");
            case.run(&["--home", "--", &change]).succeeds();
            let said = case.run(&["--", "echo $FRESH"]).succeeds();
            if said.text() == "\n" {
                break; // this workspace's shell has no such file
            }
            assert_eq!(said.text(), format!("{round}\n"));
        }
        std::fs::write(&start_up, before).unwrap();
    });
}

/// A command beside another one that runs, or that a killed client left behind, may not rely on what a shell read earlier.
#[test]
fn no_spare_serves_beside_another_command() {
    in_spares(|case| {
        let sleep = long_sleep();
        let mut child = started(case, &["--", &format!("echo up; {sleep}")]);
        assert!(!is_spare(case), "beside another one");
        signal(child.id().cast_signed(), Signal::KILL);
        child.wait().unwrap();
        assert!(!is_spare(case), "beside one that a killed client left");
        until("it is ended", || {
            case.run(&["--", "true"]).succeeds();
            processes_with(&sleep).is_empty()
        });
        until("spares are back", || {
            settle(case.world);
            is_spare(case)
        });
        // What uses no spare counts, too.
        case.world.run_with(&["write", "file"], b"content").succeeds();
        until("spares are back", || {
            settle(case.world);
            is_spare(case)
        });
    });
}

#[test]
fn what_start_up_files_do_stays() {
    in_spares(|case| {
        let start_up = case.run(&["--home", "--", "echo ~/.bashrc"]).succeeds().text().trim().to_owned();
        let before = std::fs::read(&start_up).unwrap_or_default();
        std::fs::write(&start_up, "echo hello; echo oops >&2; set -eu\n").unwrap();
        let is_read = || case.run(&["--", "true"]).succeeds().text() == "hello\n";
        if is_read() {
            ready(case.world);
            let said = case.run(&["--", &format!("{IS_SPARE}; false; echo never")]).ends_with(1);
            assert_eq!((said.text(), said.stderr.as_str()), ("hello\n1\n", "oops\n"));
            // One that reads what is meant for the command: no spare, and the same as ever.
            std::fs::write(&start_up, "read -r first; echo \"first $first\"\n").unwrap();
            for _ in 0..3 {
                settle(case.world);
                let mut command = case.command(&["--", &format!("cat; {IS_SPARE}")]);
                let said = CommandOutput::of(crate::support::feed(&mut command, b"one\ntwo\n")).succeeds();
                assert!(["first one\ntwo\n0\n", "hello\none\ntwo\n1\n"].contains(&said.text()), "{said:?}");
            }
            until("the keeper gives up", || told(case.world).is_some_and(|(word, _)| word == "off"));
            assert!(!is_spare(case) && keepers(case.world).is_empty());
        }
        std::fs::write(&start_up, before).unwrap();
    });
}

#[test]
fn no_keeper_outlives_its_session() {
    in_spares(|case| {
        let world = case.world;
        let ends = ["disconnect", "clean", "its master", "stop"];
        // Not every world's control plane stops machines.
        for what in ends.into_iter().filter(|what| *what != "stop" || world.is_own_plane()) {
            let run = |arguments: &[&str]| drop(world.run(arguments).succeeds());
            case.world.connect();
            until("there is a keeper", || {
                case.run(&["--", "true"]).succeeds();
                keeper(world).is_some()
            });
            settle(world);
            match what {
                "its master" => {
                    signal(case.master(), Signal::KILL);
                    until("the keeper is gone", || keepers(world).is_empty());
                    continue;
                }
                "clean" => run(&["clean", "--all"]),
                verb => run(&[verb]),
            }
            assert_eq!(keepers(world), Vec::<String>::new(), "{what}");
        }
    });
}

#[test]
fn an_unused_spare_goes_after_a_while() {
    let world = World::new().connected();
    let mut command = world.command(&["exec", "--", "true"]);
    command.env("RUNCODE_SPARE", "on").env("RUNCODE_TEST_IDLE", "1");
    CommandOutput::of(command.output().unwrap()).succeeds();
    ready(&world);
    until("the keeper ends", || keepers(&world).is_empty());
}

#[test]
fn status_names_the_spare() {
    in_spares(|case| {
        let spare = || case.world.run(&["status", "--json"]).succeeds().json()[0]["spare"].clone();
        assert_eq!(spare(), "ready");
        let child = started(case, &["--", "echo up; until [ -e go ]; do sleep .05; done; rm go"]);
        assert_eq!(spare(), "none");
        std::fs::write(case.file("go"), "").unwrap();
        CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
        case.world.run(&["disconnect"]).succeeds();
        case.world.connect();
        assert_eq!(spare(), "none");
    });
}

#[test]
fn a_spare_leaves_room_for_what_needs_it() {
    let Some(mut world) = World::own_host() else { return };
    world.own_sshd().restart_with("MaxSessions 1\n");
    let world = world.connected();
    let case = Case { world: &world, transport: "spare" };
    case.run(&["--", "true"]).succeeds();
    ready(&world);
    world.run_with(&["write", "file"], b"content").succeeds();
    assert_eq!(std::fs::read(case.file("file")).unwrap(), b"content");
    for _ in 0..3 {
        case.run(&["--", "true"]).succeeds();
    }
    // Once the connection had no room, if that has not come by chance, there are no more.
    settle(&world);
    let child = started(&case, &["--", "echo up; until [ -e go ]; do sleep .05; done"]);
    case.run(&["--", "true"]).succeeds();
    until("there are no more", || keepers(&world).is_empty());
    std::fs::write(case.file("go"), "").unwrap();
    CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
    assert!(!is_spare(&case) && !is_spare(&case) && keepers(&world).is_empty());
}

/// A spare is killed with its keeper, or handed over: no command runs twice, or not at all. The long version
/// (`RUNCODE_STORM=60`) is a minute of it.
#[test]
fn a_killed_keeper_costs_nothing_but_time() {
    let storm: Option<u64> = std::env::var("RUNCODE_STORM").ok().and_then(|text| text.parse().ok());
    let (seconds, pause) = storm.map_or((6, Duration::from_millis(400)), |it| (it, Duration::from_secs(3)));
    let world = World::new().connected();
    let case = Case { world: &world, transport: "spare" };
    case.run(&["--", "true"]).succeeds();
    let end = Instant::now() + Duration::from_secs(seconds);
    let run = |worker: usize| {
        let mut said = Vec::new();
        while Instant::now() < end {
            let id = format!("{worker}-{}", said.len());
            let mut command = world.command(&["exec", "--", &format!("echo {id} >> log; echo {id}")]);
            let output = command.env("RUNCODE_SPARE", "on").stdin(Stdio::null()).output().unwrap();
            said.push((id, CommandOutput::of(output)));
        }
        said
    };
    let said = std::thread::scope(|scope| {
        let run = &run;
        // In turns alone and sixteen at once, so that there are spares to take.
        let workers = (0..16).map(|worker| scope.spawn(move || run(worker))).collect::<Vec<_>>();
        while Instant::now() + Duration::from_secs(1) < end {
            std::thread::sleep(pause);
            keeper(&world).into_iter().for_each(signal_if_there);
        }
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let mut alone = Vec::new();
    for number in 0..40 {
        let id = format!("alone-{number}");
        settle(&world);
        let mut child = case.command(&["--", &format!("echo {id} >> log; echo {id}")]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(500 * (number % 20)));
        keeper(&world).into_iter().for_each(signal_if_there);
        let _ = child.stdin.take();
        alone.push((id, CommandOutput::of(child.wait_with_output().unwrap())));
    }
    let log = std::fs::read_to_string(world.workspace().join("log")).unwrap();
    for (id, said) in said.iter().chain(&alone) {
        assert_eq!((said.status, said.text()), (0, format!("{id}\n").as_str()), "{id}: {said:?}");
        assert_eq!(log.lines().filter(|line| line == id).count(), 1, "{id}");
    }
    world.run(&["clean", "--all"]).succeeds();
    assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new());
}

fn signal_if_there(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}
