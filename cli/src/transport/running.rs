//! A remote command that runs: waiting for it, passing a signal on, ending it when its time is up.

use std::io::PipeWriter;
#[cfg(target_os = "linux")]
use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::Result;
#[cfg(unix)]
use crate::error::{Code, Error};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::lost::{Ending, Hold};
#[cfg(unix)]
use crate::transport::mux_socket::Listener;
use crate::transport::outcome::{Ended, Limits};
#[cfg(unix)]
use crate::transport::spare::Visit;
use crate::transport::{Bound, Transport, remote_end};

/// How long the command's output may go on once its process group is gone.
const LATE_OUTPUT: Duration = Duration::from_millis(500);

/// A command that takes longer is claimed, for the case that this process is killed. Others are spared the files.
const SHORT: Duration = Duration::from_millis(50);

/// How often it is asked whether to go on.
const LOOK: Duration = Duration::from_secs(1);

/// The signal that ends a command whose time is up.
const TERM: i32 = 15;

/// What a transport gives to wait on.
pub(super) trait Process: Send {
    /// The master that it runs over, if it does.
    #[cfg(unix)]
    fn listener(&self) -> Option<Listener>;

    /// Waits until the command has ended and its output has been delivered, until a signal came, or until `deadline`.
    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>>;
}

/// A command that was started on the workspace. Dropping it does not end it.
pub struct Running {
    pub(super) process: Box<dyn Process>,
    pub(super) transport: Transport,
    pub(super) token: String,
    /// Since before it was started, so that no signal is missed.
    pub(super) interrupt: Option<Interrupt>,
    /// The end of commands that other clients lost, which is waited for.
    pub(super) ending: Option<Ending>,
    /// Its claim.
    pub(super) hold: Hold,
    /// How it is ended before it ends itself.
    pub(super) stop: Stop,
    /// Who is told how it ended.
    pub(super) told: Option<Told>,
    /// What the keeper of a spare channel knows of it.
    #[cfg(unix)]
    pub(super) visit: Option<Visit>,
}

/// What is told how a command ended.
pub(super) type Told = Box<dyn FnOnce(&Result<Ended>) + Send>;

/// How the remote command is ended before it ends itself.
#[derive(Debug)]
pub(super) enum Stop {
    /// By a second command, which finds it by its token.
    ByToken,
    /// By the end of its stdin, for whose sake this is held. No second command can be sent. None: it has no such end.
    ByStdin(Option<PipeWriter>),
    /// By the helper that runs it. It reads the signal's number from this pipe, and ends the command once the pipe is closed.
    #[cfg(target_os = "linux")]
    Helper(Option<PipeWriter>),
}

/// Sends signals to a command that runs, while another thread waits for it.
#[derive(Debug, Clone)]
pub struct Signaller {
    transport: Transport,
    token: String,
}

impl Signaller {
    /// Interrupts the remote process group once, as Ctrl-C would, and lets it continue. Returns whether it was reached.
    pub fn interrupt(&self) -> bool {
        const INT: i32 = 2;
        remote_end::signal(&self.transport, &self.token, INT)
    }
}

impl Running {
    /// What signals it.
    pub fn signaller(&self) -> Signaller {
        Signaller { transport: self.transport.clone(), token: self.token.clone() }
    }

    /// The same, ended by closing its stdin: where a certificate forces the command, a second one would be the same again.
    #[must_use]
    pub fn ending_by(self, lifeline: Option<PipeWriter>) -> Running {
        Running { stop: Stop::ByStdin(lifeline), ..self }
    }

    /// The same, whose end `told` learns of first.
    #[must_use]
    pub fn telling(self, told: impl FnOnce(&Result<Ended>) + Send + 'static) -> Running {
        Running { told: Some(Box::new(told)), ..self }
    }

    /// The same, as the keeper of a spare channel knows it.
    #[cfg(unix)]
    pub(super) fn visiting(self, visit: Option<Visit>) -> Running {
        Running { visit, ..self }
    }

    /// Lets a command go on that changes nothing on the workspace.
    pub fn let_go(self) {
        #[cfg(unix)]
        self.visit.into_iter().for_each(Visit::finish);
    }

    /// The claim of the command, for whoever learns that it has done its work before it has ended.
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Waits for the command, delivering its streams, within `limits`.
    ///
    /// The first signal is passed on to the remote process group, and what is left of it 2 s later is killed; a second
    /// one gives up at once.
    pub fn wait(self, limits: &Limits) -> Result<Ended> {
        self.wait_in(limits, Duration::MAX, || true)
    }

    /// As [`Running::wait`]; the time is up as well once `goes_on` says no. It is asked about once a second.
    pub fn wait_while(self, limits: &Limits, goes_on: impl FnMut() -> bool) -> Result<Ended> {
        self.wait_in(limits, LOOK, goes_on)
    }

    fn wait_in(mut self, limits: &Limits, look: Duration, goes_on: impl FnMut() -> bool) -> Result<Ended> {
        let (told, hold) = (self.told.take(), self.hold());
        #[cfg(unix)]
        let mut visit = self.visit.take();
        let ended = self.wait_untold(limits, look, goes_on);
        #[cfg(unix)]
        visit.iter_mut().for_each(Visit::is_ending); // before its claim goes
        hold.release();
        #[cfg(unix)]
        visit.into_iter().for_each(Visit::finish);
        if let Some(told) = told {
            told(&ended);
        }
        ended
    }

