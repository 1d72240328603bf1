//! Whether a transfer still moves: a workspace that says and takes nothing for long is given up.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sys::env::{Env, Var};

/// How long a workspace may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a workspace hashes in a second at least: after that much more it may be silent for a second longer, since it reads
/// a large file a second time before it answers.
const HASHED: u64 = 8 << 20;

/// How long a workspace may be silent: what `RUNCODE_PATIENCE` says, or two minutes.
pub(super) fn patience(env: &Env) -> Duration {
    let given = env.var(Var::RuncodePatience);
    let given = given.and_then(|text| text.to_str()?.parse().ok()).filter(|seconds| *seconds > 0);
    given.map_or(PATIENCE, Duration::from_secs)
}

/// The moments at which a transfer moved.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    patience: Duration,
    /// Milliseconds since the beginning.
    last: AtomicU64,
    moved: AtomicU64,
    /// The workspace's next word is waited for. When it is not, what came is being written here, which may take its time.
    listens: AtomicBool,
    /// A source on this machine is waited for.
    here: AtomicBool,
}

impl Pulse {
    /// A transfer that begins now, to or from a workspace that may be silent for `patience`.
    pub(super) fn new(patience: Duration) -> Pulse {
        Pulse(Arc::new(State {
            began: Instant::now(),
            patience,
            last: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            here: AtomicBool::new(false),
        }))
    }

    /// From now on the workspace is waited for.
    pub(super) fn listen(&self) {
        self.beat(0);
        self.0.listens.store(true, Ordering::SeqCst);
    }

    /// The workspace took or gave so many bytes.
    pub(super) fn beat(&self, bytes: u64) {
        self.0.moved.fetch_add(bytes, Ordering::SeqCst);
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::SeqCst);
    }

    /// How long the workspace may be silent by now.
    pub(super) fn patience(&self) -> Duration {
        let hashing = self.0.moved.load(Ordering::SeqCst) / HASHED;
        self.0.patience.saturating_add(Duration::from_secs(hashing))
    }

    /// Whether it has been silent for longer.
    pub(super) fn is_lost(&self) -> bool {
        let last = Duration::from_millis(self.0.last.load(Ordering::SeqCst));
        let silent = self.0.began.elapsed().saturating_sub(last);
        let waits = self.0.listens.load(Ordering::SeqCst) && !self.0.here.load(Ordering::SeqCst);
        waits && silent > self.patience()
    }

    /// A reader of the workspace, or a writer to it.
    pub(super) fn there<T>(&self, inner: T) -> There<T> {
        There { inner, pulse: self.clone() }
    }

    /// A reader of something on this machine, which may take its time.
    pub(super) fn here<T>(&self, inner: T) -> Here<T> {
        Here { inner, pulse: self.clone() }
    }
}

/// One end of a transfer that the workspace has the other end of.
#[derive(Debug)]
pub(super) struct There<T> {
    inner: T,
    pulse: Pulse,
}

impl<T> There<T> {
    /// What it wraps; nobody hears of what moves there.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn inner(&self) -> &T {
        &self.inner
    }

    /// The pulse that it keeps.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

impl<T: Read> Read for There<T> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.pulse.listen();
        let read = self.inner.read(to);
        self.pulse.0.listens.store(false, Ordering::SeqCst);
        self.pulse.beat(*read.as_ref().unwrap_or(&0) as u64);
        read
    }
}

impl<T: Write> Write for There<T> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(from)?;
        self.pulse.beat(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A source on this machine.
#[derive(Debug)]
pub(super) struct Here<T> {
    inner: T,
    pulse: Pulse,
}

impl<T: Read> Read for Here<T> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.pulse.0.here.store(true, Ordering::SeqCst);
        let read = self.inner.read(to);
        self.pulse.beat(0);
        self.pulse.0.here.store(false, Ordering::SeqCst);
        read
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn silence_counts_unless_this_machine_is_slow() {
        let silent = Pulse::new(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(!silent.is_lost(), "what came is being written here");
        silent.listen();
        while !silent.is_lost() {
            std::thread::yield_now();
        }
        silent.beat(HASHED * 60);
        assert!(!silent.is_lost() && silent.patience() == Duration::from_secs(60));
        let slow = Pulse::new(Duration::ZERO);
        slow.listen();
        struct Slow(Pulse);
        impl Read for Slow {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(3) {
                    assert!(!self.0.is_lost());
                }
                Ok(0)
            }
        }
        assert_eq!(slow.here(Slow(slow.clone())).read(&mut [0]).unwrap(), 0);
        while !slow.is_lost() {
            std::thread::yield_now();
        }
    }
}
