//! Signals that ask this process to end, while a remote command runs that has to hear of them.

#[cfg(unix)]
pub(super) use unix::Watch;

/// On Windows the console tells every process in it, the ssh client too.
#[cfg(windows)]
pub(super) struct Watch;

#[cfg(windows)]
impl Watch {
    /// Watches nothing.
    pub(super) fn start() -> std::io::Result<Watch> {
        Ok(Watch)
    }

    /// Never one.
    pub(super) fn take(&self) -> Option<i32> {
        None
    }

    /// Never one.
    pub(super) fn has_any(&self) -> bool {
        false
    }

    /// Nothing to do.
    pub(super) fn let_pass(self) {}
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    use crate::sys::atomic_file;

    /// Handlers are installed once, because taking one away would leave the signal without any effect. With nobody
    /// watching they do what the system would have done.
    struct Handlers {
        /// The watches that live.
        watching: AtomicUsize,
        /// Whether nobody watches, as the handlers see it.
        idle: Arc<std::sync::atomic::AtomicBool>,
        /// The last signal that nobody has taken yet.
        last: Arc<AtomicUsize>,
        /// Readable after a signal.
        wakeup: OwnedFd,
    }

    static HANDLERS: OnceLock<Handlers> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());

    /// While one lives, SIGINT, SIGTERM and SIGHUP are told here instead of ending the process. One that was ignored when
    /// the process began stays ignored (nohup, a shell's `&`), where the system lets us see that; elsewhere a hangup is
    /// left alone.
    pub(in crate::transport) struct Watch(&'static Handlers);

    impl Watch {
        /// Begins to watch.
        pub(in crate::transport) fn start() -> io::Result<Watch> {
            let handlers = install()?;
            if handlers.watching.fetch_add(1, Ordering::SeqCst) == 0 {
                handlers.idle.store(false, Ordering::SeqCst);
            }
            Ok(Watch(handlers))
        }

        /// The signal that came since the last call.
        pub(in crate::transport) fn take(&self) -> Option<i32> {
            let mut bytes = [0; 64];
            while rustix::io::read(&self.0.wakeup, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
            let last = self.0.last.swap(0, Ordering::SeqCst);
            i32::try_from(last).ok().filter(|&signal| signal > 0)
        }

        /// Whether a signal came that nobody has taken.
        pub(in crate::transport) fn has_any(&self) -> bool {
            self.0.last.load(Ordering::SeqCst) != 0
        }

        /// Stops watching; a signal that came meanwhile does what it would have done.
        pub(in crate::transport) fn let_pass(self) {
            if let Some(signal) = self.take() {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    }

    impl AsFd for Watch {
        /// Readable when a signal came.
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.wakeup.as_fd()
        }
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            if self.0.watching.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.0.idle.store(true, Ordering::SeqCst);
            }
        }
    }

    fn install() -> io::Result<&'static Handlers> {
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handlers) = HANDLERS.get() {
            return Ok(handlers);
        }
        let (wakeup, waker) = UnixStream::pair()?; // macOS has no pipe that is made close-on-exec and non-blocking at once
        wakeup.set_nonblocking(true)?;
        let idle = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let last = Arc::new(AtomicUsize::new(0));
        let ignored = ignored();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored & (1 << (signal - 1)) != 0 {
                continue;
            }
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&idle))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&last), signal.unsigned_abs() as usize)?;
            // One system call, where a `try_clone` under musl takes three.
            signal_hook::low_level::pipe::register(signal, rustix::io::fcntl_dupfd_cloexec(&waker, 3)?)?;
        }
        let handlers = Handlers { watching: AtomicUsize::new(0), idle, last, wakeup: wakeup.into() };
        Ok(HANDLERS.get_or_init(|| handlers))
    }

    /// The signals that were ignored when this process began, a bit each. Linux alone tells (proc_pid_status(5)).
    fn ignored() -> u64 {
        const UNTOLD: u64 = 1 << (SIGHUP - 1);
        let status = atomic_file::read(Path::new("/proc/self/status"), 64 * 1024).ok().flatten();
        let status = status.and_then(|status| String::from_utf8(status).ok()).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(UNTOLD)
    }
}
