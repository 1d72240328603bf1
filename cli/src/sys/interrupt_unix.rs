//! Signals on Unix: every subscriber has a pipe and a number of its own, which the handlers write to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::sys::atomic_file;
use crate::sys::clock::Deadline;

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The last thing that came, and a pipe that is readable since.
#[derive(Debug)]
pub(super) struct Inbox {
    last: Arc<AtomicUsize>,
    wakeup: UnixStream,
    waker: UnixStream,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Inbox> {
        let (wakeup, waker) = UnixStream::pair()?; // macOS has no pipe that is made close-on-exec and non-blocking at once
        wakeup.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        Ok(Inbox { last: Arc::new(AtomicUsize::new(0)), wakeup, waker })
    }

    pub(super) fn put(&self, what: usize) {
        self.last.store(what, Ordering::SeqCst);
        let _ = rustix::io::write(&self.waker, &[0]); // a full pipe is as readable
    }

    pub(super) fn peek(&self) -> usize {
        self.last.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self) -> usize {
        self.drain();
        self.last.swap(0, Ordering::SeqCst)
    }

    fn drain(&self) {
        let mut bytes = [0; 64];
        while rustix::io::read(&self.wakeup, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
    }

    /// Waits until something came, for `patience` at most; whether it did.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let deadline = Deadline::after(patience);
        while self.peek() == 0 && !deadline.is_past() {
            let timeout = Timespec::try_from(deadline.remaining()).ok();
            let _ = rustix::event::poll(&mut [PollFd::new(self, PollFlags::IN)], timeout.as_ref());
            if self.peek() == 0 {
                self.drain(); // of one that was taken already
            }
        }
        self.peek() != 0
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }
}

/// The process's handlers. They are never taken away, because then a signal would be without any effect.
struct Handlers {
    /// Whether nobody listens, as the handlers see it: then they do what the system would have done.
    is_idle: Arc<AtomicBool>,
    /// The signals that were ignored when this process began, a bit each (nohup, a shell's `&`).
    ignored: u64,
    /// How many listen.
    listeners: Mutex<usize>,
}

impl Handlers {
    fn of_process() -> io::Result<&'static Handlers> {
        static HANDLERS: OnceLock<Handlers> = OnceLock::new();
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handlers) = HANDLERS.get() {
            return Ok(handlers);
        }
        let is_idle = Arc::new(AtomicBool::new(true));
        let ignored = ignored();
        for signal in SIGNALS.into_iter().filter(|signal| !is_among(*signal, ignored)) {
            flag::register_conditional_default(signal, Arc::clone(&is_idle))?;
        }
        Ok(HANDLERS.get_or_init(|| Handlers { is_idle, ignored, listeners: Mutex::new(0) }))
    }

    fn listeners(&self) -> MutexGuard<'_, usize> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, signals go to one inbox.
#[derive(Debug)]
pub(super) struct Subscription {
    ids: Vec<SigId>,
    is_over: bool,
}

impl Subscription {
    /// To every signal.
    pub(super) fn to_all(inbox: &Inbox) -> io::Result<Option<Subscription>> {
        Subscription::to(&SIGNALS, inbox).map(Some)
    }

    /// To every signal; a second one ends the process.
    pub(super) fn to_first(inbox: &Inbox) -> io::Result<Option<Subscription>> {
        let came = Arc::new(AtomicBool::new(false));
        let mut ids = Vec::new();
        for signal in SIGNALS {
            ids.push(flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&came))?);
            ids.push(flag::register(signal, Arc::clone(&came))?);
        }
        let mut subscription = Subscription::to(&SIGNALS, inbox)?;
        subscription.ids.extend(ids);
        Ok(Some(subscription))
    }

    /// To those that were not ignored when this process began.
    pub(super) fn of_command(inbox: &Inbox) -> io::Result<Option<Subscription>> {
        let ignored = Handlers::of_process()?.ignored;
        let heard = SIGNALS.into_iter().filter(|signal| !is_among(*signal, ignored)).collect::<Vec<_>>();
        Subscription::to(&heard, inbox).map(Some)
    }

    fn to(signals: &[i32], inbox: &Inbox) -> io::Result<Subscription> {
        let handlers = Handlers::of_process()?;
        let mut subscription = Subscription { ids: Vec::new(), is_over: false };
        {
            let mut listeners = handlers.listeners();
            *listeners += 1;
            handlers.is_idle.store(false, Ordering::SeqCst);
        }
        for &signal in signals {
            let value = signal.unsigned_abs() as usize;
            subscription.ids.push(flag::register_usize(signal, Arc::clone(&inbox.last), value)?);
            // One system call, where a `try_clone` under musl takes three.
            let waker = rustix::io::fcntl_dupfd_cloexec(&inbox.waker, 3)?;
            subscription.ids.push(low_level::pipe::register(signal, waker)?);
        }
        Ok(subscription)
    }

    /// Ends it; whether it was the last one.
    pub(super) fn end(mut self) -> bool {
        self.over()
    }

    fn over(&mut self) -> bool {
        self.is_over = true;
        let Ok(handlers) = Handlers::of_process() else { return false };
        let mut listeners = handlers.listeners();
        *listeners = listeners.saturating_sub(1);
        let is_last = *listeners == 0;
        if is_last {
            handlers.is_idle.store(true, Ordering::SeqCst);
        }
        drop(listeners);
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
        is_last
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.is_over {
            self.over();
        }
    }
}

/// Does what the system would have done at this signal.
pub(super) fn act_by_default(signal: i32) {
    let _ = low_level::emulate_default_handler(signal);
}

fn is_among(signal: i32, mask: u64) -> bool {
    mask & (1 << (signal - 1)) != 0
}

/// The signals that were ignored when this process began, a bit each. Linux alone tells (proc_pid_status(5)); elsewhere a
/// hangup is left alone.
fn ignored() -> u64 {
    const UNTOLD: u64 = 1 << (SIGHUP - 1);
    let status = atomic_file::read(Path::new("/proc/self/status"), 64 * 1024).ok().flatten();
    let status = status.and_then(|status| String::from_utf8(status).ok()).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(UNTOLD)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    use signal_hook::consts::SIGTERM;
    use signal_hook::low_level::raise;

    use crate::sys::interrupt::{Cancel, Interrupt};

    const NAME: &str = "sys::interrupt::platform::tests::a_signal_reaches_all_and_ends_none";
    const CHILD: &str = "RUNCODE_TEST_CHILD";

    /// In a process of its own, which other tests' signals and listeners are no part of.
    #[test]
    fn a_signal_reaches_all_and_ends_none() {
        if std::env::var_os(CHILD).is_some() {
            return child();
        }
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").stdout(Stdio::null());
        assert_eq!(test.status().unwrap().signal(), Some(SIGTERM), "the last one lets it pass");
    }

    fn child() {
        let two = [(); 2].map(|()| Interrupt::of_command(&Cancel::default()).unwrap());
        raise(SIGTERM).unwrap();
        assert_eq!(two.each_ref().map(Interrupt::take), [Some(SIGTERM); 2]);
        let [first, second] = two;
        raise(SIGTERM).unwrap();
        assert!(first.let_pass(), "the other one hears of it");
        let later = Interrupt::of_command(&Cancel::default()).unwrap();
        assert_eq!(later.signal(), None, "what came before is none of its own");
        drop(later);
        second.let_pass();
    }
}
