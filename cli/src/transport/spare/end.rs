//! How a keeper ends, and what its file says.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::sys::atomic_file;
use crate::sys::clock::Deadline;
use crate::transport::master;
use crate::transport::spare::{FILE, OFF};

/// How long a keeper takes to end once it is killed.
const END: Duration = Duration::from_secs(2);

/// The state of a session's spare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No keeper runs.
    None,
    /// A keeper runs, and has no spare at the moment.
    Waiting,
    /// A spare waits for a command.
    Ready,
    /// Spares do not work on this connection, for this reason.
    Off(String),
}

/// The state of the spare of the session in `folder`.
pub fn state(folder: &Path) -> State {
    let said = read(folder);
    if let Some(why) = said.strip_prefix(OFF) {
        return State::Off(why.trim().to_owned());
    }
    match said.split(' ').nth(1) {
        _ if !is_held(folder) => State::None,
        Some("ready") => State::Ready,
        _ => State::Waiting,
    }
}

/// Ends the keeper of the session in `folder` and so its spare. It is fine if there is none.
pub(in crate::transport) fn end(folder: &Path) {
    let deadline = Deadline::after(END);
    while is_held(folder) && !deadline.is_past() {
        let said = read(folder);
        let pid = said.split(' ').next().and_then(|word| word.parse::<u32>().ok()).filter(|pid| *pid > 1);
        // A client that starts a keeper holds the lock for a moment, and the last keeper's process id may belong to another process.
        if let Some(pid) = pid.filter(|pid| is_keeper(*pid, folder)) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        }
        deadline.pause(Duration::from_millis(2));
    }
}

fn is_keeper(pid: u32, folder: &Path) -> bool {
    let (arguments, folder) = (master::arguments(pid), folder.as_os_str().as_encoded_bytes());
    !folder.is_empty() && arguments.windows(folder.len()).any(|part| part == folder)
}

/// Forgets that spares did not work: they may on a new connection.
pub(in crate::transport) fn forget_refusal(folder: &Path) {
    if matches!(state(folder), State::Off(_)) {
        let _ = atomic_file::remove(&folder.join(FILE));
    }
}

fn is_held(folder: &Path) -> bool {
    let file = File::options().read(true).open(folder.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn read(folder: &Path) -> String {
    let said = atomic_file::read(&folder.join(FILE), 256).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn the_file_tells_the_state_while_it_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let at = || state(folder.path());
        assert_eq!(at(), State::None);
        end(folder.path());
        let path = folder.path().join(FILE);
        std::fs::write(&path, "4711 ready").unwrap();
        assert_eq!(at(), State::None, "its keeper was killed");
        let held = File::open(&path).unwrap();
        held.try_lock().unwrap();
        assert_eq!(at(), State::Ready);
        std::fs::write(&path, "4711 waiting").unwrap();
        assert_eq!(at(), State::Waiting);
        drop(held);
        std::fs::write(&path, "off the login shell").unwrap();
        assert_eq!(at(), State::Off("the login shell".to_owned()));
        forget_refusal(folder.path());
        assert_eq!((at(), path.exists()), (State::None, false));
    }
}
