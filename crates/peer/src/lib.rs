//! Which user is at the other end of a loopback connection.
//!
//! Every user of a machine can connect to its loopback ports. Linux names the owner of a socket when it is asked about
//! that very socket (sock_diag(7)). Other systems are not asked: there, a secret has to do.

use std::net::SocketAddr;

#[cfg(target_os = "linux")]
mod linux;

/// Whether this system can name the owner of a socket at all.
pub const CAN_TELL: bool = cfg!(target_os = "linux");

/// Who owns a socket on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The user of this process, or root.
    Ours,
    /// Another user, by number.
    Other(u32),
    /// There is no such socket, or no process holds it any more.
    Nobody,
    /// The system does not say.
    Unknown,
}

impl Owner {
    /// Whether it is this user, as far as this system can say: where none is ever named, everybody passes.
    pub fn may_be_ours(self) -> bool {
        self == Owner::Ours || (!CAN_TELL && self == Owner::Unknown)
    }
}

/// Who is at the other end of a connection that was accepted here: from `peer`, on the address `local`.
pub fn owner_of_peer(peer: SocketAddr, local: SocketAddr) -> Owner {
    #[cfg(target_os = "linux")]
    return linux::owner(peer, local);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (peer, local);
        Owner::Unknown
    }
}

/// Who would get a connection to `port` of 127.0.0.1 now.
pub fn owner_of_listener(port: u16) -> Owner {
    let local = SocketAddr::from(([127, 0, 0, 1], port));
    owner_of_peer(local, SocketAddr::from(([0, 0, 0, 0], 0)))
}
