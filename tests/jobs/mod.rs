//! Jobs: commands on a workspace that outlive the connection. Their status is exact, their output is whole, and none runs twice.

mod cuts;
mod fate;
mod folder;
mod shells;
mod streams;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{CommandOutput, World, until};

/// Runs `test` in every kind of world, over each transport.
fn everywhere(test: impl Fn(&Desk<'_>) + Sync) {
    let worlds = World::each().into_iter().chain(World::own_host()).chain(World::server());
    std::thread::scope(|scope| {
        for world in worlds {
            let test = &test;
            scope.spawn(move || {
                let world = world.connected();
                for transport in ["mux", "openssh"] {
                    eprintln!("over {transport}, in {}", world.home().display());
                    test(&Desk { world: &world, transport });
                }
            });
        }
    });
}

/// Where commands about jobs are given.
struct Desk<'a> {
    world: &'a World,
    transport: &'a str,
}

impl Desk<'_> {
    fn of(world: &World) -> Desk<'_> {
        Desk { world, transport: "mux" }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command.env("RUNCODE_TRANSPORT", self.transport);
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).output().unwrap())
    }

    /// Starts a job; its id.
    fn start(&self, arguments: &[&str]) -> String {
        let said = self.run(&[&["exec", "--detach"], arguments].concat()).succeeds();
        let id = said.text().strip_suffix('\n').unwrap();
        assert!(id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{said:?}");
        id.to_owned()
    }

    /// All jobs.
    fn list(&self) -> Vec<Value> {
        self.run(&["jobs", "--json"]).succeeds().json().as_array().unwrap().clone()
    }

    /// What is said of one of them.
    fn job(&self, id: &str) -> Value {
        self.list().into_iter().find(|job| job["id"] == id || job["name"] == id).unwrap()
    }

    /// Waits for it; its status.
    fn wait(&self, id: &str) -> i32 {
        self.run(&["jobs", "wait", id, "--timeout", "60"]).status
    }

    /// What it wrote to stdout.
    fn output(&self, id: &str) -> String {
        self.run(&["jobs", "output", id]).succeeds().text().to_owned()
    }
}

/// The folder of jobs on the workspace.
fn folder(world: &World) -> PathBuf {
    let homes = ["", "box", "sshd"].map(|name| world.home().join(name));
    let mut folders = homes.iter().map(|home| home.join(".local/state/runcode/jobs"));
    folders.find(|folder| folder.exists()).unwrap()
}

/// The number that the first word of a job's file is.
fn pid(world: &World, id: &str, file: &str) -> i32 {
    let path = folder(world).join(id).join(file);
    until("the job has begun", || path.exists());
    std::fs::read_to_string(path).unwrap().split(' ').next().unwrap().trim().parse().unwrap()
}

/// A command that waits for the file `name`; not for ever, should the test fail.
fn until_there(folder: &Path, name: &str) -> String {
    format!(
        "n=0; until [ -e {}/{name} ] || [ $n -gt 2400 ]; do n=$((n+1)); sleep 0.05; done",
        folder.display()
    )
}

#[test]
fn a_job_runs_as_exec_would_run_it() {
    everywhere(|desk| {
        let command = "echo out; echo err >&2; pwd; umask; cat; echo \"$-\"; exit 7";
        let exec = desk.run(&["exec", "-n", "--env", "A=b c", "--", command]);
        let id = desk.start(&["--env", "A=b c", "--", command]);
        assert_eq!(desk.wait(&id), 7);
        assert_eq!(desk.output(&id), exec.text());
        assert_eq!(desk.run(&["jobs", "output", &id, "--stderr"]).succeeds().text(), "err\n");
        let words = desk.start(&["--cwd", "/", "--", "printf", "%s|", "a b", "it's", "", "*", "$HOME\\"]);
        assert_eq!((desk.wait(&words), desk.output(&words).as_str()), (0, "a b|it's||*|$HOME\\|"));
        let job = desk.job(&words);
        assert_eq!(job["command"], "printf '%s|' 'a b' 'it'\\''s' '' '*' '$HOME\\'");
        assert_eq!(
            (&job["state"], &job["exit_code"], &job["bytes"]),
            (&"exited".into(), &0.into(), &19.into())
        );
        assert!(job["started_at"].as_str().unwrap().ends_with('Z'));
        let variables = "env | grep -v -e '^SSH_' -e '^_=' -e '^LC_RUNCODE' | sort";
        let id = desk.start(&["--env-secret", "PASS=s3cret", "--", variables]);
        assert_eq!(desk.wait(&id), 0);
        let exec = desk.run(&["exec", "-n", "--env-secret", "PASS=s3cret", "--", variables]).succeeds();
        assert_eq!(desk.output(&id), exec.text());
        assert!(exec.text().contains("PASS=s3cret"));
        desk.run(&["jobs", "clean"]).succeeds();
        assert_eq!(desk.list(), [Value::Null; 0]);
    });
}

#[test]
fn a_status_is_exact() {
    everywhere(|desk| {
        let mut started = Vec::new();
        for (command, status) in [
            ("true", 0),
            ("exit 1", 1),
            ("exit 254", 254),
            ("exit 255", 255),
            ("no-such-program", 127),
            ("sh -c 'kill -TERM $$'", 143),
            ("kill -KILL $$", 137),
            ("exec sh -c 'exit 5'", 5),
        ] {
            started.push((desk.start(&["--", command]), command, status));
        }
        until("all have ended", || desk.list().iter().all(|job| job["state"] == "exited"));
        let jobs = desk.list();
        for (id, command, status) in started {
            let job = jobs.iter().find(|job| job["id"] == id).unwrap();
            assert_eq!(job["exit_code"], status, "{command}");
            if [1, 137, 255].contains(&status) {
                assert_eq!(desk.wait(&id), status, "{command}");
            }
        }
        let missing = desk.start(&["--cwd", "/no/such/folder", "--", "true"]);
        assert_eq!(desk.wait(&missing), 255);
        assert!(desk.run(&["jobs", "output", &missing, "--stderr"]).text().contains("cannot enter"));
    });
}

