//! Waiting for a workspace to come up: until a deadline, or until the user has had enough.

use std::cell::Cell;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::sys::clock::Deadline;
use crate::sys::interrupt::{Cancel, Interrupt};

/// How long the user waits who does not say.
const DEFAULT: Duration = Duration::from_secs(180);

/// How long to wait, and what to say when the user does not.
pub(super) struct Patience {
    deadline: Cell<Deadline>,
    /// Whether the user said how long.
    is_given: bool,
    workspace: String,
    interrupt: Option<Interrupt>,
    has_started: Cell<bool>,
}

impl Patience {
    /// For a workspace as the user calls it, until `cancel` says so. Without waiting, Ctrl-C is what it always is.
    pub(super) fn new(
        workspace: &str,
        seconds: Option<u64>,
        waits: bool,
        cancel: &Cancel,
    ) -> Result<Patience> {
        let interrupt = if waits { Some(Interrupt::listen_once()?.heard_with(cancel)) } else { None };
        let deadline = Cell::new(Deadline::after(seconds.map_or(DEFAULT, Duration::from_secs)));
        Ok(Patience {
            deadline,
            is_given: seconds.is_some(),
            workspace: workspace.to_owned(),
            interrupt,
            has_started: Cell::new(false),
        })
    }

    /// How long telling the workspace to start may take.
    pub(super) fn for_start(&self) -> Duration {
        if self.is_given { self.deadline.get().remaining() } else { Duration::MAX }
    }

    /// The workspace was told to start: it goes on with that, whatever becomes of us. Where the user did not say how long all of
    /// it may take, the wait begins now.
    pub(super) fn starts(&self) {
        self.has_started.set(true);
        if !self.is_given {
            self.deadline.set(Deadline::after(DEFAULT));
        }
    }

    /// Whether it is time to give up.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.get().is_past()
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
            Some(interrupt) if interrupt.comes_within(pause.min(self.deadline.get().remaining())) => {
                Err(self.interrupted())
            }
            Some(_) => Ok(()),
            None => {
                self.deadline.get().pause(pause);
                Ok(())
            }
        }
    }

    fn interrupted(&self) -> Error {
        let (name, word) = (foreign::word(&self.workspace), foreign::argument(&self.workspace));
        if self.has_started.get() {
            Error::new(Code::Interrupted, format!("interrupted: {name} keeps booting, and is not attached"))
                .hint(format!(
                    "`runcode connect {word} --wait` attaches it, `runcode stop {word}` powers it down"
                ))
        } else {
            Error::new(Code::Interrupted, format!("interrupted: {name} is not attached"))
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
