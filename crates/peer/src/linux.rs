//! One question to the kernel about one socket: sock_diag(7), `struct inet_diag_req_v2`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::Owner;

/// `SOCK_DIAG_BY_FAMILY`, of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR` and `NLM_F_REQUEST`, of netlink(7).
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
/// `ENOENT`: no socket is there.
const NO_ENTRY: i32 = 2;
/// A socket's states, of net/tcp_states.h: connected; its own end closed, and that told to the other side; listening.
const ESTABLISHED: u8 = 1;
const FIN_WAIT: [u8; 2] = [4, 5];
const LISTEN: u8 = 10;
/// The numbers of a protocol and of address families, as the kernel has them.
const TCP: u8 = 6;
const INET: u8 = 2;
const INET6: u8 = 10;
/// The loopback device is the first one of every network namespace. A socket that is bound to it is found only when it is named.
const LOOPBACK_DEVICE: u32 = 1;
/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// The owner of the other end of an accepted connection.
pub(super) fn owner_of_peer(connection: BorrowedFd<'_>) -> Owner {
    let ends = || -> io::Result<(SocketAddr, SocketAddr)> {
        let peer = rustix::net::getpeername(connection)?.ok_or(io::ErrorKind::NotConnected)?;
        Ok((peer.try_into()?, rustix::net::getsockname(connection)?.try_into()?))
    };
    let Ok((peer, local)) = ends() else { return Owner::Nobody };
    let owner = owner(peer, local, |found| found.is_connected(peer, local));
    // Its addresses were its own all along if they are now; one that was reset has left them to others.
    if ends().is_ok() { owner } else { Owner::Nobody }
}

/// The owner of what listens on `port` of 127.0.0.1.
pub(super) fn owner_of_listener(port: u16) -> Owner {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    owner(local, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), |found| found.listens_for(local))
}

/// The owner of the socket that the kernel finds for these addresses, if it is the one that is meant.
fn owner(local: SocketAddr, remote: SocketAddr, is_meant: impl Fn(&Found) -> bool) -> Owner {
    match ask(local, remote) {
        Ok(Some(found)) if is_meant(&found) => found.owner(),
        Ok(_) => Owner::Nobody,
        Err(_) => Owner::Unknown,
    }
}

/// A socket, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    state: u8,
    local: SocketAddr,
    remote: SocketAddr,
    user: u32,
    inode: u32,
}

impl Found {
    /// Whether it is the end `local` of the connection with `remote`. Where there is none, the kernel answers with what
    /// listens on the port; and one that is only being made says nothing about one that was accepted.
    fn is_connected(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let is_up = self.state == ESTABLISHED || FIN_WAIT.contains(&self.state);
        is_up && same(self.local, local) && same(self.remote, remote)
    }

    /// Whether it listens for connections to `local`.
    fn listens_for(&self, local: SocketAddr) -> bool {
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), local.port());
        let any6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), local.port());
        self.state == LISTEN && [local, any, any6].into_iter().any(|address| same(self.local, address))
    }

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

/// Whether two addresses are one: a socket of IPv6 shows an address of IPv4 as `::ffff:127.0.0.1`.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip().to_canonical(), one.port()) == (other.ip().to_canonical(), other.port())
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
    parse(answer.get(..length).unwrap_or_default())
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
fn parse(answer: &[u8]) -> io::Result<Option<Found>> {
    let kind = u16::from_ne_bytes(bytes(answer, 4)?);
    match kind {
        ERROR => match i32::from_ne_bytes(bytes(answer, HEADER)?) {
            code if code == -NO_ENTRY => Ok(None),
            code => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
        },
        BY_FAMILY => {
            // Family, state, timer and retransmits; both ports, both addresses, device and cookie; expiry and both queues.
            let [family, state] = bytes(answer, HEADER)?;
            let address = |port: usize, at: usize| -> io::Result<SocketAddr> {
                let ip = match family {
                    INET => IpAddr::from(bytes::<4>(answer, at)?),
                    INET6 => IpAddr::from(bytes::<16>(answer, at)?),
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                };
                Ok(SocketAddr::new(ip, u16::from_be_bytes(bytes(answer, port)?)))
            };
            let id = HEADER + 4;
            Ok(Some(Found {
                state,
                local: address(id, id + 4)?,
                remote: address(id + 2, id + 20)?,
                user: u32::from_ne_bytes(bytes(answer, id + 60)?),
                inode: u32::from_ne_bytes(bytes(answer, id + 64)?),
            }))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The bytes of an answer at `at`; an error when it is too short.
fn bytes<const N: usize>(answer: &[u8], at: usize) -> io::Result<[u8; N]> {
    let found = answer.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
#[path = "linux_tests.rs"]
mod tests;
