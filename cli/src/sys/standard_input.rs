//! What somebody may have piped in, without waiting for somebody who does not.

use std::io::{IsTerminal as _, Read as _};

/// How long to wait for the next piece, in milliseconds. Whoever means to say something has said it by then.
#[cfg(unix)]
const PATIENCE: i64 = 500;

/// Reads stdin to its end, at most `max` bytes; nothing from a terminal, and what there is from a pipe left open.
pub fn read_if_given(max: usize) -> Vec<u8> {
    let stdin = std::io::stdin();
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    if stdin.is_terminal() {
        return bytes;
    }
    let mut stdin = stdin.lock();
    while bytes.len() < max && has_more(&stdin) {
        match stdin.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend(piece.iter().take(count)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    bytes.truncate(max);
    bytes
}

/// Whether stdin is a file that holds something: whoever redirects it means it to be read.
#[cfg(unix)]
pub fn is_file() -> bool {
    rustix::fs::fstat(std::io::stdin()).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
            && stat.st_size > 0
    })
}

/// There is no way to tell.
#[cfg(windows)]
pub fn is_file() -> bool {
    false
}

/// Whether a read would not block. The lock's own buffer is empty: pieces are larger than it, and bypass it.
#[cfg(unix)]
fn has_more(stdin: &std::io::StdinLock<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE * 1_000_000 };
    poll(&mut [PollFd::new(stdin, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

#[cfg(windows)]
fn has_more(_stdin: &std::io::StdinLock<'_>) -> bool {
    true
}