#[test]
fn a_job_outlives_its_connection() {
    for world in World::each().into_iter().chain(World::own_host()) {
        let (world, desk) = (&world, Desk::of(&world));
        world.connect();
        let id =
            desk.start(&["--name", "long", "--", &format!("{}; exit 3", until_there(world.home(), "go"))]);
        world.run(&["disconnect"]).succeeds();
        world.run(&["clean", "--all"]).succeeds();
        world.connect();
        assert_eq!(desk.job("long")["state"], "running", "{id}");
        let late = world.run(&["jobs", "wait", "long", "--timeout", "1s", "--json"]);
        assert_eq!((late.status, &late.json()["error"]), (255, &"timed_out".into()));
        world.run(&["jobs", "clean", "long", "--json"]).fails_as("conflict", 2);
        std::fs::write(world.home().join("go"), "").unwrap();
        assert_eq!(desk.wait("long"), 3);
        assert!(world.run(&["jobs", "clean", "long"]).succeeds().text().contains("removed 1 job"));
        world.run(&["jobs", "wait", "long", "--json"]).fails_as("not_found", 255);
    }
}

#[test]
fn a_name_that_several_jobs_have_is_none() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    let ids = ["one", "two"].map(|word| desk.start(&["--name", "same", "--", "echo", word]));
    let third = desk.run(&["exec", "--detach", "--name", "same", "--", "true"]).succeeds();
    assert!(third.stderr.contains("another job is called same"), "{third:?}");
    world.run(&["jobs", "wait", third.text().trim()]).succeeds();
    let said = world.run(&["jobs", "output", "same"]).ends_with(2);
    assert!(ids.iter().all(|id| said.stderr.contains(id.as_str())), "{said:?}");
    ids.iter().for_each(|id| assert_eq!(desk.wait(id), 0));
    assert_eq!(desk.output(&ids[1]), "two\n");
    let text = world.run(&["jobs"]).succeeds();
    assert!(text.text().contains("same  exited 0  "), "{text:?}");
}

#[test]
fn options_may_stand_before_the_verb() {
    let world = World::new().connected();
    let id = Desk::of(&world).start(&["--", "echo", "x"]);
    assert_eq!(world.run(&["jobs", "--json", "wait", &id]).succeeds().json()["exit_code"], 0);
    assert_eq!(world.run(&["jobs", "-w", "1", "output", &id]).succeeds().text(), "x\n");
    world.run(&["jobs", "-w", "no-such", "output", &id]).ends_with(2);
    world.run(&["jobs", "-w", "2", "output", &id, "-w", "1", "--json"]).fails_as("usage", 2);
    world.run(&["jobs", "wait", &id, "--nope"]).ends_with(255);
    world.run(&["exec", "--detach", "--nope", "--", "true"]).ends_with(2);
}

#[test]
fn what_makes_no_sense_of_a_job_is_refused() {
    let world = World::new().connected();
    std::fs::write(world.home().join("input"), "data").unwrap();
    for arguments in [
        &["exec", "--detach", "--timeout", "5", "--", "true"][..],
        &["exec", "--detach", "--profile", "x"],
        &["exec", "--name", "x", "--", "true"],
        &["exec", "--detach", "--name", "a b", "--", "true"],
        &["exec", "--detach"],
        &["jobs", "output", "../x"],
        &["jobs", "output", "x"],
        &["jobs", "kill", "x", "--signal", "9"],
    ] {
        let said = world.run(&[&["--json"], arguments].concat());
        assert_eq!(said.json()["error"], "usage", "{arguments:?}: {said:?}");
    }
    let mut command = world.command(&["exec", "--detach", "--", "cat"]);
    let input = std::fs::File::open(world.home().join("input")).unwrap();
    let said = CommandOutput::of(command.stdin(input).output().unwrap()).ends_with(2);
    assert!(said.stderr.contains("a job reads no stdin"), "{said:?}");
    assert_eq!(Desk::of(&world).list(), [Value::Null; 0], "none was started");
    assert!(world.run(&["jobs"]).succeeds().text().contains("no jobs on"));
}

#[test]
fn twenty_jobs_at_once_are_exact() {
    everywhere(|desk| {
        let ids = std::thread::scope(|scope| {
            let start = |number: i32| desk.start(&["--", &format!("echo {number}; exit {number}")]);
            let threads = (0..20).map(|number| scope.spawn(move || start(number))).collect::<Vec<_>>();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        until("all have ended", || desk.list().iter().all(|job| job["state"] == "exited"));
        let jobs = desk.list();
        assert_eq!(jobs.len(), 20);
        for (number, id) in ids.iter().enumerate() {
            let job = jobs.iter().find(|job| job["id"] == *id).unwrap();
            assert_eq!(job["exit_code"], number, "{job}");
        }
        std::thread::scope(|scope| {
            for (number, id) in ids.iter().enumerate() {
                scope.spawn(move || assert_eq!(desk.output(id), format!("{number}\n")));
            }
        });
        let removed = desk.run(&["jobs", "clean", "--json"]).succeeds().json();
        assert_eq!(removed["removed"].as_array().unwrap().len(), 20);
    });
}
