//! A command that we requested, but whose start nobody has confirmed: the connection may be slow, or dead.
//!
//! Only ending its master takes such a request back. Until then the command may still start, so nobody may request it again.

use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::Transport;
use crate::transport::outcome::Failure;
#[cfg(unix)]
use {
    crate::error::Error,
    crate::transport::mux_socket::Listener,
    crate::transport::running::Process,
    crate::transport::spare::Visit,
    crate::transport::start::{AFTER_SIGNAL, OPEN_DEADLINE},
    crate::transport::{Running, openssh},
    std::time::Instant,
};

/// A command that we requested from a master or through an ssh of its own.
pub(super) trait Asked: Send {
    /// The master that was asked.
    #[cfg(unix)]
    fn listener(&self) -> Listener;

    /// Waits until the workspace has been asked to run it, until a signal came, or until `deadline`.
    fn is_confirmed(
        &mut self,
        transport: &Transport,
        interrupt: Option<&Interrupt>,
        deadline: Deadline,
    ) -> Result<bool, Failure>;

    /// The command, once it is confirmed.
    #[cfg(unix)]
    fn opened(self: Box<Self>) -> Box<dyn Process>;
}

/// A command whose start has stayed unconfirmed for longer than a healthy connection takes.
#[cfg(unix)]
pub struct Late {
    pub(super) asked: Box<dyn Asked>,
    pub(super) since: Instant,
    pub(super) token: String,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) visit: Option<Box<Visit>>,
}

/// Windows has no masters, so nothing is ever late.
#[cfg(windows)]
#[derive(Debug)]
pub enum Late {}

#[cfg(unix)]
impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Late")
    }
}

#[cfg(unix)]
impl Late {
    /// Waits until it is confirmed, until a signal came, or until `deadline`.
    pub(super) fn is_confirmed(
        &mut self,
        transport: &Transport,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        self.asked.is_confirmed(transport, self.interrupt.as_ref(), deadline)
    }

    /// The command, once it is confirmed.
    pub(super) fn opened(self, transport: &Transport) -> Running {
        transport
            .running(self.token, self.asked.opened(), self.interrupt)
            .visiting(self.visit.map(|visit| *visit))
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(Interrupt::has_any)
    }

    /// When to stop waiting for it.
    pub(super) fn end(&self) -> Deadline {
        Deadline::after(OPEN_DEADLINE.saturating_sub(self.since.elapsed()))
    }

    /// Waits until `end`, or a little while after a signal.
    pub(super) fn wait_out(mut self, transport: &Transport, end: Deadline) -> Result<Running, Failure> {
        if self.is_confirmed(transport, end)? {
            return Ok(self.opened(transport));
        }
        let signal = self.interrupt.as_ref().and_then(Interrupt::signal);
        if signal.is_some()
            && self.asked.is_confirmed(transport, None, Deadline::after(AFTER_SIGNAL.min(end.remaining())))?
        {
            return Ok(self.opened(transport));
        }
        let error = self.unresolved();
        let status = signal.and_then(|signal| u8::try_from(128 + signal).ok());
        Err(Failure::MayHaveStarted(match status {
            Some(status) => error.ending_with(status),
            None => error,
        }))
    }

    /// The error for a command that we gave up on.
    pub(super) fn unresolved(&self) -> Error {
        openssh::silent(self.since.elapsed()).hint(
            "the command may still start when the connection recovers; `runcode connect --force` ends that connection",
        )
    }
}
