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

/// How long a retired master takes to go once it is told.
const END: Duration = Duration::from_secs(3);

/// Remembers that the master `pid` of the session in `folder` was retired.
pub(super) fn add(folder: &Path, pid: u32) -> Result<()> {
    let mut masters = living(folder);
    masters.extend(birth(pid).map(|birth| (pid, birth)));
    save(folder, &masters)
}

/// Ends every retired master of the session in `folder`.
pub(super) fn end_all(folder: &Path) -> Result<()> {
    let deadline = Deadline::after(END);
    let mut signal = Signal::TERM;
    loop {
        let masters = living(folder);
        if masters.is_empty() {
            return atomic_file::remove(&list(folder)).map(|_| ());
        }
        for (pid, _) in &masters {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        if deadline.is_past() {
            return save(folder, &masters);
        }
        deadline.pause(Duration::from_millis(10));
        if deadline.remaining() < END / 2 {
            signal = Signal::KILL;
        }
    }
}

fn list(folder: &Path) -> PathBuf {
    folder.join("retired")
}

fn save(folder: &Path, masters: &[(u32, String)]) -> Result<()> {
    let text = masters.iter().map(|(pid, birth)| format!("{pid} {birth}\n")).collect::<String>();
    atomic_file::write(&list(folder), text.as_bytes(), 0o600)
}

fn living(folder: &Path) -> Vec<(u32, String)> {
    let text = atomic_file::read(&list(folder), 64 * 1024).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let master = |line: &str| {
        let (pid, born) = line.split_once(' ')?;
        let pid = pid.parse::<u32>().ok().filter(|pid| *pid > 1)?;
        (birth(pid)? == born).then(|| (pid, born.to_owned()))
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
