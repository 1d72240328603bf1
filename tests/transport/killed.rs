//! A client that is killed: whoever reads its pipes is not kept waiting, and what it ran ends, at the latest at the next command.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;

use super::{Case, everywhere, long_sleep, signal, started};
use crate::support::{processes_with, until};

/// How long the pipes of a killed client may stay open.
const SOON: Duration = Duration::from_secs(5);

/// Whether the other end is gone soon.
fn ends(mut pipe: impl Read + Send + 'static) -> bool {
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(pipe.read_to_end(&mut Vec::new()).is_ok()));
    ended.recv_timeout(SOON).is_ok_and(|is_read| is_read)
}

/// Kills a client once its command is no longer one of those that are over in a moment.
fn kill(case: &Case<'_>, child: &mut Child, how: Signal) {
    until("the command is claimed", || {
        let folder = std::fs::read_dir(case.world.session_file("commands"));
        let client = format!(".{}.", child.id());
        folder.into_iter().flatten().flatten().any(|it| it.file_name().to_string_lossy().contains(&client))
    });
    signal(child.id().cast_signed(), how);
    child.wait().unwrap();
}

/// What ran before is gone once another command has run.
fn is_ended_by_the_next(case: &Case<'_>, sleep: &str) {
    until("what the killed client ran is gone", || {
        case.run(&["--", "true"]).ends_with(0); // on a busy machine, one may not be enough
        processes_with(sleep).is_empty()
    });
}

#[test]
fn a_killed_client_holds_no_pipe() {
    everywhere(|case| {
        for how in [Signal::KILL, Signal::QUIT, Signal::ALARM] {
            let sleep = long_sleep();
            let mut child = started(case, &["--", &format!("echo up; {sleep}; {sleep}")]);
            kill(case, &mut child, how);
            let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            assert!(ends(out) && ends(err), "{how:?}: two pipes");
            is_ended_by_the_next(case, &sleep);
        }
        let sleep = long_sleep();
        let (mut ours, theirs) = std::io::pipe().unwrap();
        let mut command = case.command(&["--", &format!("echo up; {sleep}; {sleep}")]);
        let mut child = command.stdout(theirs.try_clone().unwrap()).stderr(theirs).spawn().unwrap();
        drop(command);
        ours.read_exact(&mut [0; 3]).unwrap();
        kill(case, &mut child, Signal::KILL);
        assert!(ends(ours), "one pipe for both");
        is_ended_by_the_next(case, &sleep);
        let sleep = long_sleep();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut command = case.command(&["--", &format!("echo up >&2; {sleep}; {sleep}")]);
        let mut child = command.stdout(Stdio::null()).stderr(OwnedFd::from(theirs)).spawn().unwrap();
        drop(command);
        ours.read_exact(&mut [0; 3]).unwrap();
        kill(case, &mut child, Signal::KILL);
        assert!(ends(ours), "a socket");
        is_ended_by_the_next(case, &sleep);
    });
}

/// Whatever it is that comes next, and however hard the command is to end.
#[test]
fn what_a_killed_client_ran_ends() {
    everywhere(|case| {
        for shape in [
            "trap '' TERM HUP INT; echo up; SLEEP; SLEEP",
            "echo up; setsid -w sh -c 'SLEEP & SLEEP & wait'",
            "echo up; timeout 500 SLEEP | cat",
        ] {
            let sleep = long_sleep();
            let mut child = started(case, &["--", &shape.replace("SLEEP", &sleep)]);
            kill(case, &mut child, Signal::KILL);
            case.world.run_with(&["write", "next"], b"next").succeeds();
            // On a busy machine, one more command may not be enough, nor are twenty.
            let is_over = || {
                case.run(&["--", "true"]).ends_with(0);
                processes_with(&sleep).is_empty() && !case.world.session_file("commands").exists()
            };
            until(shape, is_over);
        }
    });
}

/// A client that gives up, because its connection is silent, leaves its command to the next one.
#[test]
fn an_abandoned_command_still_ends() {
    everywhere(|case| {
        let sleep = long_sleep();
        let mut child = started(case, &["--", &format!("trap '' INT TERM; echo up; {sleep}; {sleep}")]);
        until("the command is claimed", || case.world.session_file("commands").exists());
        let master = case.master();
        signal(master, Signal::STOP);
        let pid = child.id().cast_signed();
        until("the client gives up", || {
            signal(pid, Signal::INT);
            child.try_wait().unwrap().is_some()
        });
        assert!(case.world.session_file("commands").exists(), "it is left to the next one");
        signal(master, Signal::CONT);
        is_ended_by_the_next(case, &sleep);
        until("nothing is left to end", || {
            case.run(&["--", "true"]).ends_with(0);
            !case.world.session_file("commands").exists()
        });
    });
}

#[test]
fn a_living_clients_command_goes_on() {
    everywhere(|case| {
        let sleep = long_sleep();
        let mut killed = started(case, &["--", &format!("echo up; {sleep}; {sleep}")]);
        let living =
            started(case, &["--", "echo up; until [ -e go ]; do sleep .05; done; rm go; echo err >&2"]);
        kill(case, &mut killed, Signal::KILL);
        is_ended_by_the_next(case, &sleep);
        std::fs::write(case.file("go"), "").unwrap();
        let said = crate::support::CommandOutput::of(living.wait_with_output().unwrap());
        assert_eq!((said.status, said.stderr.as_str()), (0, "err\n"));
    });
}

/// Errors and output that share a pipe keep their order, and a reader that has seen enough ends the command.
#[test]
fn a_shared_pipe_keeps_its_order() {
    everywhere(|case| {
        let line = "for i in 1 2 3; do echo out$i; sleep .05; echo err$i >&2; sleep .05; done; exit 3";
        let said = case.shell(&format!("{{ $RUNCODE exec -- '{line}'; echo $?; }} 2>&1 | cat"));
        assert_eq!(said.text(), "out1\nerr1\nout2\nerr2\nout3\nerr3\n3\n");
        let said = case.shell(
            "{ $RUNCODE exec -- 'echo 1 >&2; sleep .1; yes'; echo $? >status; } 2>&1 | head -1; cat status",
        );
        assert_eq!(said.text(), "1\n141\n");
    });
}
