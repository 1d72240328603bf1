//! Ending a call before it ends itself.

use super::Jump;
use crate::support::{CommandOutput, processes_with, until};

fn is_gone(jump: &Jump) -> bool {
    processes_with(jump.program.to_str().unwrap()).iter().all(|line| !line.contains("serve"))
}

#[test]
fn a_signal_ends_the_call_and_the_server() {
    for (signal, status) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let Some(jump) = Jump::to("hangs") else { return };
        let child = jump.command(&["--json"], &["plain"]).spawn().unwrap();
        until("the tool runs", || jump.record().contains("hangs\n"));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap());
        said.fails_as("interrupted", status);
        let record = jump.record();
        let cancelled = record.find("notifications/cancelled").unwrap_or_else(|| panic!("{record}"));
        assert!(record.find("end of stdin").is_some_and(|end| end > cancelled), "{record}");
        until("the server is gone", || is_gone(&jump));
    }
}

#[test]
fn the_time_limit_ends_the_call() {
    let Some(jump) = Jump::to("stubborn") else { return };
    let said = jump.run(&["--json", "--timeout", "2"], &["plain"]).fails_as("timed_out", 255).json();
    assert_eq!(said["message"], "the tool took longer than 2 s, and it was ended");
    until("the server is gone", || is_gone(&jump));
    let Some(jump) = Jump::to("silent") else { return };
    jump.run(&["--json", "--timeout", "1"], &[]).fails_as("timed_out", 255);
    until("the server is gone", || is_gone(&jump));
}
