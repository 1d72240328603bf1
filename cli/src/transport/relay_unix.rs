//! The relay on Unix: a thread per direction, and one place that watches for the end.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};

use rustix::event::{PollFd, PollFlags, poll};

use crate::sys::parent::Parent;
use crate::transport::pump::pump;

/// A direction that has ended.
enum Direction {
    FromInput,
    FromGateway(io::Result<()>),
}

/// Whether stdin and stdout are the same socket.
pub(super) fn is_one_socket() -> bool {
    use rustix::fs::FileType;
    let [input, output] = [rustix::stdio::stdin(), rustix::stdio::stdout()].map(rustix::fs::fstat);
    matches!((input, output), (Ok(input), Ok(output)) if input.st_ino == output.st_ino
        && input.st_dev == output.st_dev
        && FileType::from_raw_mode(output.st_mode) == FileType::Socket)
}

/// Sends the connection over stdout, with the one byte that ssh expects along.
pub(super) fn hand_over(gateway: &TcpStream) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let (fds, mut space) =
        ([gateway.as_fd()], [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    loop {
        match sendmsg(rustix::stdio::stdout(), &[io::IoSlice::new(&[0])], &mut control, SendFlags::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return sent.map(|_| ()).map_err(io::Error::from),
        }
    }
}

pub(super) fn relay(gateway: TcpStream) -> io::Result<()> {
    let parent = Parent::of_process();
    let (input, output) = take_stdio()?;
    between(input, output, gateway, parent)
}

/// Descriptors of our own for stdin and stdout, and `/dev/null` in their places: only so does closing one end it.
fn take_stdio() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok((input, output))
}

fn between(input: OwnedFd, output: OwnedFd, gateway: TcpStream, mut parent: Parent) -> io::Result<()> {
    // The kernel locks the pipe while it splices: blocked on a socket there, it would keep ssh from its end of the pipe.
    gateway.set_nonblocking(true)?;
    let (input, output, gateway) = (Arc::new(input), Arc::new(output), Arc::new(gateway));
    let (ended, endings) = mpsc::channel();
    let (mut woken, wake) = UnixStream::pair()?;
    {
        let (input, gateway, ended, mut wake) =
            (input.clone(), gateway.clone(), ended.clone(), wake.try_clone()?);
        std::thread::spawn(move || {
            // When this fails, the other direction says why.
            let _ = pump(input.as_fd(), gateway.as_fd());
            let _ = gateway.shutdown(Shutdown::Write);
            let _ = ended.send(Direction::FromInput);
            let _ = wake.write_all(b"i");
        });
    }
    {
        let (output, mut wake) = (output.clone(), wake);
        std::thread::spawn(move || {
            let result = pump(gateway.as_fd(), output.as_fd());
            drop(output);
            let _ = ended.send(Direction::FromGateway(result));
            let _ = wake.write_all(b"g");
        });
    }
    let mut output = Some(output);
    let mut has_input_ended = false;
    loop {
        match wait(&woken, &parent, output.as_deref())? {
            Woken::Parent if parent.is_gone(input.as_fd()) => return Ok(()),
            Woken::NobodyReads => return Ok(()),
            Woken::Parent => {}
            Woken::Ending => {
                woken.read_exact(&mut [0])?;
                match endings.recv().map_err(io::Error::other)? {
                    Direction::FromInput => has_input_ended = true,
                    Direction::FromGateway(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(());
                    }
                    Direction::FromGateway(result) => {
                        result?;
                        if let Some(output) = output.take() {
                            // A socket that is stdin too would otherwise stay open.
                            let _ = rustix::net::shutdown(&*output, rustix::net::Shutdown::Write);
                        }
                    }
                }
            }
        }
        if has_input_ended && output.is_none() {
            return Ok(());
        }
    }
}

enum Woken {
    Ending,
    Parent,
    NobodyReads,
}

/// Waits for what can end the relay. While `output` is watched it cannot be closed, so this holds no copy of it.
fn wait(woken: &UnixStream, parent: &Parent, output: Option<&OwnedFd>) -> io::Result<Woken> {
    let mut watched = vec![PollFd::new(woken, PollFlags::IN)];
    let output = output.map(|output| {
        watched.push(PollFd::new(output, PollFlags::empty()));
        watched.len() - 1
    });
    let watch = parent.watch();
    let watch = watch.map(|watch| {
        watched.push(PollFd::from_borrowed_fd(watch, PollFlags::IN));
        watched.len() - 1
    });
    loop {
        let count = match poll(&mut watched, parent.ask_every().as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let events = |index: usize| watched.get(index).map_or(PollFlags::empty(), PollFd::revents);
        if events(0).contains(PollFlags::IN) {
            return Ok(Woken::Ending);
        }
        if output.is_some_and(|index| events(index).intersects(PollFlags::ERR | PollFlags::HUP)) {
            return Ok(Woken::NobodyReads);
        }
        if count == 0 || watch.is_some_and(|index| !events(index).is_empty()) {
            return Ok(Woken::Parent);
        }
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
