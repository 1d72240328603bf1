//! Port forwards, which the master holds: they last as long as it does.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::sys::clock::Deadline;
use crate::transport::mux;
use crate::transport::mux_socket::{Connection, Trouble};
use crate::transport::mux_wire::{self, ForwardRequest, Reply};
use crate::transport::outcome::{Failure, Unforwarded};
use crate::transport::start::OPEN_DEADLINE;

/// In a session's folder: the forwards that were asked for. Without any there is no such file.
pub const KEPT: &str = "forwards.json";

/// A port forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Which side listens.
    pub listen: Side,
    /// The port it listens on, on its loopback addresses alone. 0, on the workspace only: whichever is free.
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
    /// The workspace.
    Workspace,
}

/// The master takes no request for one forward while it cannot tell which address it would listen on: each is named.
const HERE: [&str; 2] = ["127.0.0.1", "::1"];

/// A forward that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The port it listens on.
    pub port: u16,
    /// The process id of the master that has it.
    pub master: u32,
    /// The one address that it listens on, where the user's `AddressFamily` leaves the other to whoever takes it.
    pub only: Option<&'static str>,
}

/// Opens the forward. One that is open already is fine.
pub(super) fn open(path: &Path, forward: &Forward) -> Result<Open, Unforwarded> {
    let mut talk = Talk::with(path)?;
    let master = talk.master()?;
    let mut only = None;
    let port = match forward.listen {
        Side::Workspace => match talk.ask(true, forward, "localhost")? {
            Reply::RemotePort(port) => u16::try_from(port)
                .map_err(|_| Error::new(Code::Transport, "the workspace did not name a port"))?,
            Reply::Ok => forward.listen_port,
            reply => {
                let what = || format!("the workspace does not listen on port {}", forward.listen_port);
                return Err(Unforwarded::NoListener(refused(reply, what)));
            }
        },
        Side::Here => {
            let mut is_open = false;
            for address in HERE {
                match talk.ask(true, forward, address) {
                    Ok(Reply::Ok) => is_open = true,
                    // The user's `AddressFamily` excludes this address, and nobody else listens on it either.
                    Ok(Reply::Refused(_))
                        if (is_open || address != HERE[1]) && !is_taken(address, forward.listen_port) =>
                    {
                        if TcpListener::bind((address, 0)).is_ok() {
                            only = HERE.into_iter().find(|other| *other != address);
                        }
                    }
                    answer => {
                        if is_open {
                            // In a conversation of its own: this one may be what failed.
                            Talk::with(path)?.ask(false, forward, HERE[0])?;
                        }
                        let error = unavailable(answer?, address, forward.listen_port);
                        return Err(Unforwarded::NoListener(error));
                    }
                }
            }
            forward.listen_port
        }
    };
    Ok(Open { port, master, only })
}

/// Closes the forward; whether there was one.
pub(super) fn close(path: &Path, forward: &Forward) -> Result<bool> {
    let addresses: &[&str] = match forward.listen {
        Side::Workspace => &["localhost"],
        Side::Here => &HERE,
    };
    let mut talk = Talk::with(path)?;
    let mut was_open = false;
    for address in addresses {
        was_open |= talk.ask(false, forward, address)? == Reply::Ok;
    }
    Ok(was_open)
}

/// A conversation with the master about forwards.
struct Talk<'a> {
    path: &'a Path,
    connection: Connection,
}

impl<'a> Talk<'a> {
    fn with(path: &'a Path) -> Result<Talk<'a>> {
        match Connection::open(path, Deadline::after(OPEN_DEADLINE)) {
            Ok(connection) => Ok(Talk { path, connection }),
            Err(trouble) => Err(Failure::into_error(mux::failure(path, trouble))),
        }
    }

    fn master(&mut self) -> Result<u32> {
        match self.say(&mux_wire::alive_check())? {
            Reply::Alive(pid) => Ok(pid),
            _ => Err(Failure::into_error(mux::failure(self.path, Trouble::Nonsense))),
        }
    }

    fn ask(&mut self, open: bool, forward: &Forward, address: &str) -> Result<Reply> {
        let request = ForwardRequest {
            kind: match forward.listen {
                Side::Here => mux_wire::LISTEN_HERE,
                Side::Workspace => mux_wire::LISTEN_THERE,
            },
            listen_host: address,
            listen_port: forward.listen_port,
            connect_host: &forward.connect_host,
            connect_port: forward.connect_port,
        };
        self.say(&mux_wire::forward(open, &request))
    }

    fn say(&mut self, request: &[u8]) -> Result<Reply> {
        self.connection
            .ask(request, Deadline::after(OPEN_DEADLINE))
            .map_err(|trouble| Failure::into_error(mux::failure(self.path, trouble)))
    }
}

fn refused(reply: Reply, what: impl FnOnce() -> String) -> Error {
    Error::new(
        Code::Conflict,
        match reply {
            Reply::Refused(words) if words == "Port forwarding failed" => what(), // which says nothing more
            Reply::Refused(words) => format!("{}: {}", what(), foreign::said("ssh", &words)),
            _ => format!("{}: unexpected reply from the ssh master", what()),
        },
    )
}

/// The error for a port that cannot be listened on here.
fn unavailable(reply: Reply, address: &str, port: u16) -> Error {
    let is_privileged =
        TcpListener::bind((address, port)).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    if is_privileged {
        refused(reply, || format!("only root may listen on port {port} of this machine"))
            .hint("choose a port above 1023 with --local")
    } else {
        refused(reply, || format!("port {port} is taken")).hint("choose another one with --local")
    }
}

/// Whether somebody listens on the port at this address. Nobody does if this machine does not have the address.
fn is_taken(address: &str, port: u16) -> bool {
    TcpListener::bind((address, port))
        .is_err_and(|error| matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied))
}
