//! stdin and stdout joined to a TCP connection: raw bytes both ways at full speed, each direction ending on its own.
//!
//! A proxy that outlives its ssh is a plague of this kind of tool. This one ends when both directions have ended, when
//! nobody reads its stdout any more, and when its parent is gone, whoever else may hold the pipes.

use std::net::TcpStream;

use crate::error::{Code, Error, Result};

#[cfg(unix)]
#[path = "relay_unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "relay_windows.rs"]
mod platform;

/// Whether an ssh waits for the connection itself (`ProxyUseFdpass`, ssh_config(5)): stdin and stdout are one socket, made by an
/// ssh. Other programs that use one socket for both read and write through it.
#[cfg(unix)]
pub fn is_handed_over() -> bool {
    platform::is_one_socket() && crate::sys::parent::is_ssh()
}

/// Hands the connection to the ssh that waits for it: nothing is left to relay.
#[cfg(unix)]
pub fn hand_over(gateway: &TcpStream) -> Result<()> {
    platform::hand_over(gateway).map_err(|error| Error::io("hand the connection to ssh", error))
}

/// Relays between this process's stdin and stdout and `gateway` until that is over.
///
/// Fails when the gateway breaks the connection off. The caller should let the process end at once: a direction that
/// has not ended still has its thread.
pub fn relay(gateway: TcpStream) -> Result<()> {
    platform::relay(gateway).map_err(|error| {
        let why = crate::error::reason(&error);
        Error::new(Code::Transport, format!("the connection to the gateway was lost: {why}")).source(error)
    })
}
