//! The streams of a command in a spare channel: the master has pipes, and this process copies the bytes between these and the caller's
//! streams, as the master would.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

/// How many bytes are copied at a time.
const CHUNK: usize = 64 * 1024;

/// The stack size of a thread that copies bytes.
const STACK: usize = CHUNK + 128 * 1024;

/// Copies `first`, and then everything from `from`, to `to` until either ends, then closes both. Drops `held` after that.
pub(super) fn in_background<T: Send + 'static>(
    first: Vec<u8>,
    from: OwnedFd,
    to: OwnedFd,
    held: T,
) -> io::Result<()> {
    std::thread::Builder::new().stack_size(STACK).spawn(move || {
        if all(&to, &first) {
            let mut chunk = vec![0; CHUNK];
            while let Some(count) = next(&from, &to, &mut chunk) {
                if !all(&to, &chunk[..count]) {
                    break;
                }
            }
        }
        drop((from, to));
        drop(held);
    })?;
    Ok(())
}

/// The same for two streams whose bytes go to one place: what came first there is written first.
pub(super) fn both_in_background<T: Send + 'static>(
    first: Vec<u8>,
    from: [OwnedFd; 2],
    to: [OwnedFd; 2],
    held: T,
) -> io::Result<()> {
    std::thread::Builder::new().stack_size(STACK).spawn(move || {
        if all(&to[0], &first) {
            pass_both(from, &to);
        }
        drop(to);
        drop(held);
    })?;
    Ok(())
}

/// Until both end, or nobody reads them any more.
fn pass_both(from: [OwnedFd; 2], to: &[OwnedFd; 2]) {
    let mut chunk = vec![0; CHUNK];
    let mut from = from.map(Some);
    while from.iter().any(Option::is_some) {
        let mut ends = vec![PollFd::new(&to[0], PollFlags::empty())];
        ends.extend(from.iter().flatten().map(|from| PollFd::new(from, PollFlags::IN)));
        match poll(&mut ends, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if ends[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return;
        }
        // Stdout first, as sshd sends them. It is looked at after stderr: what came before an error is there by then.
        let is_there = |from: &Option<OwnedFd>| from.as_ref().is_some_and(is_ready);
        let has_errors = is_there(&from[1]);
        let ready = [is_there(&from[0]), has_errors];
        for ((from, to), _) in from.iter_mut().zip(to).zip(ready).filter(|(_, is_ready)| *is_ready) {
            let Some(open) = from.as_ref() else { continue };
            match read(open, &mut *chunk) {
                Ok(0) => *from = None,
                Ok(count) if !all(to, &chunk[..count]) => return,
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => *from = None,
            }
        }
    }
}

/// Whether there is something to read, or the end.
fn is_ready(from: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

/// Whether both lead to the same file, pipe or terminal.
pub(super) fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let [one, other] = [one, other].map(rustix::fs::fstat);
    matches!((one, other), (Ok(one), Ok(other)) if one.st_dev == other.st_dev && one.st_ino == other.st_ino)
}

/// The next bytes; `None` at the end, and when nobody reads them any more.
fn next(from: &OwnedFd, to: &OwnedFd, chunk: &mut [u8]) -> Option<usize> {
    loop {
        let mut ends = [PollFd::new(from, PollFlags::IN), PollFd::new(to, PollFlags::empty())];
        match poll(&mut ends, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
        if ends[1].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return None;
        }
        if ends[0].revents().is_empty() {
            continue;
        }
        match read(from, &mut *chunk) {
            Ok(0) => return None,
            Ok(count) => return Some(count),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return None,
        }
    }
}

/// Writes all of it. Returns whether that worked.
pub(super) fn all(to: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT)], None);
            }
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn all_bytes_arrive_and_both_ends_close() {
        let (from, mut feed) = io::pipe().unwrap();
        let (mut seen, to) = io::pipe().unwrap();
        let (over, held) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&to, true).unwrap();
        in_background(Vec::new(), from.into(), to.into(), held).unwrap();
        let bytes = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect::<Vec<_>>();
        let sent = bytes.clone();
        let feeder = std::thread::spawn(move || feed.write_all(&sent));
        let mut came = Vec::new();
        seen.read_to_end(&mut came).unwrap();
        feeder.join().unwrap().unwrap();
        assert!(came == bytes);
        assert_eq!({ over }.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn two_streams_into_one_keep_their_order() {
        for _ in 0..200 {
            let ((out, mut say_out), (err, mut say_err)) = (io::pipe().unwrap(), io::pipe().unwrap());
            let (mut seen, to) = io::pipe().unwrap();
            let same = to.try_clone().unwrap();
            let (to, same) = (OwnedFd::from(to), OwnedFd::from(same));
            assert!(is_same(&to, &same) && !is_same(&to, &OwnedFd::from(say_out.try_clone().unwrap())));
            both_in_background(b"first ".to_vec(), [out.into(), err.into()], [to, same], ()).unwrap();
            say_out.write_all(b"out ").unwrap();
            say_err.write_all(b"err ").unwrap();
            drop((say_err, say_out));
            let mut text = String::new();
            seen.read_to_string(&mut text).unwrap();
            assert_eq!(text, "first out err ");
        }
    }

    #[test]
    fn a_reader_that_goes_ends_an_idle_relay() {
        let (from, mut feed) = io::pipe().unwrap();
        let (seen, to) = io::pipe().unwrap();
        let (mut over, held) = io::pipe().unwrap();
        in_background(Vec::new(), from.into(), to.into(), held).unwrap();
        drop(seen);
        assert_eq!(over.read(&mut [0]).unwrap(), 0);
        assert_eq!(feed.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
