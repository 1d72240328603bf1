//! Which user is at the other end of a loopback connection.
//!
//! Every user of a machine can connect to its loopback ports. Linux names the owner of a socket when it is asked about
//! that very socket (sock_diag(7)). Other systems are not asked: there, a secret has to do.

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

/// Who is at the other end of a TCP connection that was accepted here.
///
/// Ask as soon as it is accepted and keep the answer, which holds for as long as the connection does: once that has ended, its
/// addresses may be another user's. A connection that has ended by now is nobody's.
#[cfg(target_os = "linux")]
pub fn owner_of_peer(connection: impl std::os::fd::AsFd) -> Owner {
    linux::owner_of_peer(connection.as_fd())
}

/// Who is at the other end of a TCP connection that was accepted here: this system does not say.
#[cfg(not(target_os = "linux"))]
pub fn owner_of_peer<C>(_: C) -> Owner {
    Owner::Unknown
}

/// Who would get a connection to `port` of 127.0.0.1 now.
pub fn owner_of_listener(port: u16) -> Owner {
    #[cfg(target_os = "linux")]
    return linux::owner_of_listener(port);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = port;
        Owner::Unknown
    }
}
