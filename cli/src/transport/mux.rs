//! The transport that talks to the master itself: no process is started, and the streams are the caller's own.
//!
//! The master gets our three descriptors and does the copying; what is left for us is to wait for the exit message and
//! then for the end of the connection, because output may come after the message. The command has been asked for once
//! `SESSION_OPENED` is here, and not before: that decides whether asking again is safe.

use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::error::{Code, Error, Result};
use crate::openssh::config::PRIVATE;
use crate::output::foreign::FileName as _;
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::command::RemoteCommand;
use crate::transport::connect_error::SANDBOX_HINT;
use crate::transport::descriptors::{Flags, Passed};
use crate::transport::late::Asked;
use crate::transport::master;
use crate::transport::mux_socket::{Connection, Listener, Trouble};
use crate::transport::mux_wire::{self, Reply};
use crate::transport::openssh;
use crate::transport::outcome::{Ended, Failure};
use crate::transport::running::Process;
use crate::transport::start::OPEN_DEADLINE;
use crate::transport::stream::Streams;
use crate::transport::{Transport, Way};

/// How long a master takes to say hello, on a machine that is busy.
const HELLO: Duration = master::ANSWER;

/// Asks the master to run `command`.
pub(super) fn ask(
    transport: &Transport,
    path: &Path,
    command: &RemoteCommand,
    streams: &Streams,
) -> Result<Box<dyn Asked>, Failure> {
    let failed = |trouble| failure(path, trouble);
    let mut connection = Connection::open(path, Deadline::after(HELLO)).map_err(failed)?;
    let flags = Flags::of_process();
    let passed = Passed::of(streams)
        .map_err(|error| Failure::NotStarted(Error::io("open the streams of the command", error)))?;
    let with_agent = matches!(transport.route.way, Way::External(_));
    send(&mut connection, command, with_agent, &passed).map_err(failed)?;
    Ok(Box::new(Request { connection, session: None, flags }))
}

fn send(
    connection: &mut Connection,
    command: &RemoteCommand,
    with_agent: bool,
    passed: &Passed,
) -> Result<(), Trouble> {
    let deadline = Deadline::after(OPEN_DEADLINE);
    let variable = command.private().map(|value| format!("{PRIVATE}={value}"));
    let request = mux_wire::new_session(command.text(), variable.as_deref(), with_agent, command.terminal());
    connection.send(&request, deadline)?;
    passed.fds().try_for_each(|fd| connection.pass(fd, deadline))
}

/// A command that we requested from the master. Until the workspace answers, the master does not notice if its client goes
/// away: when the answer comes, however late, it starts the command.
struct Request {
    connection: Connection,
    session: Option<u32>,
    flags: Flags,
}

impl Asked for Request {
    fn listener(&self) -> Listener {
        self.connection.listener()
    }

    fn is_confirmed(
        &mut self,
        transport: &Transport,
        interrupt: Option<&Interrupt>,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        if self.session.is_some() {
            return Ok(true); // what comes next is for whoever waits for its end
        }
        let path = transport.route.control_path.as_deref().unwrap_or(Path::new(""));
        let failed = |trouble| failure(path, trouble);
        loop {
            match self.connection.next().map_err(failed)? {
                Some(Some(Reply::SessionOpened(session))) => {
                    self.session = Some(session);
                    return Ok(true);
                }
                Some(Some(Reply::Refused(words))) if mux_wire::is_full(&words) => {
                    return Err(Failure::Busy(openssh::full()));
                }
                Some(Some(Reply::Refused(words))) => {
                    return Err(Failure::NotStarted(transport.refusal(&words, Duration::ZERO, None).error));
                }
                Some(Some(_)) => return Err(failed(Trouble::Nonsense)),
                Some(None) => return Err(failed(Trouble::Gone)),
                None if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) => return Ok(false),
                None => ready(&self.connection, interrupt, deadline)
                    .map_err(|errno| failed(Trouble::Io(errno.into())))?,
            }
        }
    }

    fn opened(self: Box<Self>) -> Box<dyn Process> {
        let Request { connection, session, flags } = *self;
        Box::new(OpenSession { connection, session: session.unwrap_or(0), status: None, _flags: flags })
    }
}

/// Waits until the master has said something, a signal came, or the deadline passed.
fn ready(connection: &Connection, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<(), Errno> {
    let timeout = Timespec::try_from(deadline.remaining()).ok();
    let socket = PollFd::new(connection, PollFlags::IN);
    let polled = match interrupt {
        Some(interrupt) => {
            rustix::event::poll(&mut [socket, PollFd::new(interrupt, PollFlags::IN)], timeout.as_ref())
        }
        None => rustix::event::poll(&mut [socket], timeout.as_ref()),
    };
    match polled {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A session whose command has been asked for.
pub(super) struct OpenSession {
    connection: Connection,
    session: u32,
    status: Option<u32>,
    _flags: Flags,
}

impl OpenSession {
    /// The session with this number at the master.
    pub(super) fn new(connection: Connection, session: u32) -> OpenSession {
        OpenSession { connection, session, status: None, _flags: Flags::of_process() }
    }

    /// Takes what the master has said so far: how the command ended, once the connection is over.
    fn hear(&mut self) -> Result<Option<Ended>> {
        loop {
            match self.connection.next() {
                Ok(None) => return Ok(None),
                Ok(Some(None)) => return Ok(Some(self.ended())),
                Ok(Some(Some(Reply::Exit { session, status }))) if session == self.session => {
                    self.status = Some(status);
                }
                Ok(Some(Some(Reply::NoTerminal))) => {}
                Ok(Some(Some(_))) | Err(Trouble::Nonsense) => {
                    return Err(Error::new(Code::Transport, "unexpected reply from the ssh master")
                        .hint("the command may still be running; connect again with --force"));
                }
                Err(_) => return Ok(Some(self.ended())),
            }
        }
    }

    fn ended(&self) -> Ended {
        self.status.map_or(Ended::NoStatus, |status| Ended::Status(u8::try_from(status).unwrap_or(255)))
    }
}

impl Process for OpenSession {
    fn listener(&self) -> Option<Listener> {
        Some(self.connection.listener())
    }

    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>> {
        loop {
            if let Some(ended) = self.hear()? {
                return Ok(Some(ended));
            }
            if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) {
                return Ok(None);
            }
            ready(&self.connection, interrupt, deadline)
                .map_err(|errno| Error::io("wait for the connection", errno.into()))?;
        }
    }
}

/// What trouble with the master means for a command that was not asked for yet.
pub(super) fn failure(path: &Path, trouble: Trouble) -> Failure {
    let error = |message: String| Error::new(Code::Transport, message);
    Failure::NotStarted(match trouble {
        Trouble::Absent => return Failure::NoMaster(openssh::no_master()),
        Trouble::Silent => openssh::silent(HELLO),
        Trouble::Gone => error("the connection to the workspace was lost".to_owned()),
        Trouble::Nonsense => error(format!("{} does not belong to an ssh master", path.named())),
        Trouble::Foreign => error(format!("{} belongs to another user", path.named())),
        Trouble::Forbidden => {
            error("cannot reach the connection's master: sockets are forbidden here".to_owned())
                .hint(SANDBOX_HINT)
        }
        Trouble::Io(cause) => {
            error(format!("cannot reach the connection's master: {}", crate::error::reason(&cause)))
        }
    })
}

#[cfg(test)]
#[path = "mux_tests.rs"]
mod tests;
