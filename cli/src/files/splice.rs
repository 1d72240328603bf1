//! A file of this machine into a pipe, without its bytes passing through this process (splice(2)); they are hashed from a
//! second look at the file, at the same time. A file that changes in between shows in its hash, which the workspace checks.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use crate::files::exchange::CHUNK;
use crate::files::hashing::{Hash, Stop};
use crate::files::progress::Progress;
use crate::files::watchdog::Watchdog;

/// How much is asked for at once: what the pipe holds.
const PIECE: u64 = 1 << 20;

/// Moves the first `length` bytes of `file` into `to`: their SHA-256. `None` when this file cannot be moved so; nothing of
/// it has been then.
pub(super) fn send(
    file: &File,
    length: u64,
    to: &PipeWriter,
    progress: &mut Progress,
    watchdog: &Watchdog,
) -> Result<Option<String>, Stop> {
    let gives_up = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hashing = scope.spawn(|| hash(file, length, &gives_up));
        let fed = move_all(file, length, to, progress, watchdog);
        if !matches!(fed, Ok(true)) {
            gives_up.store(true, Ordering::Relaxed);
        }
        let hash = hashing.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        if fed? { hash.map(Some).map_err(Stop::Read) } else { Ok(None) }
    })
}

fn move_all(
    file: &File,
    length: u64,
    to: &PipeWriter,
    progress: &mut Progress,
    watchdog: &Watchdog,
) -> Result<bool, Stop> {
    let mut at = 0;
    while at < length {
        let piece = usize::try_from(PIECE.min(length - at)).unwrap_or(CHUNK);
        match rustix::pipe::splice(file, Some(&mut at), to, None, piece, SpliceFlags::MORE) {
            Ok(0) => return Err(Stop::Read(shorter())),
            Ok(moved) => {
                watchdog.moved(moved as u64);
                progress.add(moved as u64);
            }
            Err(Errno::INTR) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) if at == 0 => return Ok(false),
            Err(errno @ Errno::PIPE) => return Err(Stop::Write(errno.into())),
            Err(errno) => return Err(Stop::Read(errno.into())),
        }
    }
    Ok(true)
}

fn hash(file: &File, length: u64, gives_up: &AtomicBool) -> io::Result<String> {
    let (mut hash, mut at, mut chunk) = (Hash::default(), 0, vec![0; CHUNK]);
    while at < length && !gives_up.load(Ordering::Relaxed) {
        let wanted = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
        match rustix::io::pread(file, chunk.get_mut(..wanted).unwrap_or_default(), at) {
            Ok(0) => return Err(shorter()),
            Ok(read) => {
                hash.update(chunk.get(..read).unwrap_or_default());
                at += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(hash.hex())
}

fn shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it shrank while it was read")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::io::{Read as _, Seek as _, Write as _};
    use std::time::Duration;

    use super::*;
    use crate::files::hashing;

    fn fed(file: &File, length: u64) -> (Result<Option<String>, Stop>, Vec<u8>) {
        let (mut reader, writer) = io::pipe().unwrap();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        let done = send(file, length, &writer, &mut Progress::new(None), &Watchdog::new(Duration::MAX));
        drop(writer);
        (done, reading.join().unwrap())
    }

    #[test]
    fn what_passes_is_the_file_and_its_hash() {
        let mut file = tempfile::tempfile().unwrap();
        let content = (0..3_000_001_u32).map(|n| (n * 7 / 5) as u8).collect::<Vec<_>>();
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        for length in [0, 1, 2_000_000, content.len()] {
            let (done, passed) = fed(&file, length as u64);
            assert!(passed == content[..length]);
            assert_eq!(done.unwrap().unwrap(), hashing::sha256(&content[..length]));
        }
        let (cut, _) = fed(&file, 4_000_000);
        assert!(matches!(cut, Err(Stop::Read(_))));
    }

    #[test]
    fn a_reader_that_has_gone_is_told_of() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let done = send(&file, 1 << 30, &writer, &mut Progress::new(None), &Watchdog::new(Duration::MAX));
        assert!(matches!(done, Err(Stop::Write(_))));
    }
}
