//! A spare channel in the keeper: from opening it, over its shell's start-up files, to handing it over.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::sys::clock::Deadline;
use crate::transport::command;
use crate::transport::mux_socket::{Connection, Trouble};
use crate::transport::mux_wire::{self, Reply};
use crate::transport::spare::wire::{self, Handed, MAX_PRINTED};
use crate::transport::spare::{Form, relay, shell};

/// How long the shell's start-up files may take.
const START: Duration = Duration::from_secs(15);

/// How old a spare may become. For that long, a change that others make on the workspace may go unnoticed.
const AGE: Duration = Duration::from_secs(60);

const NOT_EXACT: &str = "the login shell or its start-up files do not allow it";

/// A channel that no command uses yet.
pub(super) struct Channel {
    connection: Connection,
    input: OwnedFd,
    output: OwnedFd,
    errors: OwnedFd,
    token: String,
    session: Option<u32>,
    printed: Vec<u8>,
    ready: Option<shell::Answer>,
    since: Instant,
    /// Wall-clock time, because the monotonic clock stops while the machine sleeps.
    since_by_wall: SystemTime,
}

/// What became of a channel.
pub(super) enum Progress {
    /// It is ready, or will be.
    Goes,
    /// It is over.
    Gone,
    /// It is over, and every further one would be, too.
    Refused(&'static str),
}

impl Channel {
    /// Asks the master for a channel; `None` if that fails.
    pub(super) fn open(control_path: &Path, with_agent: bool) -> Option<Channel> {
        let deadline = Deadline::after(wire::MASTER);
        let (since, since_by_wall) = (Instant::now(), SystemTime::now());
        let mut connection = Connection::open(control_path, deadline).ok()?;
        let (stdin, input) = io::pipe().ok()?;
        let (output, stdout) = io::pipe().ok()?;
        let (errors, stderr) = io::pipe().ok()?;
        let token = command::token();
        let request = mux_wire::new_session(shell::waiting(&token).as_bytes(), None, with_agent, None);
        connection.send(&request, deadline).ok()?;
        [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
            .into_iter()
            .try_for_each(|fd| connection.pass(fd, deadline))
            .ok()?;
        let input = OwnedFd::from(input);
        if !relay::all(&input, shell::question(&token).as_bytes()) {
            return None;
        }
        Some(Channel {
            connection,
            input,
            output: output.into(),
            errors: errors.into(),
            token,
            session: None,
            printed: Vec::new(),
            ready: None,
            since,
            since_by_wall,
        })
    }

    /// Reads what the master and the shell have sent.
    pub(super) fn advance(&mut self) -> Progress {
        loop {
            match self.connection.next() {
                Ok(None) => break,
                Ok(Some(Some(Reply::SessionOpened(session)))) => self.session = Some(session),
                Ok(Some(Some(Reply::Refused(words)))) if mux_wire::is_full(&words) => {
                    return Progress::Refused("the connection has no room for it (MaxSessions)");
                }
                Ok(Some(Some(Reply::Exit { .. }))) if self.ready.is_none() => {
                    return Progress::Refused(NOT_EXACT);
                }
                Ok(Some(_)) | Err(Trouble::Nonsense) => return Progress::Gone,
                Err(_) => return Progress::Gone,
            }
        }
        let age = self.since.elapsed().max(self.since_by_wall.elapsed().unwrap_or(AGE));
        if age >= AGE {
            return Progress::Gone;
        }
        if self.ready.is_some() {
            return Progress::Goes;
        }
        if age >= START {
            return Progress::Refused(NOT_EXACT);
        }
        if !self.hear_shell() {
            return Progress::Gone;
        }
        if self.printed.len() > MAX_PRINTED {
            return Progress::Refused("the login shell's start-up files print too much");
        }
        self.ready = shell::answer(&self.printed, &self.token);
        Progress::Goes
    }

    /// Reads what the shell has printed so far. Returns whether it may print more.
    fn hear_shell(&mut self) -> bool {
        let mut chunk = vec![0; MAX_PRINTED];
        let now = Timespec::default();
        let mut watched = [PollFd::new(&self.output, PollFlags::IN)];
        if !rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|count| count > 0) {
            return true;
        }
        match rustix::io::read(&self.output, &mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.printed.extend_from_slice(&chunk[..count]);
                true
            }
            Err(_) => true,
        }
    }

    /// Whether the spare is ready for a command.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.is_some() && self.session.is_some()
    }

    /// Whether a command of this form may have the spare, as far as that is known.
    pub(super) fn suits(&self, form: Form) -> bool {
        form == Form::Evaluated || self.ready.as_ref().is_none_or(|answer| answer.is_bash)
    }

    /// The descriptors to wait on.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let output = self.ready.is_none().then(|| self.output.as_fd());
        [self.connection.as_fd()].into_iter().chain(output)
    }

    /// All of it, and whether its shell is bash.
    pub(super) fn into_handed(self) -> Option<(bool, Handed)> {
        let answer = self.ready?;
        let ends = [self.connection.into_socket()?, self.input, self.output, self.errors];
        let handed = Handed { ends, token: self.token, session: self.session?, printed: answer.printed };
        Some((answer.is_bash, handed))
    }
}
