//! One connection to a master's control socket: deadlines on every step, and no trust in who listens there.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketType,
};

use crate::sys::clock::Deadline;
use crate::transport::mux_wire::{self, Reply};

/// Why there is no talking to a master.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing listens: the socket is not there, or whoever made it is gone.
    Absent,
    /// It does not answer in time.
    Silent,
    /// It hung up.
    Gone,
    /// Another user's process listens there.
    Foreign,
    /// It does not speak the protocol.
    Nonsense,
    /// This machine refuses (a sandbox).
    Forbidden,
    /// Anything else.
    Io(io::Error),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Trouble {
        match errno {
            Errno::PIPE | Errno::CONNRESET => Trouble::Gone,
            Errno::PERM | Errno::ACCESS => Trouble::Forbidden,
            errno => Trouble::Io(errno.into()),
        }
    }
}

/// A connection on which both sides have said hello.
pub(super) struct Connection {
    socket: OwnedFd,
    listener: Listener,
    buffer: Vec<u8>,
}

/// Who listens on a control socket, for as long as it does. On Linux the process that began to listen, which is not the
/// master itself: that one has gone to the background since. From within another pid namespace, and elsewhere, the system
/// does not tell: there it is the number of the socket's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listener(pub(super) u32);

impl Connection {
    /// Connects, and waits for the master's hello: one that is stopped never says it, and is never asked for anything.
    pub(super) fn open(path: &Path, deadline: Deadline) -> Result<Connection, Trouble> {
        let socket = connect(path, deadline)?;
        let listener = listener(&socket, path)?;
        let mut connection = Connection { socket, listener, buffer: Vec::with_capacity(64) };
        connection.send(&mux_wire::hello(), deadline)?;
        match connection.receive(deadline)? {
            Some(Reply::Hello(4)) => Ok(connection),
            Some(_) => Err(Trouble::Nonsense),
            None => Err(Trouble::Gone),
        }
    }

    /// One on which another process of ours has said hello, and has heard everything so far.
    pub(super) fn taken(socket: OwnedFd, path: &Path) -> Result<Connection, Trouble> {
        let listener = listener(&socket, path)?;
        Ok(Connection { socket, listener, buffer: Vec::new() })
    }

    /// Its socket, for another process; `None` if something is heard that was not taken.
    pub(super) fn into_socket(self) -> Option<OwnedFd> {
        self.buffer.is_empty().then_some(self.socket)
    }

    /// Sends a whole packet.
    pub(super) fn send(&mut self, mut bytes: &[u8], deadline: Deadline) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            match rustix::net::send(&self.socket, bytes, send_flags()) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::OUT, deadline)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Hands over a descriptor, with the one byte that the protocol sends along.
    pub(super) fn pass(&mut self, fd: BorrowedFd<'_>, deadline: Deadline) -> Result<(), Trouble> {
        let fds = [fd];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&fds));
            match rustix::net::sendmsg(&self.socket, &[IoSlice::new(&[0])], &mut control, send_flags()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::OUT, deadline)?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The next reply; `None` when the master has closed its side.
    pub(super) fn receive(&mut self, deadline: Deadline) -> Result<Option<Reply>, Trouble> {
        loop {
            if let Some(reply) = self.next()? {
                return Ok(reply);
            }
            self.ready(PollFlags::IN, deadline)?;
        }
    }

    /// As [`Connection::receive`], without waiting: the outer `None` says that nothing is there yet.
    pub(super) fn next(&mut self) -> Result<Option<Option<Reply>>, Trouble> {
        loop {
            if let Some((body, length)) = mux_wire::split(&self.buffer).map_err(|_| Trouble::Nonsense)? {
                let reply = mux_wire::reply(body).ok_or(Trouble::Nonsense)?;
                self.buffer.drain(..length);
                return Ok(Some(Some(reply)));
            }
            let mut chunk = [0; 4096];
            match rustix::net::recv(&self.socket, &mut chunk, RecvFlags::empty()) {
                Ok((0, _)) => return Ok(Some(None)),
                Ok((count, _)) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::CONNRESET) => return Ok(Some(None)),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a request and takes its one reply.
    pub(super) fn ask(&mut self, request: &[u8], deadline: Deadline) -> Result<Reply, Trouble> {
        self.send(request, deadline)?;
        self.receive(deadline)?.ok_or(Trouble::Gone)
    }

    /// Who is on the other side.
    pub(super) fn listener(&self) -> Listener {
        self.listener
    }

    fn ready(&self, events: PollFlags, deadline: Deadline) -> Result<(), Trouble> {
        loop {
            let remaining = deadline.remaining();
            if remaining.is_zero() {
                return Err(Trouble::Silent);
            }
            let timeout = Timespec::try_from(remaining).ok();
            match rustix::event::poll(&mut [PollFd::new(&self.socket, events)], timeout.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

pub(super) fn connect(path: &Path, deadline: Deadline) -> Result<OwnedFd, Trouble> {
    let socket = new_socket()?;
    let address = SocketAddrUnix::new(path)?;
    let mut pause = Duration::from_millis(1);
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR) => return Err(Trouble::Absent),
            // As many wait as the master lets wait; it may be slow, or stopped.
            Err(Errno::AGAIN | Errno::INTR) if !deadline.is_past() => deadline.pause(pause),
            Err(Errno::AGAIN) => return Err(Trouble::Silent),
            Err(errno) => return Err(errno.into()),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn new_socket() -> Result<OwnedFd, Errno> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn new_socket() -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// We ask the kernel who listens, where it can tell; elsewhere the owner of the socket's file has to do.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn listener(socket: &OwnedFd, path: &Path) -> Result<Listener, Trouble> {
    let peer = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials);
    let peer = peer.map_err(|errno| Trouble::Io(errno.into()))?;
    if peer.uid() != rustix::process::geteuid().as_raw() {
        return Err(Trouble::Foreign);
    }
    Ok(match peer.pid().unsigned_abs() {
        0 => socket_number(&std::fs::symlink_metadata(path).map_err(Trouble::Io)?), // of another pid namespace
        pid => Listener(pid),
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn listener(_socket: &OwnedFd, path: &Path) -> Result<Listener, Trouble> {
    let metadata = std::fs::symlink_metadata(path).map_err(Trouble::Io)?;
    if crate::sys::platform::is_own(&metadata) { Ok(socket_number(&metadata)) } else { Err(Trouble::Foreign) }
}

fn socket_number(metadata: &std::fs::Metadata) -> Listener {
    let number = std::os::unix::fs::MetadataExt::ino(metadata);
    Listener((number ^ (number >> 32)) as u32)
}

/// Where the system has it, so that a master that hangs up never ends us by SIGPIPE.
fn send_flags() -> SendFlags {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return SendFlags::NOSIGNAL;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    return SendFlags::empty();
}
