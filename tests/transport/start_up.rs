//! What a warm command costs this machine, in counts that a busy one does not change: system calls, files, processes.

use std::process::{Command, Stdio};

use crate::support::{World, silent, skipped};

/// The system calls of one run, a line each, from the moment the program itself has begun; `None` without strace.
fn calls(world: &World, arguments: &[&str]) -> Option<Vec<String>> {
    let log = world.home().join("calls");
    let ours = world.command(arguments);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&log).arg(ours.get_program()).args(ours.get_args());
    strace.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // A pipe for errors would get a thread that passes them on.
    silent(strace.current_dir(world.home()).stdin(Stdio::null()));
    match strace.status() {
        Ok(status) => assert!(status.success(), "{arguments:?}: {status}"),
        Err(_) => {
            skipped("there is no strace");
            return None;
        }
    }
    let text = std::fs::read_to_string(&log).unwrap();
    let calls = text.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start().to_owned()));
    // Loading and Rust's own beginnings are over once it forbids core dumps, the first thing that `main` does.
    let calls = calls.skip_while(|call| !call.contains("RLIMIT_CORE")).collect::<Vec<_>>();
    assert!(!calls.is_empty(), "`main` does not begin with the core limit any more");
    Some(calls)
}

fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|call| call.starts_with(&format!("{name}("))).count()
}

#[test]
fn a_warm_command_starts_no_process() {
    let world = World::new().connected();
    world.run(&["exec", "-n", "--", "true"]).succeeds();
    // A machine so busy that `true` takes a while is asked again.
    let is_short = |calls: &Vec<String>| !calls.iter().any(|call| call.contains("/commands/"));
    let tried = (0..10).map(|_| calls(&world, &["exec", "-n", "--", "true"]));
    let Some(Some(calls)) =
        tried.take_while(Option::is_some).find(|calls| calls.as_ref().is_some_and(is_short))
    else {
        return skipped("there is no strace, or no quick command");
    };
    let all = calls.join("\n");
    for none in
        ["execve", "clone", "clone3", "fork", "vfork", "flock", "fsync", "fdatasync", "rename", "unlink"]
    {
        assert_eq!(count(&calls, none), 0, "{none}:\n{all}");
    }
    // Whether somebody wants a log of it takes a look at each of the two places that could say so.
    assert_eq!(calls.iter().filter(|call| call.contains("servers.toml")).count(), 2, "{all}");
    let home = world.home().to_str().unwrap();
    let opens = |call: &str| call.starts_with("openat(") || call.starts_with("open("); // as glibc does, and musl
    let opened = |call: &&String| opens(call) && call.contains(home);
    assert!(calls.iter().filter(opened).count() <= 3, "{all}");
    assert_eq!(count(&calls, "connect"), 2, "to the master, and to see that it still lives:\n{all}");
    assert!(calls.iter().all(|call| !call.contains("AF_INET")), "{all}");
    assert!(calls.len() <= 150, "{} system calls:\n{all}", calls.len());
}

#[test]
fn version_and_statusline_use_no_network() {
    let world = World::new().connected();
    for (arguments, most) in [(&["--version"][..], 12), (&["statusline"][..], 46)] {
        let Some(calls) = calls(&world, arguments) else { return };
        let all = calls.join("\n");
        for none in ["execve", "clone", "clone3", "socket", "connect", "flock", "fsync"] {
            assert_eq!(count(&calls, none), 0, "{arguments:?}: {none}:\n{all}");
        }
        assert!(calls.len() <= most, "{arguments:?}: {} system calls:\n{all}", calls.len());
    }
}

/// That another name might lead to a server with profiles costs a look at files that are not there.
#[test]
fn a_warm_host_of_ones_own_asks_ssh_nothing() {
    let Some(world) = World::own_host() else { return };
    world.run(&["connect", world.words()]).succeeds();
    world.run(&["exec", "-n", "--", "true"]).succeeds();
    let Some(calls) = calls(&world, &["exec", "-n", "--", "true"]) else { return };
    let all = calls.join("\n");
    for none in ["execve", "fork", "vfork"] {
        assert_eq!(count(&calls, none), 0, "{none}:\n{all}");
    }
    let looks = calls.iter().filter(|call| call.contains("/etc/runcode")).count();
    assert!((1..=2).contains(&looks), "{looks}:\n{all}");
}
