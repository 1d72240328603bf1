//! The protocol between a client and the keeper of a spare, over a socket that only this user can reach.
//!
//! A client sends one [`Hello`] for each command. If it wants the spare, the keeper answers with [`HANDED`] and all of the spare, or
//! with [`NONE`]. From then on the connection stands for the command, and [`ENDED`] says that the command has ended.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::sys::clock::Deadline;
use crate::transport::spare::Form;
use crate::transport::{master, remote_end};

/// The version of this protocol. A keeper hands nothing to a client with another version.
const VERSION: u8 = 1;

/// The command has ended for certain.
pub(super) const ENDED: u8 = b'E';

/// The client no longer waits for the command, which may go on.
pub(super) const LEFT: u8 = b'L';

/// The connection has no room for another command (`MaxSessions`): no spare for this session.
pub(super) const FULL: u8 = b'F';

/// There is no spare for the client.
pub(super) const NONE: u8 = b'N';

const HANDED: u8 = b'S';

/// How long a master may take to say hello on a busy machine.
pub(super) const MASTER: Duration = master::ANSWER;

/// How long a token is.
const TOKEN: usize = 40;

/// How long a hello is.
pub(super) const HELLO: usize = 2 + TOKEN;

/// The most output of start-up files that comes with a spare, in bytes.
pub(super) const MAX_PRINTED: usize = 32 * 1024;

/// How a client introduces its command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The command's token.
    pub(super) token: String,
    /// Whether it wants the spare, and for what.
    pub(super) wants: Option<Form>,
}

impl Hello {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let wish = match self.wants {
            None => b'-',
            Some(Form::Evaluated) => b'e',
            Some(Form::Bare) => b'b',
        };
        [&[VERSION, wish], self.token.as_bytes()].concat()
    }

    /// `None` if no client of this version sends that.
    pub(super) fn parse(bytes: &[u8]) -> Option<Hello> {
        let (&[version, wish], token) = bytes.split_first_chunk()?;
        let token = std::str::from_utf8(token).ok().filter(|token| remote_end::is_token(token))?;
        let wants = match wish {
            b'e' => Some(Form::Evaluated),
            b'b' => Some(Form::Bare),
            _ => None,
        };
        (version == VERSION).then(|| Hello { token: token.to_owned(), wants })
    }
}

/// A spare, on its way from the keeper to the client.
pub(super) struct Handed {
    /// The connection to the master, the pipe to the shell's stdin, those from its stdout and stderr.
    pub(super) ends: [OwnedFd; 4],
    /// The shell's token.
    pub(super) token: String,
    /// The session's number at the master.
    pub(super) session: u32,
    /// What start-up files printed.
    pub(super) printed: Vec<u8>,
}

/// Hands the spare over. The sender then has to drop its own copies.
pub(super) fn hand(socket: impl AsFd, handed: &Handed, deadline: Deadline) -> io::Result<()> {
    let length = u32::try_from(handed.printed.len()).unwrap_or(u32::MAX);
    let head = [
        &[HANDED][..],
        handed.token.as_bytes(),
        &handed.session.to_be_bytes(),
        &length.to_be_bytes(),
        &handed.printed,
    ]
    .concat();
    let fds = handed.ends.each_ref().map(AsFd::as_fd);
    let mut sent = 0;
    while sent < head.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if sent == 0 {
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        match rustix::net::sendmsg(&socket, &[IoSlice::new(&head[sent..])], &mut control, send_flags()) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => ready(socket.as_fd(), PollFlags::OUT, deadline)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Takes the keeper's answer without waiting: `WouldBlock` if nothing has come yet. `None`: it has no spare for us.
pub(super) fn take(socket: impl AsFd, deadline: Deadline) -> io::Result<Option<Handed>> {
    const HEAD: usize = 1 + TOKEN + 8;
    let mut bytes = vec![0; HEAD];
    let mut ends = Vec::new();
    let count = receive(&socket, &mut bytes, &mut ends)?;
    if bytes[..count].first() != Some(&HANDED) {
        return Ok(None);
    }
    bytes.truncate(count);
    fill(&socket, &mut bytes, HEAD, deadline)?;
    let (head, numbers) = bytes.split_at(1 + TOKEN);
    let number =
        |at: usize| numbers.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes);
    let (Some(session), Some(length)) = (number(0), number(4)) else { return Ok(None) };
    let token = String::from_utf8_lossy(&head[1..]).into_owned();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_PRINTED || !remote_end::is_token(&token) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut printed = Vec::new();
    fill(&socket, &mut printed, length, deadline)?;
    let ends = ends.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(Handed { ends, token, session, printed }))
}

