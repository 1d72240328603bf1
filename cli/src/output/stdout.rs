//! Writing to stdout, and the reader that has seen enough.

use std::io::{self, Write as _};

use crate::error::{Code, Error, Result};

/// How a process ends whose reader has gone: 128 and SIGPIPE, as a shell counts it.
pub const READER_GONE: u8 = 141;

/// The cause of an end that nobody is told of, since nobody reads: `runcode list | head -1` is no failure.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
struct ReaderGone;

/// Writes all of it, at once.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => reader_gone(),
        _ => Error::io("write to stdout", error),
    })
}

/// The end of a command whose reader has gone.
pub fn reader_gone() -> Error {
    Error::new(Code::Interrupted, ReaderGone.to_string()).source(ReaderGone).ending_with(READER_GONE)
}

/// Whether `error` is [`reader_gone`].
pub fn is_reader_gone(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<ReaderGone>())
}

/// Whether stdout is a pipe that nobody reads any more. What was written into it by others, such as an `ssh` that has
/// it from us, did not reach us as an error.
#[cfg(unix)]
pub fn has_no_reader() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once))
        .is_ok_and(|_| asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

/// There is no way to ask.
#[cfg(not(unix))]
pub fn has_no_reader() -> bool {
    false
}
