//! One question to the kernel about one socket: sock_diag(7), `struct inet_diag_req_v2`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::Owner;

/// `SOCK_DIAG_BY_FAMILY`, of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR` and `NLM_F_REQUEST`, of netlink(7).
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
/// `ENOENT`: no socket is there.
const NO_ENTRY: i32 = 2;
/// `TCP_LISTEN` and the numbers of a protocol and of address families, as the kernel has them.
const TCP: u8 = 6;
const INET: u8 = 2;
const INET6: u8 = 10;
/// The loopback device is the first one of every network namespace. A socket that is bound to it is found only when it is named.
const LOOPBACK_DEVICE: u32 = 1;
/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// The owner of the TCP socket on `local` that is connected to `remote`; of the one that listens, when `remote` is 0.0.0.0:0.
pub(super) fn owner(local: SocketAddr, remote: SocketAddr) -> Owner {
    match ask(local, remote) {
        Ok(Some(found)) => found.owner(),
        Ok(None) => Owner::Nobody,
        Err(_) => Owner::Unknown,
    }
}

/// A socket, as the kernel describes it.
struct Found {
    user: u32,
    inode: u32,
}

impl Found {
    fn owner(&self) -> Owner {
        let own = rustix::process::geteuid().as_raw();
        match self.user {
            // A closed socket that still sends what it holds, or waits out its time, is nobody's and shown as root's.
            _ if self.inode == 0 => Owner::Nobody,
            0 => Owner::Ours,
            user if user == own && !stands_for_others(own) => Owner::Ours,
            user if user == own => Owner::Unknown,
            user => Owner::Other(user),
        }
    }
}

/// Whether other users are shown under this number too: it stands for all that have none in this user namespace
/// (user_namespaces(7), `overflowuid`).
fn stands_for_others(user: u32) -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let overflow = read("/proc/sys/kernel/overflowuid").trim().parse().unwrap_or(65_534);
    user == overflow && !read("/proc/self/uid_map").split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// Asks for one socket; `None` when there is none.
///
/// # Errors
/// When the kernel cannot be asked or answers something else.
fn ask(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Found>> {
    let id = identity(local, remote);
    let (family, id) = id.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &request(family, &id), SendFlags::empty(), &kernel)?;
    // The answer is there when the question has been sent.
    let mut answer = [0; 512];
    let (_, length) = rustix::net::recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    parse(answer.get(..length).unwrap_or_default(), &id)
}

/// Ports and addresses of `struct inet_diag_sockid`, in network order, and the family. A connection of IPv4 has one
/// identity, whether its sockets are of IPv4 or IPv6 (`::ffff:127.0.0.1`, RFC 4291 section 2.5.5.2).
fn identity(local: SocketAddr, remote: SocketAddr) -> Option<(u8, Vec<u8>)> {
    let mut id = [local.port().to_be_bytes(), remote.port().to_be_bytes()].concat();
    let family = match (local.ip().to_canonical(), remote.ip().to_canonical()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            for ip in [local, remote] {
                id.extend(ip.octets());
                id.extend([0; 12]);
            }
            INET
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            id.extend(local.octets());
            id.extend(remote.octets());
            INET6
        }
        _ => return None,
    };
    Some((family, id))
}

fn request(family: u8, id: &[u8]) -> Vec<u8> {
    const ANY_COOKIE: [u8; 8] = [0xff; 8];
    const ALL_STATES: [u8; 4] = [0xff; 4];
    let mut body = vec![family, TCP, 0, 0];
    body.extend(ALL_STATES);
    body.extend(id);
    body.extend(LOOPBACK_DEVICE.to_ne_bytes());
    body.extend(ANY_COOKIE);
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and port number
    message.extend(body);
    message
}

/// Reads the answer: `struct inet_diag_msg`, or an error.
fn parse(answer: &[u8], id: &[u8]) -> io::Result<Option<Found>> {
    let odd = || io::Error::from(io::ErrorKind::InvalidData);
    let word = |at: usize| -> io::Result<u32> {
        let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).ok_or_else(odd)?;
        Ok(u32::from_ne_bytes(bytes))
    };
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match kind {
        Some(ERROR) if word(HEADER)?.cast_signed() == -NO_ENTRY => Ok(None),
        Some(ERROR) => Err(io::Error::from_raw_os_error(word(HEADER)?.cast_signed().wrapping_neg())),
        // Family, state, timer and retransmits, then whose socket it is.
        Some(BY_FAMILY) if is_about(answer, id) => {
            // Behind the identity's device and cookie: expiry and both queues.
            let at = HEADER + 4 + id.len() + 12 + 12;
            Ok(Some(Found { user: word(at)?, inode: word(at + 4)? }))
        }
        _ => Err(odd()),
    }
}

/// Whether the answer is about the local port that was asked about.
fn is_about(answer: &[u8], id: &[u8]) -> bool {
    answer.get(HEADER + 4..HEADER + 6).is_some_and(|port| Some(port) == id.get(..2))
}

#[cfg(test)]
#[path = "linux_tests.rs"]
mod tests;
