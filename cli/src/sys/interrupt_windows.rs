//! Ctrl-C on Windows.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::{SigId, flag, low_level};

use crate::sys::clock::Deadline;

/// How often a waiting thread looks.
const POLL: Duration = Duration::from_millis(20);

/// The last thing that came.
#[derive(Debug)]
pub(super) struct Inbox(Arc<AtomicUsize>);

impl Inbox {
    pub(super) fn new() -> io::Result<Inbox> {
        Ok(Inbox(Arc::new(AtomicUsize::new(0))))
    }

    pub(super) fn put(&self, what: usize) {
        self.0.store(what, Ordering::SeqCst);
    }

    pub(super) fn peek(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }

    /// Waits until something came, for `patience` at most; whether it did.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let deadline = Deadline::after(patience);
        while self.peek() == 0 && !deadline.is_past() {
            deadline.pause(POLL);
        }
        self.peek() != 0
    }
}

/// While it lives, Ctrl-C goes to one inbox.
#[derive(Debug)]
pub(super) struct Subscription(Vec<SigId>);

impl Subscription {
    /// To every one.
    pub(super) fn to_all(inbox: &Inbox) -> io::Result<Option<Subscription>> {
        let id = flag::register_usize(SIGINT, Arc::clone(&inbox.0), SIGINT.unsigned_abs() as usize)?;
        Ok(Some(Subscription(vec![id])))
    }

    /// To every one; a second one ends the process.
    pub(super) fn to_first(inbox: &Inbox) -> io::Result<Option<Subscription>> {
        let came = Arc::new(AtomicBool::new(false));
        let shutdown = flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, Arc::clone(&came))?;
        let second = flag::register(SIGINT, came)?;
        let subscription = Subscription::to_all(inbox)?;
        Ok(subscription.map(|mut subscription| {
            subscription.0.extend([shutdown, second]);
            subscription
        }))
    }

    /// To none: the console tells the ssh client too, and this process ends as the system has it.
    pub(super) fn of_command(_: &Inbox) -> io::Result<Option<Subscription>> {
        Ok(None)
    }

    /// Ends it. Nothing is known of others.
    pub(super) fn end(self) -> bool {
        false
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            low_level::unregister(id);
        }
    }
}

/// No command hears of a signal here that it could let pass.
pub(super) fn act_by_default(_: i32) {}
