//! Being asked to end: by a signal to this process (SIGINT, SIGTERM and SIGHUP, or Ctrl-C on Windows), or, for one command
//! alone, by whoever holds its [`Cancel`].
//!
//! Signal handlers belong to the process and stay for good. What hears of a signal is a value: every [`Interrupt`] that
//! lives gets each one, and takes it for itself alone. With none, a signal does what the system would have done.

#[cfg(unix)]
#[path = "interrupt_unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "interrupt_windows.rs"]
mod platform;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::error::{Error, Result};
use platform::{Inbox, Subscription};

/// What a cancelled command does: the same as at Ctrl-C. The number is the same everywhere.
const SIGINT: u8 = 2;

/// In an inbox, added to the number of the signal that the command would get from a terminal or a shell.
const CANCELLED: usize = 1 << 16;

/// Hears that something is to end.
#[derive(Debug)]
pub struct Interrupt {
    inbox: Arc<Inbox>,
    signals: Option<Subscription>,
}

impl Interrupt {
    /// Hears of signals, also of those that were ignored when this process began.
    pub fn listen() -> Result<Interrupt> {
        Interrupt::subscribed(Subscription::to_all)
    }

    /// As [`Interrupt::listen`]; a second signal ends the process at once, whatever it waits for.
    pub fn listen_once() -> Result<Interrupt> {
        Interrupt::subscribed(Subscription::to_first)
    }

    /// Hears what a remote command has to hear of: `cancel`, and the signals that were not ignored when this process began.
    /// On Windows no signal is among them: the console tells the ssh client itself.
    pub fn of_command(cancel: &Cancel) -> Result<Interrupt> {
        let interrupt = Interrupt::subscribed(Subscription::of_command)?;
        cancel.tell(&interrupt.inbox);
        Ok(interrupt)
    }

    /// The same, which hears of `cancel` as well.
    #[must_use]
    pub fn heard_with(self, cancel: &Cancel) -> Interrupt {
        cancel.tell(&self.inbox);
        self
    }

    fn subscribed(
        subscribe: impl FnOnce(&Inbox) -> std::io::Result<Option<Subscription>>,
    ) -> Result<Interrupt> {
        let inbox = Inbox::new().map_err(listen_error)?;
        let signals = subscribe(&inbox).map_err(listen_error)?;
        Ok(Interrupt { inbox: Arc::new(inbox), signals })
    }

    /// The signal that came last, if any. It stays.
    pub fn signal(&self) -> Option<i32> {
        number(self.inbox.peek())
    }

    /// Whether there is a signal that was not taken.
    pub fn has_any(&self) -> bool {
        self.inbox.peek() != 0
    }

    /// The signal that came last, if any; it is taken.
    pub fn take(&self) -> Option<i32> {
        number(self.inbox.take())
    }

    /// Has a signal that was not taken do what the system would have done, unless somebody else hears of it too. Whether
    /// there was one, or the command was cancelled.
    pub fn let_pass(mut self) -> bool {
        let last = self.inbox.take();
        let is_sole = self.signals.take().is_some_and(Subscription::end);
        if let Some(signal) = number(last).filter(|_| is_sole && last < CANCELLED) {
            platform::act_by_default(signal);
        }
        last != 0
    }

    /// Waits for `pause`; whether a signal came before it was over.
    pub fn comes_within(&self, pause: Duration) -> bool {
        self.inbox.wait(pause)
    }

    /// Waits until a signal comes.
    pub fn wait(&self) {
        while !self.inbox.wait(Duration::from_secs(3600)) {}
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Interrupt {
    /// Readable while there is a signal that was not taken.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

fn number(last: usize) -> Option<i32> {
    match last {
        0 => None,
        signal => i32::try_from(signal % CANCELLED).ok(),
    }
}

fn listen_error(error: std::io::Error) -> Error {
    Error::io("listen for signals", error)
}

/// Cancels one command, or several that belong together, from another thread. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Mutex<Cancelled>>);

#[derive(Debug, Default)]
struct Cancelled {
    /// 0, or the value in the inboxes.
    what: usize,
    inboxes: Vec<Weak<Inbox>>,
}

impl Cancel {
    /// Interrupts what runs, as Ctrl-C would, and whatever starts later.
    pub fn cancel(&self) {
        self.cancel_by(SIGINT);
    }

    /// Like [`Cancel::cancel`], with another signal.
    pub fn cancel_by(&self, signal: u8) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.what = CANCELLED + usize::from(signal);
        let what = state.what;
        for inbox in state.inboxes.drain(..).filter_map(|inbox| inbox.upgrade()) {
            inbox.put(what);
        }
    }

    /// Whether it was.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).what != 0
    }

    fn tell(&self, inbox: &Arc<Inbox>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.what != 0 {
            inbox.put(state.what);
            return;
        }
        state.inboxes.retain(|inbox| inbox.strong_count() > 0);
        state.inboxes.push(Arc::downgrade(inbox));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_cancel_reaches_its_commands_alone() {
        let (ours, theirs) = (Cancel::default(), Cancel::default());
        let both = [&ours, &ours].map(|cancel| Interrupt::of_command(cancel).unwrap());
        let other = Interrupt::of_command(&theirs).unwrap();
        assert!(!both[0].comes_within(Duration::ZERO));
        ours.clone().cancel();
        assert!(both[0].comes_within(Duration::from_secs(60)));
        assert_eq!((both[0].signal(), both[0].take(), both[0].take()), (Some(2), Some(2), None));
        assert_eq!(both[1].take(), Some(2), "each takes its own");
        assert_eq!((other.signal(), theirs.is_cancelled()), (None, false));
        let late = Interrupt::of_command(&ours).unwrap();
        assert_eq!(late.signal(), Some(2));
        assert!(late.let_pass() && !other.let_pass());
    }
}
