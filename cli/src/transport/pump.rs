//! Bytes from one descriptor to another until the end, as fast as the system moves them.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::transport::dial::acknowledge_at_once;

/// How much is moved at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// How many of the first pieces of a TCP connection are acknowledged at once: more than it takes to exchange keys.
#[cfg(any(target_os = "linux", target_os = "android"))]
const EARLY: usize = 64;

/// Moves everything from `from` to `to`. Neither is closed. A socket should be non-blocking; what is, is waited for.
pub(super) fn pump(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if splice(from, to)? {
        return Ok(());
    }
    copy(from, to)
}

/// Moves inside the kernel, which needs a pipe at one end; `false` when it does not do that for these two.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
    for end in [from, to] {
        let _ = fcntl_setpipe_size(end, CHUNK); // only speed: no pipe, or a quota that is spent
    }
    let mut early = 0..EARLY;
    loop {
        match splice(from, None, to, None, CHUNK, SpliceFlags::empty()) {
            Ok(0) => return Ok(true),
            Ok(_) if early.next().is_some() => acknowledge_at_once(from),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                ready(from, PollFlags::IN)?;
                ready(to, PollFlags::OUT)?;
            }
            Err(Errno::INVAL | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                ready(from, PollFlags::IN)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match write(to, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => ready(to, PollFlags::OUT)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn ready(descriptor: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::from_borrowed_fd(descriptor, events)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
