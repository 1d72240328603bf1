//! How jobs end, and how that is told from everything that only looks like it.

use std::os::unix::process::CommandExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::support::is_running;

#[test]
fn a_signal_reaches_the_whole_group() {
    everywhere(|desk| {
        for (signal, status) in [("TERM", 143), ("SIGKILL", 137), ("HUP", 129)] {
            let mark = desk.world.home().join(format!("pids-{signal}-{}", desk.transport));
            let id = desk.start(&[
                "--",
                &format!("sleep 120 & echo $! >{0}; sleep 120 & echo $! >>{0}; wait", mark.display()),
            ]);
            let pids = || std::fs::read_to_string(&mark).unwrap_or_default();
            until("both run", || pids().lines().count() == 2);
            let said = desk.run(&["jobs", "kill", &id, "--signal", signal, "--json"]).succeeds().json();
            assert_eq!((&said["state"], &said["exit_code"]), (&"exited".into(), &status.into()), "{signal}");
            for pid in pids().lines() {
                until("it is gone", || !is_running(pid.parse().unwrap()));
            }
        }
    });
}

#[test]
fn a_job_hears_interrupts_and_may_ignore_them() {
    everywhere(|desk| {
        let id = desk.start(&[
            "--",
            "trap 'exit 9' INT; trap '' TERM; echo up; for n in 0 1 2 3 4 5 6 7 8 9; do sleep 9; done",
        ]);
        until("it is up", || desk.output(&id) == "up\n");
        let said = desk.run(&["jobs", "kill", &id]).succeeds();
        assert!(said.text().contains("still runs"), "{said:?}");
        assert_eq!(desk.job(&id)["state"], "running");
        desk.run(&["jobs", "kill", &id, "--signal", "INT"]).succeeds();
        assert_eq!(desk.wait(&id), 9);
        let said = desk.run(&["jobs", "kill", &id]).succeeds();
        assert_eq!(said.text(), format!("{id}: exited 9\n"), "one that has ended is left alone");
    });
}

/// Of a job and its supervisor, either may be killed.
#[test]
fn a_job_without_a_status_is_lost() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    let id = desk.start(&["--", &until_there(world.home(), "go")]);
    let (owner, main) = (pid(&world, &id, "owner"), pid(&world, &id, "main"));
    kill_process(Pid::from_raw(owner).unwrap(), Signal::KILL).unwrap();
    until("the supervisor is gone", || !is_running(owner));
    assert_eq!(desk.job(&id)["state"], "running", "its command still runs");
    std::fs::write(world.home().join("go"), "").unwrap();
    until("the command is gone", || !is_running(main));
    let job = desk.job(&id);
    assert_eq!((&job["state"], &job["exit_code"]), (&"lost".into(), &Value::Null));
    world.run(&["jobs", "wait", &id, "--json"]).fails_as("killed", 255);
    world.run(&["jobs", "clean"]).succeeds();
    assert_eq!(desk.list(), [Value::Null; 0]);
}

#[test]
fn a_reused_process_id_is_another_process() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    let id = desk.start(&["--", &until_there(world.home(), "never")]);
    let owner = pid(&world, &id, "owner");
    kill_process(Pid::from_raw(owner).unwrap(), Signal::KILL).unwrap();
    world.run(&["jobs", "kill", &id, "--signal", "KILL"]).succeeds();
    let mut other = std::process::Command::new("sleep").arg("120").process_group(0).spawn().unwrap();
    let main = folder(&world).join(&id).join("main");
    std::fs::write(main, format!("{} 12345\n", other.id())).unwrap();
    until("it is lost", || desk.job(&id)["state"] == "lost");
    world.run(&["jobs", "kill", &id, "--signal", "KILL"]).succeeds();
    assert!(other.try_wait().unwrap().is_none(), "another process got the signal");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_reboot_is_told_from_an_end() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    let id = desk.start(&["--", &until_there(world.home(), "go")]);
    let boot = folder(&world).join(&id).join("boot");
    let now = std::fs::read_to_string(&boot).unwrap();
    std::fs::write(&boot, "another-boot\n").unwrap();
    assert_eq!(desk.job(&id)["state"], "rebooted");
    world.run(&["jobs", "kill", &id]).succeeds();
    let said = world.run(&["jobs", "wait", &id]).ends_with(255);
    assert!(said.stderr.contains("restarted"), "{said:?}");
    std::fs::write(&boot, now).unwrap();
    assert_eq!(desk.job(&id)["state"], "running", "nothing was signalled");
    std::fs::write(world.home().join("go"), "").unwrap();
    assert_eq!(desk.wait(&id), 0);
    std::fs::write(&boot, "another-boot\n").unwrap();
    assert_eq!(desk.job(&id)["exit_code"], 0, "what ended before the reboot has its status");
}
