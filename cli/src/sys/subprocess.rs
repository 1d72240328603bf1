//! Running a local program to its end: without stdin, in a process group of its own, in bounded time and memory.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::sys::clock::Deadline;

/// How long a program's children may hold its output open once it has ended.
const LINGER: Duration = Duration::from_millis(500);

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// The start of its stdout.
    pub stdout: Vec<u8>,
    /// The start of its stderr.
    pub stderr: Vec<u8>,
    /// The end of its stderr, up to 4 KiB.
    pub last_words: Vec<u8>,
}

/// What became of a program.
#[derive(Debug)]
pub enum Outcome {
    /// It ended.
    Finished(Finished),
    /// It took too long: its whole process group has been killed.
    TimedOut,
    /// It was not wanted any more: its process group has been told to end, and then killed.
    Cancelled,
}

/// Runs `command` and keeps up to `max` bytes of each stream; what comes after them is read and dropped. `None` when it took
/// longer than `patience`: its whole process group has been killed.
pub fn run(command: &mut Command, patience: Duration, max: usize) -> io::Result<Option<Finished>> {
    Ok(match run_unless(command, patience, max, &|| false)? {
        Outcome::Finished(finished) => Some(finished),
        Outcome::TimedOut | Outcome::Cancelled => None,
    })
}

/// As [`run`], with this file as stdin.
pub fn run_reading(
    command: &mut Command,
    input: Option<std::fs::File>,
    patience: Duration,
    max: usize,
) -> io::Result<Option<Finished>> {
    let stdin = input.map_or_else(Stdio::null, Stdio::from);
    Ok(match run_with(command, stdin, patience, max, &|| false)? {
        Outcome::Finished(finished) => Some(finished),
        Outcome::TimedOut | Outcome::Cancelled => None,
    })
}

/// As [`run`], until `is_cancelled`.
pub fn run_unless(
    command: &mut Command,
    patience: Duration,
    max: usize,
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<Outcome> {
    run_with(command, Stdio::null(), patience, max, is_cancelled)
}

fn run_with(
    command: &mut Command,
    stdin: Stdio,
    patience: Duration,
    max: usize,
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<Outcome> {
    let deadline = Deadline::after(patience);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().map(|stream| collect(stream, max));
    let stderr = child.stderr.take().map(|stream| collect(stream, max));
    let mut pause = Duration::from_micros(500);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if is_cancelled() => {
                end(&mut child);
                return Ok(Outcome::Cancelled);
            }
            Ok(None) if !deadline.is_past() => deadline.pause(pause),
            Ok(None) => {
                kill(&mut child);
                return Ok(Outcome::TimedOut);
            }
            Err(error) => {
                kill(&mut child);
                return Err(error);
            }
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let kept = |stream: Option<Receiver<Kept>>| {
        stream.and_then(|stream| stream.recv_timeout(LINGER).ok()).unwrap_or_default()
    };
    let (mut stdout, mut stderr) = (kept(stdout), kept(stderr));
    Ok(Outcome::Finished(Finished {
        status,
        stdout: std::mem::take(&mut stdout.start),
        stderr: std::mem::take(&mut stderr.start),
        last_words: std::mem::take(&mut stderr.end),
    }))
}

/// The start of a stream, and its end.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
struct Kept {
    start: Vec<u8>,
    end: Vec<u8>,
}

fn collect(mut stream: impl Read + Send + 'static, max: usize) -> Receiver<Kept> {
    let (sender, receiver) = mpsc::channel();
    let reading = move || {
        // A short output, such as a password, is never moved, so none of it is left behind.
        let room = || Vec::with_capacity(8192);
        let mut kept = Kept { start: room(), end: room() };
        let mut piece = Zeroizing::new([0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut *piece) {
            let piece = piece.get(..count).unwrap_or_default();
            let room = max.saturating_sub(kept.start.len()).min(count);
            kept.start.extend_from_slice(piece.get(..room).unwrap_or_default());
            kept.end.extend_from_slice(piece);
            kept.end.drain(..kept.end.len().saturating_sub(4096));
        }
        sender.send(kept)
    };
    let _ = std::thread::Builder::new().spawn(reading); // without a thread nothing is kept
    receiver
}

/// Tells the process group to end, and kills it where it does not.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let deadline = Deadline::after(Duration::from_secs(2));
        while !deadline.is_past() && child.try_wait().is_ok_and(|ended| ended.is_none()) {
            deadline.pause(Duration::from_millis(10));
        }
    }
    kill(child);
}

fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn shell(line: &str, patience: Duration, max: usize) -> Option<Finished> {
        run(Command::new("sh").args(["-c", line]), patience, max).unwrap()
    }

    #[test]
    fn streams_and_status_are_kept_apart() {
        let finished = shell("echo out; echo err >&2; cat; exit 3", Duration::from_secs(20), 100).unwrap();
        assert_eq!((finished.stdout.as_slice(), finished.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn long_output_is_cut_and_never_blocks() {
        let finished = shell("head -c 1000000 /dev/zero", Duration::from_secs(20), 10).unwrap();
        assert_eq!((finished.stdout.len(), finished.status.code()), (10, Some(0)));
    }

    #[test]
    fn the_whole_group_ends_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let line = format!("sleep 1000 & echo $! > '{}'; wait", pid.display());
        let mut patience = Duration::from_millis(100);
        let child = loop {
            assert!(shell(&line, patience, 10).is_none());
            match std::fs::read_to_string(&pid).ok().and_then(|text| text.trim().parse().ok()) {
                Some(child) => break child,
                None => patience *= 2, // a busy machine had not started it yet
            }
        };
        let child = rustix::process::Pid::from_raw(child).unwrap();
        let deadline = Deadline::after(Duration::from_secs(20));
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
            stat.is_ok_and(|stat| !stat.contains(") Z"))
        };
        while runs() {
            assert!(!deadline.is_past());
            deadline.pause(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_child_holding_the_output_is_not_awaited() {
        let started = std::time::Instant::now();
        let finished = shell("sleep 5 & echo out", Duration::from_secs(20), 100).unwrap();
        assert!(finished.status.success() && started.elapsed() < Duration::from_secs(4));
    }
}