fn fill(socket: impl AsFd, bytes: &mut Vec<u8>, length: usize, deadline: Deadline) -> io::Result<()> {
    while bytes.len() < length {
        let mut part = vec![0; length - bytes.len()];
        match receive(&socket, &mut part, &mut Vec::new()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready(socket.as_fd(), PollFlags::IN, deadline)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(socket: impl AsFd, bytes: &mut [u8], ends: &mut Vec<OwnedFd>) -> io::Result<usize> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let flags = RecvFlags::DONTWAIT;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut control, flags) {
            Ok(received) => {
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(handed) = message {
                        ends.extend(handed);
                    }
                }
                #[cfg(not(any(target_os = "linux", target_os = "android")))]
                for end in ends.iter() {
                    rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
                }
                return Ok(received.bytes);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends a few bytes, which fit into the socket's buffer.
pub(super) fn say(socket: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    loop {
        match rustix::net::send(&socket, bytes, send_flags()) {
            Ok(count) if count == bytes.len() => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Takes a few bytes, without waiting: none at the end of the connection.
pub(super) fn hear(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    receive(socket, bytes, &mut Vec::new())
}

fn ready(socket: BorrowedFd<'_>, events: PollFlags, deadline: Deadline) -> io::Result<()> {
    if deadline.is_past() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let timeout = Timespec::try_from(deadline.remaining()).ok();
    match rustix::event::poll(&mut [PollFd::from_borrowed_fd(socket, events)], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn send_flags() -> SendFlags {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    return SendFlags::DONTWAIT;
}

/// Whether a process of this user is on the other side.
pub(super) fn is_own(socket: impl AsFd) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let user = nix::sys::socket::getsockopt(&socket.as_fd(), nix::sys::socket::sockopt::PeerCredentials)
        .ok()
        .map(|peer| peer.uid());
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let user = nix::unistd::getpeereid(socket.as_fd()).ok().map(|(user, _)| user.as_raw());
    user == Some(rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    fn token() -> String {
        format!("runcode-{}", "0a".repeat(16))
    }

    #[test]
    fn a_spare_goes_over_whole() {
        let soon = || Deadline::after(Duration::from_secs(10));
        let (keeper, client) = UnixStream::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let printed = b"hello".repeat(1000);
        let ends = [reader.into(), null(), null(), null()];
        hand(&keeper, &Handed { ends, token: token(), session: 7, printed: printed.clone() }, soon())
            .unwrap();
        let handed = take(&client, soon()).unwrap().unwrap();
        assert_eq!((handed.token, handed.session, handed.printed), (token(), 7, printed));
        writer.write_all(b"x").unwrap();
        drop(writer);
        let [reader, ..] = handed.ends;
        let mut came = Vec::new();
        std::fs::File::from(reader).read_to_end(&mut came).unwrap();
        assert_eq!(came, b"x");
        assert_eq!(take(&client, soon()).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        say(&keeper, &[NONE]).unwrap();
        assert!(take(&client, soon()).unwrap().is_none());
        drop(keeper);
        assert!(take(&client, soon()).unwrap().is_none(), "the keeper is gone");
        assert!(is_own(&client));
    }

    #[test]
    fn only_hellos_of_this_version_are_heard() {
        for wants in [None, Some(Form::Bare), Some(Form::Evaluated)] {
            let hello = Hello { token: token(), wants };
            assert_eq!(hello.bytes().len(), HELLO);
            assert_eq!(Hello::parse(&hello.bytes()), Some(hello));
        }
        let mut other = Hello { token: token(), wants: None }.bytes();
        other[0] = VERSION + 1;
        assert_eq!(Hello::parse(&other), None);
        assert_eq!(Hello::parse(&[VERSION, b'-', b'x']), None);
        assert_eq!(Hello::parse(&[]), None);
    }
}