    fn wait_untold(
        mut self,
        limits: &Limits,
        look: Duration,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Ended> {
        let interrupt = match self.interrupt.take() {
            Some(interrupt) if !limits.interruptible => {
                interrupt.let_pass();
                None
            }
            interrupt => interrupt,
        };
        let most = self.transport.route.bound.map_or(Duration::MAX, Bound::left);
        let deadline = Deadline::after(limits.timeout.unwrap_or(Duration::MAX).min(most));
        // What cannot be interrupted ends soon by itself: the command that ends another one, above all.
        let is_claimed = interrupt.is_some();
        if self.transport.route.bound.is_some() {
            // A keeper must know about it at once.
            self.hold.claim(&self.transport.route.folder, &self.token);
        }
        loop {
            if let Some(signal) = interrupt.as_ref().and_then(Interrupt::take) {
                let remote_ended = self.end(signal, interrupt.as_ref())?;
                if !remote_ended {
                    self.give_up();
                }
                return Ok(Ended::Interrupted { signal, remote_ended });
            }
            let next = if is_claimed && self.hold.is_open() { look.min(SHORT) } else { look };
            let slice = Deadline::after(next.min(deadline.remaining()));
            if let Some(ended) = self.process.wait(interrupt.as_ref(), slice)? {
                let ended = self.whole(ended);
                if let Some(interrupt) = interrupt {
                    interrupt.let_pass(); // it came too late for the command
                }
                return ended;
            }
            if is_claimed {
                self.hold.claim(&self.transport.route.folder, &self.token);
            }
            if deadline.is_past() || !goes_on() {
                let remote_ended = self.end(TERM, interrupt.as_ref())?;
                if !remote_ended {
                    self.give_up();
                }
                return Ok(Ended::TimedOut { remote_ended });
            }
        }
    }

    /// Leaves to the next client what has not ended: this command, and those that others lost.
    fn give_up(&mut self) {
        self.hold.leave();
        if let Some(ending) = self.ending.take() {
            ending.leave();
        }
    }

    /// Refuses a status whose output may not have come whole.
    fn whole(&self, ended: Ended) -> Result<Ended> {
        #[cfg(unix)]
        if let (Ended::Status(status), Some(listener)) = (ended, self.process.listener())
            && !self.transport.has_delivered(listener)
        {
            return Err(Error::new(
                Code::Transport,
                format!(
                    "the connection ended before all of the command's output arrived (its status: {status})"
                ),
            )
            .hint("it was not run again"));
        }
        Ok(ended)
    }

    /// Waits until what supervises the command there has ended it; whether that is certain.
    fn wait_out(&mut self, interrupt: Option<&Interrupt>) -> Result<bool> {
        let patience = Deadline::after(remote_end::PATIENCE);
        while !patience.is_past() {
            if let Some(ended) = self.process.wait(interrupt, Deadline::after(Duration::from_millis(20)))? {
                return Ok(!matches!(ended, Ended::Interrupted { remote_ended: false, .. }));
            }
            if interrupt.is_some_and(|interrupt| interrupt.take().is_some()) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Ends the remote process group, while its output still comes; whether it is gone for certain.
    fn end(&mut self, signal: i32, interrupt: Option<&Interrupt>) -> Result<bool> {
        if let Stop::ByStdin(lifeline) = &mut self.stop {
            let has_one = lifeline.take().is_some(); // and drops it
            return if has_one { self.wait_out(interrupt) } else { Ok(false) };
        }
        #[cfg(target_os = "linux")]
        if let Stop::Helper(helper) = &mut self.stop {
            if let (Some(mut helper), Ok(signal)) = (helper.take(), u8::try_from(signal)) {
                let _ = helper.write_all(&[signal]); // one that has gone has ended its commands
            }
            return self.wait_out(interrupt);
        }
        let (sender, told) = mpsc::channel();
        let (transport, token) = (self.transport.clone(), self.token.clone());
        std::thread::spawn(move || sender.send(remote_end::end(&transport, &token, signal)));
        let patience = Deadline::after(remote_end::PATIENCE);
        let mut is_over = false;
        loop {
            let slice = Deadline::after(Duration::from_millis(20));
            if is_over {
                slice.pause(Duration::from_millis(5));
            } else {
                is_over = self.process.wait(interrupt, slice)?.is_some();
            }
            if interrupt.is_some_and(|interrupt| interrupt.take().is_some()) {
                return Ok(is_over);
            }
            match told.recv_timeout(Duration::ZERO) {
                Ok(remote_end::Fate::Ended) => {
                    if !is_over {
                        self.process.wait(None, Deadline::after(LATE_OUTPUT))?;
                    }
                    return Ok(true);
                }
                // Over before it was looked for: whatever the shell left behind is not found by its token.
                Ok(remote_end::Fate::NotFound) => {
                    return Ok(is_over || self.process.wait(None, Deadline::after(LATE_OUTPUT))?.is_some());
                }
                Ok(remote_end::Fate::Left | remote_end::Fate::Sent | remote_end::Fate::Unknown)
                | Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) if patience.is_past() => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
