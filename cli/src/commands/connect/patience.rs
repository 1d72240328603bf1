//! Waiting for a workspace to come up: until a deadline, or until the user has had enough.

use std::cell::Cell;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;

/// How long to wait, and what to say when the user does not.
pub(super) struct Patience {
    /// When to give up.
    pub(super) deadline: Deadline,
    workspace: String,
    interrupt: Option<Interrupt>,
    has_started: Cell<bool>,
}

impl Patience {
    /// For a workspace as the user calls it. Without waiting, Ctrl-C is what it always is.
    pub(super) fn new(workspace: &str, seconds: u64, waits: bool) -> Result<Patience> {
        let interrupt = if waits { Some(Interrupt::listen_once()?) } else { None };
        let deadline = Deadline::after(Duration::from_secs(seconds));
        Ok(Patience { deadline, workspace: workspace.to_owned(), interrupt, has_started: Cell::new(false) })
    }

    /// The workspace was told to start: it goes on with that, whatever becomes of us.
    pub(super) fn starts(&self) {
        self.has_started.set(true);
    }

    /// An error once the user has interrupted.
    pub(super) fn check(&self) -> Result<()> {
        match self.interrupt.as_ref().and_then(Interrupt::signal) {
            Some(_) => Err(self.interrupted()),
            None => Ok(()),
        }
    }

    fn sleep(&self, pause: Duration) -> Result<()> {
        match &self.interrupt {
            Some(interrupt) if interrupt.comes_within(pause.min(self.deadline.remaining())) => {
                Err(self.interrupted())
            }
            Some(_) => Ok(()),
            None => {
                self.deadline.pause(pause);
                Ok(())
            }
        }
    }

    fn interrupted(&self) -> Error {
        let name = &self.workspace;
        if self.has_started.get() {
            Error::new(Code::Interrupted, format!("interrupted: `{name}` keeps booting, and is not attached"))
                .hint(format!(
                    "`runcode connect {name} --wait` attaches it, `runcode stop {name}` powers it down"
                ))
        } else {
            Error::new(Code::Interrupted, format!("interrupted: `{name}` is not attached"))
        }
    }
}

/// The pauses between polls: short at first, then about three seconds.
pub(super) struct Pauses(Duration);

impl Pauses {
    /// The first is short.
    pub(super) fn new() -> Pauses {
        Pauses(Duration::from_millis(200))
    }

    /// Sleeps until the next poll.
    pub(super) fn next(&mut self, patience: &Patience) -> Result<()> {
        patience.sleep(self.0)?;
        self.0 = (self.0 * 3 / 2).min(Duration::from_secs(3));
        Ok(())
    }
}
