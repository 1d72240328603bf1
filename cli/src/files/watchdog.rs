//! The watchdog of a transfer: a workspace that says and takes nothing for long is given up.

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

/// Knows when a transfer last moved, and whether that is too long ago.
#[derive(Clone, Debug)]
pub(super) struct Watchdog(Arc<State>);

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

impl Watchdog {
    /// A transfer that begins now, to or from a workspace that may be silent for `patience`.
    pub(super) fn new(patience: Duration) -> Watchdog {
        Watchdog(Arc::new(State {
            began: Instant::now(),
            patience,
            last: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            here: AtomicBool::new(false),
        }))
    }

    /// From now on the workspace is waited for.
    pub(super) fn expect_answer(&self) {
        self.moved(0);
        self.0.listens.store(true, Ordering::SeqCst);
    }

    /// The workspace took or gave so many bytes.
    pub(super) fn moved(&self, bytes: u64) {
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
    pub(super) fn has_expired(&self) -> bool {
        let last = Duration::from_millis(self.0.last.load(Ordering::SeqCst));
        let silent = self.0.began.elapsed().saturating_sub(last);
        let waits = self.0.listens.load(Ordering::SeqCst) && !self.0.here.load(Ordering::SeqCst);
        waits && silent > self.patience()
    }

    /// A reader of the workspace, or a writer to it.
    pub(super) fn remote<T>(&self, inner: T) -> RemoteEnd<T> {
        RemoteEnd { inner, watchdog: self.clone() }
    }

    /// A reader of something on this machine, which may take its time.
    pub(super) fn local<T>(&self, inner: T) -> LocalEnd<T> {
        LocalEnd { inner, watchdog: self.clone() }
    }
}

/// One end of a transfer that the workspace has the other end of.
#[derive(Debug)]
pub(super) struct RemoteEnd<T> {
    inner: T,
    watchdog: Watchdog,
}

impl<T> RemoteEnd<T> {
    /// What it wraps; nobody hears of what moves there.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn inner(&self) -> &T {
        &self.inner
    }

    /// The watchdog that it reports to.
    pub(super) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }
}

impl<T: Read> Read for RemoteEnd<T> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.watchdog.expect_answer();
        let read = self.inner.read(to);
        self.watchdog.0.listens.store(false, Ordering::SeqCst);
        self.watchdog.moved(*read.as_ref().unwrap_or(&0) as u64);
        read
    }
}

impl<T: Write> Write for RemoteEnd<T> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(from)?;
        self.watchdog.moved(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A source on this machine.
#[derive(Debug)]
pub(super) struct LocalEnd<T> {
    inner: T,
    watchdog: Watchdog,
}

impl<T: Read> Read for LocalEnd<T> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.watchdog.0.here.store(true, Ordering::SeqCst);
        let read = self.inner.read(to);
        self.watchdog.moved(0);
        self.watchdog.0.here.store(false, Ordering::SeqCst);
        read
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn silence_counts_unless_this_machine_is_slow() {
        let silent = Watchdog::new(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(!silent.has_expired(), "what came is being written here");
        silent.expect_answer();
        while !silent.has_expired() {
            std::thread::yield_now();
        }
        silent.moved(HASHED * 60);
        assert!(!silent.has_expired() && silent.patience() == Duration::from_secs(60));
        let slow = Watchdog::new(Duration::ZERO);
        slow.expect_answer();
        struct Slow(Watchdog);
        impl Read for Slow {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(3) {
                    assert!(!self.0.has_expired());
                }
                Ok(0)
            }
        }
        assert_eq!(slow.local(Slow(slow.clone())).read(&mut [0]).unwrap(), 0);
        while !slow.has_expired() {
            std::thread::yield_now();
        }
    }
}
