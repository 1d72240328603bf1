//! When a command is late, opens a second connection beside the first, which may have died silently (sleep, a VPN, an expired
//! NAT entry).
//!
//! If the second one comes up while the first is still silent, the second replaces the first. We kill the first one's master
//! before that: otherwise it would still start the command if the workspace answered after all.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use crate::error::{Code, Error};
use crate::sys::atomic_file;
use crate::sys::clock::Deadline;
use crate::transport::late::Late;
use crate::transport::mux_socket::Connection;
use crate::transport::outcome::{Cause, Failure, Unconnected};
use crate::transport::{Running, Transport, Way, master, mux_wire};

/// How long to wait after a failed attempt before the next one.
const AGAIN: Duration = Duration::from_secs(1);

/// How often to check both connections.
const LOOK: Duration = Duration::from_millis(20);

/// The most bytes that a master moves while it only takes requests.
const IDLE: u64 = 64 * 1024;

/// What became of a command that was late.
pub enum Settled {
    /// It has started.
    Started(Box<Running>),
    /// It did not start, and never will, because we ended its connection. Another one is up.
    Replaced,
    /// It did not start, and never will, because we ended its connection. The gateway accepts no new one for this session.
    Refused,
}

impl Settled {
    pub(super) fn started(running: Running) -> Settled {
        Settled::Started(Box::new(running))
    }
}

/// The second connection.
enum Beside {
    Connecting(Child),
    Up(u32),
}

/// Finds out what becomes of `late`. The caller holds the session's lock.
pub(super) fn resolve(transport: &Transport, path: &Path, mut late: Late) -> Result<Settled, Failure> {
    // Whoever held the lock before may have replaced the connection.
    if late.is_confirmed(transport, Deadline::after(Duration::ZERO))? {
        return Ok(Settled::started(late.opened(transport)));
    }
    let end = late.end();
    let old = match master::answers(path, master::ANSWER) {
        Ok((pid, listener)) if listener == late.asked.listener() => pid,
        _ => return late.wait_out(transport, end).map(Settled::started), // it is retired: let it finish
    };
    let place = Place { transport, path: sibling(path), log: transport.route.folder.join("beside.log") };
    while !end.is_past() && !late.is_interrupted() {
        let before = traffic(old);
        let refused = match place.connect(&mut late, end) {
            Ok(Tried::Confirmed) => return Ok(Settled::started(late.opened(transport))),
            Ok(Tried::Decided(failure)) => return Err(failure),
            Ok(Tried::GivenUp) => break,
            Ok(Tried::Up(pid)) => {
                let done = place.replace(path, old, pid, before, &mut late);
                if !matches!(done, Ok(Some(Settled::Replaced))) {
                    place.end(Beside::Up(pid));
                }
                match done? {
                    Some(Settled::Started(_)) | None => break,
                    Some(resolved) => return Ok(resolved),
                }
            }
            Err(refused) => refused,
        };
        match refused.cause {
            Cause::AuthRejected => {
                if place.is_silent(old, before, &mut late)? {
                    withdraw(transport, path, old, &mut late)?;
                    return Ok(Settled::Refused);
                }
                break;
            }
            cause if cause.is_out_of_reach() => {
                if late.is_confirmed(transport, Deadline::after(AGAIN.min(end.remaining())))? {
                    break;
                }
            }
            _ => break,
        }
    }
    late.wait_out(transport, end).map(Settled::started)
}

/// How an attempt went.
enum Tried {
    /// The old connection has answered.
    Confirmed,
    /// It has ended, or refused the command.
    Decided(Failure),
    /// A signal arrived, or it took too long.
    GivenUp,
    /// A new connection is up, with this process as its master.
    Up(u32),
}

/// Where to make the second connection.
struct Place<'a> {
    transport: &'a Transport,
    path: PathBuf,
    log: PathBuf,
}

