//! Output that this process passes on itself, and does not leave to the connection's master.
//!
//! - To a file: only whoever writes learns that the disk is full, and a master keeps that to itself.
//! - To a pipe: what is handed to a master or to an `ssh` stays open there until the remote command ends, even after this
//!   process was killed, and whoever reads to the end waits as long. A master lets go of stdout at once, so that it has it
//!   directly, unless stderr is the same pipe and the order counts.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::transport::{Stream, Streams};

/// How much a pipe holds, in bytes, and how much is passed on at a time.
const ROOM: usize = 256 * 1024;

/// The writers of the outputs that this process passes on.
#[derive(Debug, Default)]
pub(super) struct Written(Vec<Writer>);

#[derive(Debug)]
struct Writer {
    what: &'static str,
    done: Receiver<io::Result<()>>,
}

/// What an output of this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file, or a device that can be full.
    File,
    /// A pipe or a socket.
    Pipe,
}

/// An output of this process.
struct Output {
    fd: OwnedFd,
    stat: Stat,
    kind: Kind,
}

impl Written {
    /// Puts a pipe in the place of each output of this process that it has to pass on. Two that are the same share one, so
    /// that what is written keeps its order. `is_direct`: whoever gets stdout lets go of it when this process ends.
    pub(super) fn take_over(streams: &mut Streams, is_direct: bool) -> Result<Written> {
        let io = |error| Error::io("pass on the command's output", error);
        let mut written = Written::default();
        let [out, err] = [rustix::stdio::stdout(), rustix::stdio::stderr()].map(Output::of);
        let are_one = matches!((&out, &err), (Some(out), Some(err)) if out.is(err));
        let out = out.filter(|out| out.kind == Kind::File || are_one || !is_direct);
        if let Some(out) = out {
            streams.stdout = written.add("output", out).map_err(io)?;
        }
        if let (true, Stream::Given(handle)) = (are_one, &streams.stdout) {
            streams.stderr = Stream::Given(handle.try_clone().map_err(io)?);
        } else if let Some(err) = err {
            streams.stderr = written.add("errors", err).map_err(io)?;
        }
        Ok(written)
    }

    fn add(&mut self, what: &'static str, to: Output) -> io::Result<Stream> {
        let (reader, writer) = io::pipe()?;
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, ROOM); // only speed: the quota may be spent
        let (sender, done) = mpsc::channel();
        // When it ends the reader goes, and the command learns that nobody takes what it writes.
        std::thread::Builder::new()
            .spawn(move || sender.send(pass_on(reader, File::from(to.fd), to.kind)))?;
        self.0.push(Writer { what, done });
        Ok(writer.into())
    }

    /// Waits until everything is written; the pipes' other ends have to be gone.
    pub(super) fn finish(self) -> Result<()> {
        for Writer { what, done } in self.0 {
            let done = done.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            done.map_err(|error| {
                Error::io(format_args!("write the command's {what}"), error)
                    .hint("the command ran, in part at least, and was not run again")
            })?;
        }
        Ok(())
    }

    /// As [`Written::finish`], for `patience` at most: whatever is left of the command may hold the other ends.
    pub(super) fn finish_within(self, patience: Duration) {
        for Writer { done, .. } in self.0 {
            let _ = done.recv_timeout(patience);
        }
    }
}

/// Copies to the end. Not by splice(2), as `io::copy` would: that puts the file's position, which others share, back to where
/// it was when the wait for input began, and what was written meanwhile is overwritten.
fn pass_on(mut from: io::PipeReader, mut to: File, kind: Kind) -> io::Result<()> {
    let mut buffer = vec![0; ROOM];
    loop {
        if kind == Kind::Pipe && !is_read(&from, &to)? {
            return Ok(());
        }
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => match write(&mut to, &buffer[..count]) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()), // who read has seen enough
                done => done?,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for something to pass on; whether anybody still reads it.
fn is_read(from: &io::PipeReader, to: &File) -> io::Result<bool> {
    let mut ends = [PollFd::new(from, PollFlags::IN), PollFd::new(to, PollFlags::HUP)];
    match poll(&mut ends, None) {
        Ok(_) => Ok(!ends[1].revents().intersects(PollFlags::ERR | PollFlags::HUP)),
        Err(Errno::INTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes all of it, also to what another process has set to be non-blocking.
fn write(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll(&mut [PollFd::new(&*to, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Output {
    /// What is to be passed on, with a descriptor of its own: files, on Linux the memory devices save the one that takes
    /// everything (null(4), full(4)), pipes and sockets. A terminal is left to whoever gets it.
    fn of(fd: BorrowedFd<'_>) -> Option<Output> {
        let stat = rustix::fs::fstat(fd).ok()?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            #[cfg(target_os = "linux")]
            FileType::CharacterDevice
                if rustix::fs::major(stat.st_rdev) == 1 && rustix::fs::minor(stat.st_rdev) != 3 =>
            {
                Kind::File
            }
            FileType::Fifo | FileType::Socket => Kind::Pipe,
            _ => return None,
        };
        Some(Output { fd: fd.as_fd().try_clone_to_owned().ok()?, stat, kind })
    }

    fn is(&self, other: &Output) -> bool {
        (self.stat.st_dev, self.stat.st_ino) == (other.stat.st_dev, other.stat.st_ino)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::time::Duration;

    #[test]
    fn nobodys_words_are_overwritten() {
        for _ in 0..20 {
            let path = tempfile::NamedTempFile::new().unwrap();
            let mut shared = path.reopen().unwrap();
            let (reader, writer) = io::pipe().unwrap();
            let own = shared.try_clone().unwrap();
            let thread = std::thread::spawn(move || pass_on(reader, own, Kind::File));
            std::thread::sleep(Duration::from_millis(2)); // so that a copy that is wrong waits for input by now
            shared.write_all(b"note\n").unwrap();
            drop(writer);
            thread.join().unwrap().unwrap();
            shared.write_all(b"after\n").unwrap();
            assert_eq!(std::fs::read(path.path()).unwrap(), b"note\nafter\n");
        }
    }

    #[test]
    fn a_reader_that_goes_ends_the_copy() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (seen, to) = io::pipe().unwrap();
        let thread = std::thread::spawn(move || pass_on(reader, File::from(OwnedFd::from(to)), Kind::Pipe));
        writer.write_all(b"x").unwrap();
        let mut seen = seen;
        seen.read_exact(&mut [0]).unwrap();
        drop(seen);
        thread.join().unwrap().unwrap(); // without another word of the command
        assert_eq!(writer.write_all(b"y").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_pipe_may_be_set_not_to_block() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (mut seen, to) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&to, true).unwrap();
        let thread = std::thread::spawn(move || pass_on(reader, File::from(OwnedFd::from(to)), Kind::Pipe));
        let feeder = std::thread::spawn(move || writer.write_all(&vec![7; 1 << 20]));
        std::thread::sleep(Duration::from_millis(5)); // so that the pipe is full by now
        let mut whole = Vec::new();
        seen.read_to_end(&mut whole).unwrap();
        feeder.join().unwrap().unwrap();
        thread.join().unwrap().unwrap();
        assert_eq!(whole, vec![7; 1 << 20]);
    }
}
