//! Port forwards, which the master holds: they last as long as it does.

use std::net::{Ipv6Addr, TcpListener};
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::output::sanitize;
use crate::sys::clock::Deadline;
use crate::transport::mux_socket::Connection;
use crate::transport::mux_wire::{self, ForwardRequest, Reply};
use crate::transport::outcome::Failure;
use crate::transport::{OPEN_DEADLINE, Transport, mux};

/// A port forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Which side listens.
    pub listen: Side,
    /// The port it listens on, on its loopback addresses alone. 0, on the box only: whichever is free.
    pub listen_port: u16,
    /// Where connections go, as the other side sees it.
    pub connect_host: String,
    /// The port there.
    pub connect_port: u16,
}

/// A side of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This machine.
    Here,
    /// The box.
    Box,
}

/// The master takes no request for one forward while it cannot tell which address it would listen on: each is named.
const HERE: [&str; 2] = ["127.0.0.1", "::1"];

/// Opens the forward; the port it listens on. One that is open already is fine.
pub(super) fn open(transport: &Transport, path: &Path, forward: &Forward) -> Result<u16> {
    match forward.listen {
        Side::Box => match ask(transport, path, true, forward, "localhost")? {
            Reply::RemotePort(port) => {
                u16::try_from(port).map_err(|_| Error::new(Code::Transport, "the box names no port"))
            }
            Reply::Ok => Ok(forward.listen_port),
            reply => {
                Err(refused(reply, || format!("the box does not listen on port {}", forward.listen_port)))
            }
        },
        Side::Here => {
            for address in HERE {
                match ask(transport, path, true, forward, address)? {
                    Reply::Ok => {}
                    Reply::Refused(_) if address == "::1" && !has_ipv6() => {}
                    reply => {
                        if address != HERE[0] {
                            ask(transport, path, false, forward, HERE[0])?;
                        }
                        return Err(refused(reply, || format!("port {} is taken", forward.listen_port))
                            .hint("choose another one with --local"));
                    }
                }
            }
            Ok(forward.listen_port)
        }
    }
}

/// Closes the forward; whether there was one.
pub(super) fn close(transport: &Transport, path: &Path, forward: &Forward) -> Result<bool> {
    let addresses: &[&str] = match forward.listen {
        Side::Box => &["localhost"],
        Side::Here => &HERE,
    };
    let mut was_open = false;
    for address in addresses {
        was_open |= ask(transport, path, false, forward, address)? == Reply::Ok;
    }
    Ok(was_open)
}

fn ask(transport: &Transport, path: &Path, open: bool, forward: &Forward, address: &str) -> Result<Reply> {
    let request = ForwardRequest {
        kind: match forward.listen {
            Side::Here => mux_wire::LISTEN_HERE,
            Side::Box => mux_wire::LISTEN_THERE,
        },
        listen_host: address,
        listen_port: forward.listen_port,
        connect_host: &forward.connect_host,
        connect_port: forward.connect_port,
    };
    let deadline = Deadline::after(OPEN_DEADLINE);
    let answer = Connection::open(path, deadline)
        .and_then(|mut connection| connection.ask(&mux_wire::forward(open, &request), deadline));
    answer.map_err(|trouble| Failure::into_error(mux::failure(transport, path, trouble)))
}

fn refused(reply: Reply, what: impl FnOnce() -> String) -> Error {
    let words =
        if let Reply::Refused(words) = reply { words } else { "the master talks nonsense".to_owned() };
    Error::new(Code::Conflict, format!("{}: {}", what(), sanitize::short(&words)))
}

/// Whether this machine has an IPv6 loopback address to listen on.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