impl Place<'_> {
    /// Opens a new connection, unless the old one answers first.
    fn connect(&self, late: &mut Late, end: Deadline) -> Result<Tried, Unconnected> {
        let transport = self.transport;
        if let Ok(pid) = master::alive(&self.path, master::ANSWER) {
            self.end(Beside::Up(pid)); // left over from a crash
        }
        master::remove_socket(&self.path).map_err(|failure| master::other(failure.into()))?;
        let mut child = master::spawn(transport, &self.path, &self.log, None, master::persist(transport))?;
        loop {
            match late.is_confirmed(transport, Deadline::after(LOOK.min(end.remaining()))) {
                Ok(false) if !end.is_past() && !late.is_interrupted() => {}
                Ok(is_confirmed) => {
                    self.end(Beside::Connecting(child));
                    return Ok(if is_confirmed { Tried::Confirmed } else { Tried::GivenUp });
                }
                Err(failure) => {
                    self.end(Beside::Connecting(child));
                    return Ok(Tried::Decided(failure));
                }
            }
            let ended = child.try_wait().ok().flatten();
            if let Ok(pid) = master::alive(&self.path, master::ANSWER) {
                if ended.is_none() {
                    master::settle(child, pid, end);
                }
                return Ok(Tried::Up(pid));
            }
            let is_endless = std::fs::metadata(&self.log).is_ok_and(|log| log.len() > master::MAX_LOG);
            if ended.is_some() || is_endless {
                master::kill(&mut child);
                return Err(transport.refusal(&master::log_of(&self.log), Duration::ZERO, None));
            }
        }
    }

    /// Replaces the old connection with the new one if the old one is dead; `None` if it is not.
    fn replace(
        &self,
        path: &Path,
        old: u32,
        new: u32,
        before: Option<u64>,
        late: &mut Late,
    ) -> Result<Option<Settled>, Failure> {
        if !self.is_silent(old, before, late)? {
            return Ok(None);
        }
        withdraw(self.transport, path, old, late)?;
        let io = |error| Failure::NotStarted(Error::io("put the new connection in its place", error));
        master::keep(self.transport, new).map_err(Failure::NotStarted)?;
        if self.transport.is_lasting() {
            master::keep_lasting(self.transport, new).map_err(Failure::NotStarted)?;
        }
        std::fs::rename(&self.path, path).map_err(io)?;
        if matches!(self.transport.route.way, Way::External(_)) {
            let _ = atomic_file::remove(&self.log); // only a failed login needs it
        }
        Ok(Some(Settled::Replaced))
    }

    /// Whether the old connection stays silent for as long again as it has been silent so far: once the network is back, TCP
    /// resends lost data within that time. A connection that moves bytes is busy, not dead.
    fn is_silent(&self, old: u32, before: Option<u64>, late: &mut Late) -> Result<bool, Failure> {
        let again = Deadline::after(late.since.elapsed().min(late.end().remaining()));
        if late.is_confirmed(self.transport, again)? || late.is_interrupted() {
            return Ok(false);
        }
        Ok(match (before, traffic(old)) {
            (Some(before), Some(now)) => now.saturating_sub(before) < IDLE,
            _ => true,
        })
    }

    fn end(&self, beside: Beside) {
        match beside {
            Beside::Connecting(mut child) => {
                if let Ok(pid) = master::alive(&self.path, Duration::from_secs(1)) {
                    master::outlast(self.transport, pid, Deadline::after(Duration::ZERO));
                }
                master::kill(&mut child);
            }
            Beside::Up(pid) => master::outlast(self.transport, pid, Deadline::after(Duration::ZERO)),
        }
        let _ = master::remove_socket(&self.path);
    }
}

/// Ends the old connection's master for good. When its client sees the end, the master is gone, and the client has already seen
/// any confirmation.
fn withdraw(transport: &Transport, path: &Path, old: u32, late: &mut Late) -> Result<(), Failure> {
    let gone = Deadline::after(Duration::from_secs(2));
    master::outlast(transport, old, Deadline::after(Duration::ZERO));
    // A master in another pid namespace can only be asked to end.
    if let Ok(mut connection) = Connection::open(path, gone) {
        let _ = connection.ask(&mux_wire::terminate(), gone);
    }
    match late.asked.is_confirmed(transport, None, gone) {
        Err(Failure::NotStarted(_) | Failure::NoMaster(_)) => Ok(()),
        Err(failure) => Err(failure),
        Ok(true) => {
            let error = "the connection was lost while the command was being started";
            Err(Failure::MayHaveStarted(
                Error::new(Code::Transport, error).hint("it may have run in part; it was not run again"),
            ))
        }
        Ok(false) => Err(Failure::MayHaveStarted(late.unresolved())),
    }
}

/// The second connection's socket. Its name is no longer than the first one's, because socket paths are limited in length.
fn sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("master")).as_bytes().to_vec();
    if let Some(last) = name.last_mut() {
        *last = b'+';
    }
    path.with_file_name(OsString::from_vec(name))
}

/// How many bytes a process has moved so far, where the system tells (Linux).
fn traffic(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let count =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(count("rchar:")? + count("wchar:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sockets_have_names_of_one_length() {
        assert_eq!(sibling(Path::new("/c/ws/master")), Path::new("/c/ws/maste+"));
        assert_eq!(sibling(Path::new("/c/ws/master-0a1b2c3d")), Path::new("/c/ws/master-0a1b2c3+"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_what_a_process_moves() {
        let before = traffic(std::process::id());
        let read = std::fs::read("/proc/self/status").map(|bytes| bytes.len() as u64).unwrap_or_default();
        assert!(read > 0 && traffic(std::process::id()) >= before.map(|before| before + read));
    }
}
