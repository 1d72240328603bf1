//! How a command is started: over the master where there is one, and on a connection of its own where there is none.

#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::command::RemoteCommand;
use crate::transport::lost::{Ending, Hold};
use crate::transport::outcome::Failure;
use crate::transport::running::{Process, Running, Stop};
use crate::transport::stream::Streams;
use crate::transport::{Transport, openssh};
#[cfg(unix)]
use crate::transport::{
    beside::{self, Settled},
    full,
    late::{Asked, Late},
    master, mux, mux_socket,
    spare::Visit,
};

/// How long the workspace takes to open a session on a healthy connection. After that we try another one beside it.
#[cfg(unix)]
const LATE: Duration = Duration::from_millis(1500);

/// The longest that the workspace may take to open a session on an open connection.
#[cfg(unix)]
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(20);

/// After a signal, how long to wait to learn whether the command started: if it did, it must be ended.
pub(super) const AFTER_SIGNAL: Duration = Duration::from_secs(3);

/// How long a command waits for another one to end if the connection is full (`MaxSessions`) and it gets no
/// connection of its own.
const QUEUE: Duration = Duration::from_secs(60);

/// How long the end of a spare may take to reach the workspace.
#[cfg(unix)]
const SPARE_GONE: Duration = Duration::from_millis(300);

impl Transport {
    /// Asks the workspace to run `command`, and returns once it has been asked. If the connection is full, the command runs over
    /// an additional one.
    ///
    /// The streams are lent: to see the end of a pipe's other side, drop them afterwards. A signal that asks this process
    /// to end does so as long as nothing was started, unless another command hears of it too; one that comes later is kept
    /// for [`Running::wait`].
    pub fn start(&self, command: &RemoteCommand, streams: &Streams) -> Result<Running, Failure> {
        let interrupt = Interrupt::of_command(&self.cancel).map_err(Failure::NotStarted)?;
        #[cfg(unix)]
        if let Some(visit) = Visit::begin(self, command, streams) {
            return self.start_visiting(visit, command, streams, interrupt);
        }
        self.start_directly(command, streams, interrupt, || false)
    }

    /// Starts the command in the session's spare, if there is one for it.
    #[cfg(unix)]
    fn start_visiting(
        &self,
        mut visit: Visit,
        command: &RemoteCommand,
        streams: &Streams,
        interrupt: Interrupt,
    ) -> Result<Running, Failure> {
        match visit.run(self, command, streams, &interrupt) {
            Ok(Some((token, process))) => {
                return Ok(self.running(token, process, Some(interrupt)).visiting(Some(visit)));
            }
            Ok(None) => {}
            Err(failure) => {
                interrupt.let_pass();
                return Err(failure);
            }
        }
        let hold = Hold::default();
        visit.claim(self, &hold);
        match self.start_directly(command, streams, interrupt, || visit.is_full()) {
            Ok(running) => {
                visit.start_keeper(self);
                Ok(Running { hold, visit: Some(visit), ..running })
            }
            Err(Failure::Late(late)) => Err(Failure::Late(Late { visit: Some(Box::new(visit)), ..late })),
            Err(failure @ Failure::MayHaveStarted(_)) => Err(failure),
            Err(failure) => {
                visit.finish();
                Err(failure)
            }
        }
    }

    /// `makes_room`: if the connection is full, says whether there will be room in a moment.
    fn start_directly(
        &self,
        command: &RemoteCommand,
        streams: &Streams,
        interrupt: Interrupt,
        mut makes_room: impl FnMut() -> bool,
    ) -> Result<Running, Failure> {
        let deadline = Deadline::after(QUEUE);
        let mut pause = Duration::from_millis(5);
        #[cfg(unix)]
        let (mut is_beside_tried, mut is_spare_gone) = (false, Deadline::after(Duration::ZERO));
        #[cfg(windows)]
        let _ = &mut makes_room; // no other client uses the connection
        let token = command.token().to_owned();
        while !interrupt.has_any() {
            let failure = match self.start_once(command, streams, Some(&interrupt)) {
                Ok(process) => return Ok(self.running(token, process, Some(interrupt))),
                #[cfg(unix)]
                Err(Failure::Late(mut late)) => {
                    late.interrupt = Some(interrupt);
                    return if late.is_interrupted() {
                        let end = late.end();
                        late.wait_out(self, end)
                    } else {
                        Err(Failure::Late(late))
                    };
                }
                Err(failure) => failure,
            };
            #[cfg(unix)]
            let failure = match (failure, &self.route.control_path) {
                (Failure::Busy(_), Some(path)) if !is_beside_tried && is_spare_gone.is_past() => {
                    if makes_room() {
                        is_spare_gone = Deadline::after(SPARE_GONE);
                        continue;
                    }
                    is_beside_tried = true;
                    match full::start(self, path, command, streams, &interrupt) {
                        Ok((way, process)) => {
                            return Ok(way.running(token, process, Some(interrupt)));
                        }
                        Err(Failure::Busy(error)) => {
                            interrupt.let_pass();
                            return Err(Failure::Busy(error)); // even an empty connection has no room
                        }
                        // It needs a person, or the gateway accepts no more connections: wait in the queue instead.
                        Err(Failure::NotStarted(_)) => continue,
                        Err(failure) => failure,
                    }
                }
                (failure, _) => failure,
            };
            if matches!(failure, Failure::Busy(_)) && !deadline.is_past() {
                interrupt.comes_within(pause);
                pause = (pause * 3 / 2).min(Duration::from_millis(250));
                continue;
            }
            let is_interrupted = interrupt.let_pass();
            return Err(match failure {
                Failure::MayHaveStarted(_) => failure,
                _ if is_interrupted => Failure::Interrupted(Error::interrupted()),
                failure => failure,
            });
        }
        interrupt.let_pass();
        Err(Failure::Interrupted(Error::interrupted()))
    }

