//! A command in a spare channel, seen from the client that took it over.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::error::{Code, Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::command::RemoteCommand;
use crate::transport::descriptors::Passed;
use crate::transport::master;
use crate::transport::mux::OpenSession;
use crate::transport::mux_socket::{Connection, Listener};
use crate::transport::mux_wire::{self, Reply};
use crate::transport::outcome::{Ended, Failure};
use crate::transport::running::Process;
use crate::transport::spare::wire::Handed;
use crate::transport::spare::{relay, shell};
use crate::transport::stream::{Stream, Streams};

/// Runs `command` in the spare; `None` if nothing of the command was sent, so that it may run elsewhere.
pub(in crate::transport) fn run(
    path: &Path,
    handed: Handed,
    command: &RemoteCommand,
    streams: &Streams,
) -> Result<Option<Box<dyn Process>>, Failure> {
    let Handed { ends: [socket, input, output, errors], token, session, printed } = handed;
    let Ok(mut connection) = Connection::taken(socket, path) else { return Ok(None) };
    // The shell may have ended meanwhile, or the master may hang: then nobody would ever say how the command ended.
    let asked = connection.ask(&mux_wire::alive_check(), Deadline::after(master::ANSWER));
    let Ok(Reply::Alive(_)) = asked else { return Ok(None) };
    let Ok([stdin, stdout, stderr]) = Passed::of(streams).and_then(Passed::into_owned) else {
        return Ok(None);
    };
    match send(&input, &shell::lines(command.text(), command.token(), &token)) {
        Sent::Nothing => return Ok(None),
        Sent::Part => return Err(begun("the connection was lost while the command was being sent")),
        Sent::All => {}
    }
    let relays = || -> io::Result<PipeReader> {
        let (delivered, undelivered) = io::pipe()?;
        if relay::is_same(&stdout, &stderr) {
            relay::both_in_background(printed, [output, errors], [stdout, stderr], undelivered)?;
        } else {
            relay::in_background(printed, output, stdout, undelivered.try_clone()?)?;
            relay::in_background(Vec::new(), errors, stderr, undelivered)?;
        }
        if !matches!(streams.stdin, Stream::Null) {
            relay::in_background(Vec::new(), stdin, input, ())?;
        }
        Ok(delivered)
    };
    let delivered = relays().map_err(|error| {
        Failure::MayHaveStarted(
            Error::io("pass on the command's streams", error).hint("it was not run again"),
        )
    })?;
    Ok(Some(Box::new(Spared { session: OpenSession::new(connection, session), ended: None, delivered })))
}

fn begun(what: &str) -> Failure {
    Failure::MayHaveStarted(Error::new(Code::Transport, what).hint("it was not run again"))
}

enum Sent {
    Nothing,
    Part,
    All,
}

/// An empty pipe takes all of it at once.
fn send(to: &OwnedFd, bytes: &[u8]) -> Sent {
    loop {
        match rustix::io::write(to, bytes) {
            Err(Errno::INTR) => {}
            Err(_) => return Sent::Nothing,
            Ok(count) if relay::all(to, &bytes[count..]) => return Sent::All,
            Ok(_) => return Sent::Part,
        }
    }
}

/// A command that runs in a former spare.
struct Spared {
    session: OpenSession,
    ended: Option<Ended>,
    /// Closes when both outputs have been copied.
    delivered: PipeReader,
}

impl Process for Spared {
    fn listener(&self) -> Option<Listener> {
        self.session.listener()
    }

    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>> {
        let ended = match self.ended {
            Some(ended) => ended,
            None => match self.session.wait(interrupt, deadline)? {
                Some(ended) => *self.ended.insert(ended),
                None => return Ok(None),
            },
        };
        loop {
            let timeout = Timespec::try_from(deadline.remaining()).ok();
            let delivered = PollFd::new(&self.delivered, PollFlags::IN);
            let mut watched = vec![delivered];
            watched.extend(interrupt.map(|interrupt| PollFd::new(interrupt, PollFlags::IN)));
            match rustix::event::poll(&mut watched, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("wait for the command's output", errno.into())),
            }
            if !watched.first().is_none_or(|delivered| delivered.revents().is_empty()) {
                return Ok(Some(ended));
            }
            if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) {
                return Ok(None);
            }
        }
    }
}
