//! Connections that are cut and clients that are killed: no job runs twice, and none is forgotten.

use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::support::rough::{From, Rough};

/// How often the command of [`mark`] ran.
fn marks(world: &World) -> usize {
    std::fs::read_to_string(world.workspace().join("marks")).unwrap_or_default().lines().count()
}

fn mark(world: &World) -> String {
    format!("echo mark >>{}/marks", world.workspace().display())
}

/// The command lines of all processes. Those that start and supervise a job have its id.
fn processes() -> String {
    let ps = std::process::Command::new("ps").args(["-A", "-ww", "-o", "args="]).output().unwrap();
    String::from_utf8_lossy(&ps.stdout).into_owned()
}

/// Killed at any moment: afterwards the workspace says whether the job is there, and it ran exactly as often. A gateway may hang
/// up on a job that is just starting, whose status says so.
#[test]
fn a_killed_start_runs_once_or_never() {
    everywhere(|desk| {
        let world = desk.world;
        let _ = std::fs::remove_file(world.workspace().join("marks"));
        for delay in [0, 8, 16, 24, 36, 48, 64, 88] {
            let mut child = desk.command(&["exec", "--detach", "--", &mark(world)]).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay)); // any moment will do
            child.kill().unwrap();
            child.wait().unwrap();
        }
        until("all have ended", || {
            let (jobs, running) = (desk.list(), processes());
            let is_over = |job: &Value| match job["state"].as_str().unwrap() {
                // The gateway killed its start: it counts as one for a minute, but nothing of it runs.
                "starting" => !running.contains(job["id"].as_str().unwrap()),
                state => state != "running",
            };
            jobs.iter().all(is_over)
        });
        let jobs = desk.list();
        let ended = jobs.iter().filter(|job| job["exit_code"] == 0).count();
        let ran = marks(world);
        assert!(ran <= 8 && ended <= ran && ran <= jobs.len(), "{ran} ran of {jobs:?}");
        let is_told = |job: &Value| {
            [0, 129].iter().any(|code| job["exit_code"] == *code)
                || ["starting", "lost"].iter().any(|state| job["state"] == *state)
        };
        assert!(jobs.iter().all(is_told), "{jobs:?}");
        desk.run(&["jobs", "clean"]).succeeds();
    });
}

/// A host whose jobs halt half-way through their start, once the folder is claimed, until the file `go` is there.
fn halting() -> Option<(Rough, PathBuf)> {
    let mut rough = Rough::new(From::Ssh, "")?;
    let home = rough.world.home().to_owned();
    let own = home.join("own");
    std::fs::create_dir(&own).unwrap();
    let script = format!("echo x >>{0}/halted; until [ -e {0}/go ]; do sleep 0.02; done", home.display());
    crate::files::program(&own, "loginctl", &script);
    let path = std::env::var("PATH").unwrap();
    let lines = format!("SetEnv HOME={0}/sshd PATH={0}/own:{path}\n", home.display());
    rough.world.own_sshd().restart_with(&lines);
    Some((rough.connected(), home))
}

fn started_half_way(rough: &Rough, home: &Path) -> std::process::Child {
    let world = &rough.world;
    let child = world.command(&["exec", "--detach", "--json", "--", &mark(world)]).spawn().unwrap();
    until("it is claimed", || home.join("halted").exists());
    child
}

/// Where there is no connection, nothing was sent: there is nothing to ask about.
#[test]
fn a_start_without_a_connection_is_none() {
    let Some(world) = World::own_host() else { return };
    let mut world = world.connected();
    let pid = std::fs::read_to_string(world.session_file("master.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    world.own_sshd().stop();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let said = world.run(&["exec", "--detach", "--json", "--", &mark(&world)]).json();
    assert!(!said.to_string().contains("not known"), "{said}");
    assert!(["network", "transport", "not_ready"].contains(&said["error"].as_str().unwrap()), "{said}");
    world.own_sshd().restart();
    assert_eq!((Desk::of(&world).list().len(), marks(&world)), (0, 0));
}

/// The answer to a start is lost: the client asks, and starts nothing a second time.
#[test]
fn a_start_whose_answer_is_lost_is_asked_about() {
    let Some((rough, home)) = halting() else { return };
    let (world, desk) = (&rough.world, Desk::of(&rough.world));
    let child = started_half_way(&rough, &home);
    rough.kill_master();
    std::fs::write(home.join("go"), "").unwrap();
    let said = CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
    let id = said.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(desk.wait(&id), 0);
    assert_eq!((marks(world), desk.list().len()), (1, 1));
    let halted = std::fs::read_to_string(home.join("halted")).unwrap();
    assert_eq!(halted.lines().count(), 1, "it was started twice");
}

/// Whoever comes after a killed client sees the job, or that there is none; it runs no second time.
#[test]
fn a_client_killed_half_way_is_no_second_start() {
    let Some((rough, home)) = halting() else { return };
    let (world, desk) = (&rough.world, Desk::of(&rough.world));
    let mut child = started_half_way(&rough, &home);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(home.join("go"), "").unwrap();
    let mut states = Vec::new();
    until("its fate is known", || {
        states = desk.list().iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect();
        states.iter().all(|state| state == "exited" || state == "lost")
    });
    let exited = states.iter().filter(|state| *state == "exited").count();
    assert!(states.len() <= 1 && marks(world) == exited, "{states:?}, {} marks", marks(world));
}

#[test]
fn a_start_that_comes_too_late_is_void() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    assert_eq!(desk.wait(&desk.start(&["--", "true"])), 0);
    let void = folder(&world).join("aaaaaaaaaa");
    std::fs::create_dir(&void).unwrap();
    std::fs::write(void.join("started"), format!("{}\n", jiff::Timestamp::now().as_second())).unwrap();
    std::fs::write(void.join("void"), "").unwrap();
    assert_eq!(desk.list().len(), 1, "it is no job");
    world.run(&["jobs", "clean"]).succeeds();
    assert!(void.exists(), "it may still be needed");
    std::fs::write(void.join("started"), "1000000000\n").unwrap();
    world.run(&["jobs", "clean"]).succeeds();
    assert!(!void.exists());
}

#[test]
fn following_resumes_where_it_was_cut() {
    for from in [From::Plane, From::Ssh] {
        let Some(rough) = Rough::new(from, "") else { return };
        let rough = rough.connected();
        let world = &rough.world;
        let desk = Desk::of(world);
        let count = "n=0; while [ $n -lt 60 ]; do n=$((n+1)); echo line $n; sleep 0.05; done";
        let id = desk.start(&["--", count]);
        let child =
            desk.command(&["jobs", "output", &id, "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
        let waiting = desk.command(&["jobs", "wait", &id]).spawn().unwrap();
        for lines in [10, 30] {
            until("some is written", || desk.job(&id)["bytes"].as_u64().unwrap() > lines * 8);
            rough.kill_master();
        }
        let said = CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
        let expected = (1..=60).map(|n| format!("line {n}\n")).collect::<String>();
        assert_eq!(said.text(), expected);
        CommandOutput::of(waiting.wait_with_output().unwrap()).succeeds();
    }
}
