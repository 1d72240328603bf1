//! Output that goes to a file. Only whoever writes learns that the disk is full, and a master keeps that to itself: so this
//! process writes it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rustix::fs::{FileType, Stat};

use crate::error::{Error, Result};
use crate::transport::{Stream, Streams};

/// The writers of the outputs that go to files.
#[derive(Debug, Default)]
pub(super) struct Written(Vec<Writer>);

#[derive(Debug)]
struct Writer {
    what: &'static str,
    thread: JoinHandle<io::Result<()>>,
}

impl Written {
    /// Puts a pipe in the place of each output of this process that is a file. Two that are the same file share one, so that
    /// what is written keeps its order.
    pub(super) fn take_over(streams: &mut Streams) -> Result<Written> {
        let io = |error| Error::io("pass on the command's output", error);
        let mut written = Written::default();
        let [out, err] = [rustix::stdio::stdout(), rustix::stdio::stderr()].map(file);
        let are_one = matches!((&out, &err), (Some((_, out)), Some((_, err))) if is_same(out, err));
        if let Some((fd, _)) = out {
            streams.stdout = written.add("output", fd).map_err(io)?;
        }
        if let (true, Stream::Given(handle)) = (are_one, &streams.stdout) {
            streams.stderr = Stream::Given(handle.try_clone().map_err(io)?);
        } else if let Some((fd, _)) = err {
            streams.stderr = written.add("errors", fd).map_err(io)?;
        }
        Ok(written)
    }

    fn add(&mut self, what: &'static str, fd: OwnedFd) -> io::Result<Stream> {
        let (mut reader, writer) = io::pipe()?;
        // On a failure the reader goes, and the command learns that nobody takes what it writes.
        let thread = std::thread::Builder::new().spawn(move || pass_on(&mut reader, &mut File::from(fd)))?;
        self.0.push(Writer { what, thread });
        Ok(writer.into())
    }

    /// Waits until everything is written; the pipes' other ends have to be gone.
    pub(super) fn finish(self) -> Result<()> {
        for Writer { what, thread } in self.0 {
            let done = thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            done.map_err(|error| {
                Error::io(format_args!("write the command's {what}"), error)
                    .hint("the command ran, in part at least, and was not run again")
            })?;
        }
        Ok(())
    }
}

/// Copies to the end. Not by splice(2), as `io::copy` would: that puts the file's position, which others share, back to where
/// it was when the wait for input began, and what was written meanwhile is overwritten.
fn pass_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A descriptor of its own for what is a file, or a device that can be full: on Linux the memory devices, save the one that
/// takes everything (null(4), full(4)).
fn file(fd: BorrowedFd<'_>) -> Option<(OwnedFd, Stat)> {
    let stat = rustix::fs::fstat(fd).ok()?;
    let is_file = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => true,
        #[cfg(target_os = "linux")]
        FileType::CharacterDevice => {
            rustix::fs::major(stat.st_rdev) == 1 && rustix::fs::minor(stat.st_rdev) != 3
        }
        _ => false,
    };
    let own = if is_file { fd.as_fd().try_clone_to_owned().ok() } else { None };
    own.map(|own| (own, stat))
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
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
            let (mut reader, writer) = io::pipe().unwrap();
            let mut own = shared.try_clone().unwrap();
            let thread = std::thread::spawn(move || pass_on(&mut reader, &mut own));
            std::thread::sleep(Duration::from_millis(2)); // so that a copy that is wrong waits for input by now
            shared.write_all(b"note\n").unwrap();
            drop(writer);
            thread.join().unwrap().unwrap();
            shared.write_all(b"after\n").unwrap();
            assert_eq!(std::fs::read(path.path()).unwrap(), b"note\nafter\n");
        }
    }
}
