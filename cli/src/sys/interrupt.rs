//! Being asked to end: SIGINT, SIGTERM and SIGHUP, or Ctrl-C on Windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;

/// Counts the requests to end since it began to listen. While it lives, they do not end the process by themselves.
#[derive(Debug, Clone)]
pub struct Interrupt {
    last: Arc<AtomicUsize>,
}

/// How often a waiting thread looks.
const POLL: Duration = Duration::from_millis(20);

impl Interrupt {
    /// Begins to listen.
    pub fn listen() -> Result<Interrupt> {
        let last = Arc::new(AtomicUsize::new(0));
        for signal in SIGNALS {
            signal_hook::flag::register_usize(signal, Arc::clone(&last), signal.cast_unsigned() as usize)
                .map_err(|error| Error::io("listen for signals", error))?;
        }
        Ok(Interrupt { last })
    }

    /// As [`Interrupt::listen`]; a second request ends the process at once, whatever it waits for.
    pub fn listen_once() -> Result<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS {
            let status = 128 + signal;
            signal_hook::flag::register_conditional_shutdown(signal, status, Arc::clone(&came))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&came)))
                .map_err(|error| Error::io("listen for signals", error))?;
        }
        Interrupt::listen()
    }

    /// Sleeps for `pause`; whether a request came before it was over.
    pub fn comes_within(&self, pause: Duration) -> bool {
        let deadline = Deadline::after(pause);
        while self.signal().is_none() && !deadline.is_past() {
            deadline.pause(POLL);
        }
        self.signal().is_some()
    }

    /// The signal that came last, if any.
    pub fn signal(&self) -> Option<i32> {
        i32::try_from(self.last.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }

    /// Waits until a request comes.
    pub fn wait(&self) {
        while self.signal().is_none() {
            std::thread::sleep(POLL);
        }
    }
}

#[cfg(unix)]
const SIGNALS: [i32; 3] =
    [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(windows)]
const SIGNALS: [i32; 1] = [signal_hook::consts::SIGINT];