    /// Whether a master is up and the workspace answers over it.
    pub fn is_answered(&self) -> bool {
        let Ok(nothing) = RemoteCommand::script("exit", &[]) else { return false };
        self.is_warm()
            && matches!(self.start_once(&nothing, &Streams::null(), None), Ok(_) | Err(Failure::Busy(_)))
    }

    /// Like [`Transport::start`], but uses a connection of its own if the master's is full: for commands that must not wait.
    pub(super) fn start_beside(
        &self,
        command: &RemoteCommand,
        streams: &Streams,
    ) -> Result<Running, Failure> {
        let process = match self.start_once(command, streams, None) {
            Err(Failure::Busy(_)) => openssh::start(self, command, streams, None)?,
            #[cfg(unix)]
            Err(Failure::Late(late)) => {
                let end = late.end();
                return late.wait_out(self, end);
            }
            done => done?,
        };
        Ok(self.running(command.token().to_owned(), process, None))
    }

    /// Settles a late command, by opening another connection beside the one that has the request. The caller holds the session's
    /// lock.
    #[cfg(unix)]
    pub fn resolve(&self, late: Late) -> Result<Settled, Failure> {
        match &self.route.control_path {
            Some(path) => beside::resolve(self, path, late),
            None => self.wait_out(late).map(Settled::started),
        }
    }

    /// Waits for a late command, up to the limit for all commands.
    #[cfg(unix)]
    pub fn wait_out(&self, late: Late) -> Result<Running, Failure> {
        let end = late.end();
        late.wait_out(self, end)
    }

    /// Asks the master at the route's own socket to run `command`.
    #[cfg(unix)]
    pub(super) fn ask(&self, command: &RemoteCommand, streams: &Streams) -> Result<Box<dyn Asked>, Failure> {
        match &self.route.control_path {
            Some(path) => self.ask_at(path, command, streams),
            None => Err(Failure::NoMaster(openssh::no_master())),
        }
    }

    #[cfg(unix)]
    fn ask_at(
        &self,
        path: &Path,
        command: &RemoteCommand,
        streams: &Streams,
    ) -> Result<Box<dyn Asked>, Failure> {
        if !self.through_ssh {
            return mux::ask(self, path, command, streams);
        }
        let (_, listener) =
            master::answers(path, master::ANSWER).map_err(|trouble| mux::failure(path, trouble))?;
        openssh::ask(self, command, streams, listener)
    }

    fn start_once(
        &self,
        command: &RemoteCommand,
        streams: &Streams,
        interrupt: Option<&Interrupt>,
    ) -> Result<Box<dyn Process>, Failure> {
        #[cfg(unix)]
        if let Some(path) = &self.route.control_path {
            let mut asked = self.ask_at(path, command, streams)?;
            let since = std::time::Instant::now();
            if asked.is_confirmed(self, interrupt, Deadline::after(LATE))? {
                return Ok(asked.opened());
            }
            let token = command.token().to_owned();
            return Err(Failure::Late(Late { asked, since, token, interrupt: None, visit: None }));
        }
        openssh::start(self, command, streams, interrupt)
    }

    #[cfg(unix)]
    pub(super) fn has_delivered(&self, listener: mux_socket::Listener) -> bool {
        let path = self.route.control_path.as_deref();
        path.is_some_and(|path| master::has_delivered(self, path, listener))
    }

    pub(super) fn running(
        &self,
        token: String,
        process: Box<dyn Process>,
        interrupt: Option<Interrupt>,
    ) -> Running {
        // One without an interrupt ends others: it has none of its own to end.
        let ending = interrupt.as_ref().and_then(|_| Ending::begin(self));
        Running {
            process,
            transport: self.clone(),
            token,
            interrupt,
            ending,
            hold: Hold::default(),
            stop: Stop::ByToken,
            told: None,
            #[cfg(unix)]
            visit: None,
        }
    }
}
