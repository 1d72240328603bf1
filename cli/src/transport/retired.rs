//! Masters that no longer listen, and end by themselves once the commands that run over them have.
//!
//! A retired master has no socket and another title, so each is kept with its process id and the moment it began: a process
//! id that was given anew is not taken for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::Result;
use crate::sys::atomic_file;
use crate::sys::clock::Deadline;
use crate::transport::mux_socket::Listener;

/// How long a retired master takes to go once it is told.
const END: Duration = Duration::from_secs(3);

/// How many masters are remembered after their end, for commands that look back at theirs a moment later.
const REMEMBERED: usize = 32;

/// A retired master.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Retired {
    pid: u32,
    listener: Listener,
    birth: String,
}

impl Retired {
    fn lives(&self) -> bool {
        birth(self.pid).is_some_and(|birth| birth == self.birth)
    }
}

/// Remembers that the master `pid`, known to its clients as `listener`, was retired: what runs over it ends by itself.
pub(super) fn add(folder: &Path, pid: u32, listener: Listener) -> Result<()> {
    let path = retired(folder);
    let mut masters = read(&path);
    masters.extend(birth(pid).map(|birth| Retired { pid, listener, birth }));
    let mut surplus = masters.len().saturating_sub(REMEMBERED);
    masters.retain(|master| {
        let is_dropped = surplus > 0 && !master.lives();
        surplus -= usize::from(is_dropped);
        !is_dropped
    });
    save(&path, &masters)
}

/// Takes back that the master known as `listener` was retired.
pub(super) fn forget(folder: &Path, listener: Listener) -> Result<()> {
    let mut masters = read(&retired(folder));
    masters.retain(|master| master.listener != listener);
    save(&retired(folder), &masters)
}

/// Whether the master known as `listener` was retired, and not told to end since.
pub(super) fn has(folder: &Path, listener: Listener) -> bool {
    read(&retired(folder)).iter().any(|master| master.listener == listener)
}

/// Ends every retired master of the session in `folder`.
pub(super) fn end_all(folder: &Path) -> Result<()> {
    let deadline = Deadline::after(END);
    // First said, then done: a command whose master is cut off finds it no longer among the retired.
    let ending = folder.join("ending");
    let told = [read(&ending), read(&retired(folder))].concat();
    if told.iter().any(Retired::lives) {
        save(&ending, &told)?;
    }
    atomic_file::remove(&retired(folder))?;
    let mut signal = Signal::TERM;
    loop {
        let living = told.iter().filter(|master| master.lives()).collect::<Vec<_>>();
        if living.is_empty() {
            return atomic_file::remove(&ending).map(|_| ());
        }
        for master in living {
            if let Some(pid) = i32::try_from(master.pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        if deadline.is_past() {
            return Ok(());
        }
        deadline.pause(Duration::from_millis(10));
        if deadline.remaining() < END / 2 {
            signal = Signal::KILL;
        }
    }
}

fn retired(folder: &Path) -> PathBuf {
    folder.join("retired")
}

fn save(path: &Path, masters: &[Retired]) -> Result<()> {
    let line = |master: &Retired| format!("{} {} {}\n", master.pid, master.listener.0, master.birth);
    atomic_file::write_unsynced(path, masters.iter().map(line).collect::<String>().as_bytes(), 0o600)
}

fn read(path: &Path) -> Vec<Retired> {
    let text = atomic_file::read(path, 64 * 1024).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let master = |line: &str| {
        let (pid, rest) = line.split_once(' ')?;
        let (listener, birth) = rest.split_once(' ')?;
        let pid = pid.parse::<u32>().ok().filter(|pid| *pid > 1)?;
        Some(Retired { pid, listener: Listener(listener.parse().ok()?), birth: birth.to_owned() })
    };
    text.lines().filter_map(master).collect()
}

/// When a process began, in whatever unit the system tells it; `None` when there is no such process, or only its remains.
fn birth(pid: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        return fields.nth(18).filter(|_| state != "Z").map(str::to_owned); // field 22, proc(5)
    }
    let mut ps = std::process::Command::new("/bin/ps");
    let output = ps.args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
