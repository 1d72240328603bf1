//! An additional connection for one command, when the session's own is full: its server allows no more sessions on it
//! (`MaxSessions`).
//!
//! It has a master like the first one, which ends soon after the command.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::sys::atomic_file;
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::sys::random;
use crate::transport::command::RemoteCommand;
use crate::transport::mux_socket::{Connection, Listener};
use crate::transport::openssh::COLD_DEADLINE;
use crate::transport::outcome::{Ended, Failure};
use crate::transport::running::Process;
use crate::transport::start::OPEN_DEADLINE;
use crate::transport::stream::Streams;
use crate::transport::{Route, Transport, master, mux_wire, openssh};

/// How long its master stays after the command, in seconds, if nobody tells it to end.
const KEEP: u32 = 60;

/// How many characters of a socket's name differ from the first one's.
const OWN: usize = 4;

/// Opens the connection and runs `command` over it; also returns the transport for it.
pub(super) fn start(
    transport: &Transport,
    path: &Path,
    command: &RemoteCommand,
    streams: &Streams,
    interrupt: &Interrupt,
) -> Result<(Transport, Box<dyn Process>), Failure> {
    let own = further(path);
    let route = Route { control_path: Some(own.clone()), ..transport.route.clone() };
    let way = Transport { route, ..transport.clone() };
    let mut connection = Further { pid: None, way: way.clone(), path: own };
    connection.come_up(KEEP, interrupt)?;
    let mut asked = way.ask(command, streams)?;
    match asked.is_confirmed(&way, None, Deadline::after(OPEN_DEADLINE)) {
        Ok(true) => Ok((way, Box::new(OverFurther { process: asked.opened(), _connection: connection }))),
        Ok(false) => Err(Failure::MayHaveStarted(openssh::silent(OPEN_DEADLINE))),
        Err(Failure::Busy(_)) => Err(Failure::Busy(
            Error::new(Code::Transport, "the workspace accepts the login, but no commands (MaxSessions)")
                .hint("its sshd may allow port forwarding only: check `MaxSessions` in its sshd_config"),
        )),
        Err(failure) => Err(failure),
    }
}

/// Puts a connection that stays without use in the place of the session's own, which finishes what runs over it. If no
/// connection can be made, that one stays. `release` is called once there is one. The caller holds the session's lock.
pub(super) fn replace_by_lasting(transport: &Transport, path: &Path, release: impl FnOnce()) -> Result<()> {
    let interrupt = Interrupt::of_command(&transport.cancel)?;
    let way = transport.clone().lasting();
    let mut connection = Further { pid: None, path: further(path), way };
    let came_up = connection.come_up(master::persist(&connection.way), &interrupt);
    interrupt.let_pass();
    came_up.map_err(Failure::into_error)?;
    let pid = connection.pid.ok_or_else(openssh::no_master)?;
    release();
    master::retire(transport, path)?;
    std::fs::rename(&connection.path, path)
        .map_err(|error| Error::io("put the new connection in its place", error))?;
    connection.pid = None; // it is the session's own now
    master::keep(transport, pid)?;
    master::keep_lasting(transport, pid)
}

/// Ends additional connections that a crash left behind. The caller holds the session's lock.
pub(super) fn end_all(transport: &Transport, path: &Path) {
    let (Some(folder), Some(common)) = (path.parent(), common(path)) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_bytes().starts_with(&common)) {
        let path = entry.path();
        let pid = master::alive(&path, Duration::from_secs(1)).ok();
        drop(Further { pid, way: transport.clone(), path });
    }
}

/// An additional connection, which ends when dropped.
struct Further {
    pid: Option<u32>,
    way: Transport,
    path: PathBuf,
}

impl Further {
    fn come_up(&mut self, keep: u32, interrupt: &Interrupt) -> Result<(), Failure> {
        let not_started = |failed: crate::transport::Unconnected| Failure::NotStarted(failed.error);
        let log = self.path.file_name().map(|name| self.way.route.folder.join(name).with_extension("log"));
        let log = log.unwrap_or_default();
        let mut child = master::spawn(&self.way, &self.path, &log, None, keep).map_err(not_started)?;
        let deadline = Deadline::after(COLD_DEADLINE);
        let failure = loop {
            let ended = child.try_wait().ok().flatten();
            if let Ok(pid) = master::alive(&self.path, master::ANSWER) {
                self.pid = Some(pid);
                if ended.is_none() {
                    master::settle(child, pid, deadline);
                }
                let _ = atomic_file::remove(&log);
                return Ok(());
            }
            if ended.is_some() {
                break self.way.refusal(&master::log_of(&log), Duration::ZERO, Some(interrupt)).error;
            }
            let is_endless = std::fs::metadata(&log).is_ok_and(|log| log.len() > master::MAX_LOG);
            if deadline.is_past() || is_endless {
                break openssh::silent(COLD_DEADLINE);
            }
            if interrupt.comes_within(Duration::from_millis(4)) {
                break Error::interrupted();
            }
        };
        master::kill(&mut child);
        let _ = atomic_file::remove(&log);
        Err(Failure::NotStarted(failure))
    }
}

impl Drop for Further {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            let deadline = Deadline::after(Duration::from_secs(1));
            if let Ok(mut connection) = Connection::open(&self.path, deadline) {
                let _ = connection.ask(&mux_wire::terminate(), deadline);
            }
            master::outlast(&self.way, pid, deadline);
        }
        let _ = master::remove_socket(&self.path);
    }
}

/// A command, and the connection that only this command uses.
struct OverFurther {
    process: Box<dyn Process>,
    _connection: Further,
}

impl Process for OverFurther {
    fn listener(&self) -> Option<Listener> {
        self.process.listener()
    }

    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>> {
        self.process.wait(interrupt, deadline)
    }
}

/// Its socket. The name is no longer than the first one's, because socket paths are limited in length.
fn further(path: &Path) -> PathBuf {
    let mut name = common(path).unwrap_or_default();
    name.extend(random::word().bytes().take(OWN - 1));
    path.with_file_name(OsString::from_vec(name))
}

/// How the names of such sockets begin.
fn common(path: &Path) -> Option<Vec<u8>> {
    let name = path.file_name()?.as_bytes();
    let mut common = name.get(..name.len().checked_sub(OWN)?)?.to_vec();
    common.push(b'=');
    Some(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_sockets_are_told_by_their_names() {
        let path = Path::new("/c/ws/master-0a1b2c3d");
        let name = further(path);
        assert_eq!(name.as_os_str().len(), path.as_os_str().len());
        assert!(name.to_string_lossy().starts_with("/c/ws/master-0a1b="), "{}", name.display());
    }
}
