//! What a command's process does before it becomes the command: it leaves behind what it has from the plane.
//!
//! The one module of this package with unsafe code: only a hook between fork(2) and execve(2) can do this for one child
//! and not for the plane itself, and the hook must keep to calls that are async-signal-safe (signal-safety(7)).

use std::io;

use tokio::process::Command;

/// Signals that a program may have been started with as ignored (nohup(1), a shell's `&`), and would hand on.
const RESET: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGCHLD,
    libc::SIGUSR1,
    libc::SIGUSR2,
];
/// The highest descriptor that is looked for where the system cannot close a range at once.
const MOST: libc::rlim_t = 65_536;

/// Gives the command a session of its own (setsid(2)), the default action of the signals above, and no descriptor but its
/// three.
#[allow(unsafe_code)]
pub(super) fn stand_alone(command: &mut Command) {
    // SAFETY: the hook runs in the forked child. It calls setsid, signal, getrlimit, fcntl and close_range alone, all of
    // them system calls without state in this process, allocates nothing, takes no lock and cannot panic.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid().map_err(io::Error::from)?;
            for signal in RESET {
                libc::signal(signal, libc::SIG_DFL);
            }
            close_on_exec();
            Ok(())
        });
    }
}

/// Marks every descriptor from 3 on. They stay open until the exec: the one that tells the parent of a failure is among them.
#[allow(unsafe_code)]
fn close_on_exec() {
    // SAFETY: both calls only change flags of this process's descriptors, and no value is read back but the limit.
    unsafe {
        #[cfg(target_os = "linux")]
        if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 {
            return;
        }
        let mut limit = libc::rlimit { rlim_cur: MOST, rlim_max: MOST };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        for descriptor in 3..limit.rlim_cur.min(MOST) {
            // The rest of what F_SETFD sets is nothing.
            libc::fcntl(descriptor as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}
