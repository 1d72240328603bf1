//! The descriptors that a master is handed, and what has to be put right afterwards.
//!
//! A master sets `O_NONBLOCK` on what it is handed, and that belongs to the open file, which the caller's shell and
//! other programs share. So where the system can open the same pipe or terminal once more, it gets that (Linux, by way
//! of /proc/self/fd); for the rest the flag is put back when the command is over.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;

use crate::transport::stream::{Stream, Streams};

/// The three descriptors to hand over.
pub(super) struct Passed {
    streams: [Handed; 3],
}

enum Handed {
    /// Ours alone.
    Owned(OwnedFd),
    /// The process's own: 0, 1 or 2.
    Lent(usize),
}

impl Passed {
    /// The descriptors that stand for `streams`.
    pub(super) fn of(streams: &Streams) -> io::Result<Passed> {
        Ok(Passed {
            streams: [
                Handed::of(&streams.stdin, 0)?,
                Handed::of(&streams.stdout, 1)?,
                Handed::of(&streams.stderr, 2)?,
            ],
        })
    }

    /// The descriptors to hand over, in order.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().map(|handed| match handed {
            Handed::Owned(fd) => fd.as_fd(),
            Handed::Lent(number) => own(*number),
        })
    }
}

impl Passed {
    /// The descriptors as this process's own.
    pub(super) fn into_owned(self) -> io::Result<[OwnedFd; 3]> {
        let [stdin, stdout, stderr] = self.streams;
        Ok([stdin.into_owned()?, stdout.into_owned()?, stderr.into_owned()?])
    }
}

impl Handed {
    fn into_owned(self) -> io::Result<OwnedFd> {
        match self {
            Handed::Owned(fd) => Ok(fd),
            Handed::Lent(number) => own(number).try_clone_to_owned(),
        }
    }

    fn of(stream: &Stream, number: usize) -> io::Result<Handed> {
        Ok(match stream {
            Stream::Null => Handed::Owned(null(number)?),
            Stream::Given(handle) => Handed::Owned(handle.try_clone()?),
            // A closed stream is no error: the command finds nothing there, as it would under ssh.
            Stream::Inherit => match rustix::fs::fcntl_getfl(own(number)) {
                Err(_) => Handed::Owned(null(number)?),
                Ok(flags) => match opened_anew(number, flags) {
                    Some(fd) => Handed::Owned(fd),
                    None => Handed::Lent(number),
                },
            },
        })
    }
}

/// The flags that this process's own three streams have, put back when dropped.
pub(super) struct Flags([Option<OFlags>; 3]);

impl Flags {
    /// Remembers them.
    pub(super) fn of_process() -> Flags {
        Flags([0, 1, 2].map(|number| rustix::fs::fcntl_getfl(own(number)).ok()))
    }
}

impl Drop for Flags {
    fn drop(&mut self) {
        for (number, flags) in self.0.iter().enumerate() {
            let Some(flags) = flags.filter(|flags| !flags.contains(OFlags::NONBLOCK)) else { continue };
            if rustix::fs::fcntl_getfl(own(number)).is_ok_and(|now| now.contains(OFlags::NONBLOCK)) {
                let _ = rustix::fs::fcntl_setfl(own(number), flags);
            }
        }
    }
}

fn own(number: usize) -> BorrowedFd<'static> {
    match number {
        0 => rustix::stdio::stdin(),
        1 => rustix::stdio::stdout(),
        _ => rustix::stdio::stderr(),
    }
}

fn null(number: usize) -> io::Result<OwnedFd> {
    Ok(File::options().read(number == 0).write(number != 0).open("/dev/null")?.into())
}

/// The same pipe, terminal or device, opened once more. Not a regular file, whose position is shared with others.
fn opened_anew(number: usize, flags: OFlags) -> Option<OwnedFd> {
    use rustix::fs::{FileType, Mode};
    if !cfg!(target_os = "linux") {
        return None;
    }
    let stat = rustix::fs::fstat(own(number)).ok()?;
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::CharacterDevice) {
        return None;
    }
    let access = flags & OFlags::RWMODE;
    // A pipe's own end is opened without waiting for the other one: it may be gone already.
    let how = access | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(format!("/proc/self/fd/{number}"), how, Mode::empty()).ok()
}
