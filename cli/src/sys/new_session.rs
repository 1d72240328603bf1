//! A program in a session of its own.
//!
//! The one module of the client with unsafe code: only a hook between fork(2) and execve(2) can do this for one child.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// How many of the first descriptors a long-lived program is kept from inheriting.
const MANY: i32 = 1024;

/// As [`lead`], but the program inherits only its three descriptors: one of the caller's may be a lock, or a pipe that somebody waits for.
#[allow(unsafe_code, reason = "std has no safe way to close what it does not own")]
pub fn lead_alone(command: &mut Command) {
    lead(command);
    // SAFETY: the hook runs in the forked child and makes system calls alone, each of which is async-signal-safe; it allocates
    // nothing, takes no lock and cannot panic. A number that is not open is an error (EBADF), which is ignored; one that is
    // open stays open until execve(2).
    unsafe {
        command.pre_exec(|| {
            for number in 3..MANY {
                let _ = rustix::io::fcntl_setfd(
                    std::os::fd::BorrowedFd::borrow_raw(number),
                    rustix::io::FdFlags::CLOEXEC,
                );
            }
            Ok(())
        });
    }
}

/// Has the program start without a terminal, and lead a session and process group of its own (setsid(2)).
#[allow(unsafe_code, reason = "std has no safe way to call setsid in a child")]
pub fn lead(command: &mut Command) {
    // SAFETY: the hook runs in the forked child and makes one system call, which is async-signal-safe; it allocates nothing,
    // takes no lock and cannot panic.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
}
