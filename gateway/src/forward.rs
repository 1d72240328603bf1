//! Listening on the workspace for the client: remote forwarding of TCP ports and Unix sockets.
//!
//! As sshd(8) with `GatewayPorts no`: a port is only ever opened on loopback, whatever address was asked for.
//! Unlike it, the file of a Unix socket goes with its listener, so that the same name can be listened on again.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use runcode_peer::Owner;
use russh::server::Handle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::channel::Line;
use crate::gate::Gate;
use crate::relay::relay;

/// How many listeners one client may have.
const MAX_LISTENERS: usize = 200;
/// How many connections to one listener are carried at once, and how many of them are other users'. More are closed.
const MAX_CONNECTIONS: usize = 200;
const MAX_OTHERS: usize = 20;
/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// The listeners of one client; dropping it closes them.
pub(crate) struct Listeners {
    handle: Handle,
    gate: Arc<Gate>,
    ports: HashMap<(String, u32), Vec<Listening>>,
    #[cfg(unix)]
    sockets: HashMap<String, Listening>,
}

/// A listener at work; dropping it closes it.
struct Listening {
    task: AbortHandle,
    /// The socket's file.
    #[cfg(unix)]
    file: Option<std::path::PathBuf>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        #[cfg(unix)]
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Listening {
    fn new(task: AbortHandle) -> Self {
        Listening {
            task,
            #[cfg(unix)]
            file: None,
        }
    }
}

impl Listeners {
    pub(crate) fn new(handle: Handle, gate: Arc<Gate>) -> Self {
        Listeners {
            handle,
            gate,
            ports: HashMap::new(),
            #[cfg(unix)]
            sockets: HashMap::new(),
        }
    }

    /// Opens a port, 0 for any, and returns its number.
    ///
    /// # Errors
    /// When the port is taken or not allowed.
    pub(crate) async fn open_port(&mut self, address: &str, port: u32) -> io::Result<u32> {
        let wanted = u16::try_from(port).map_err(|_| io::ErrorKind::InvalidInput)?;
        let taken = port != 0 && self.ports.contains_key(&(address.to_owned(), port));
        if taken || self.ports.len() >= MAX_LISTENERS {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await?;
        let bound = first.local_addr()?.port();
        let mut listening = vec![self.accept_tcp(first, address, bound)];
        // The other loopback, where there is one.
        if let Ok(second) = TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
            listening.push(self.accept_tcp(second, address, bound));
        }
        self.ports.insert((address.to_owned(), u32::from(bound)), listening);
        Ok(u32::from(bound))
    }

    /// Closes a port; false when it was not open.
    pub(crate) fn close_port(&mut self, address: &str, port: u32) -> bool {
        self.ports.remove(&(address.to_owned(), port)).is_some()
    }

    fn accept_tcp(&self, listener: TcpListener, address: &str, port: u16) -> Listening {
        let (handle, gate, address) = (self.handle.clone(), self.gate.clone(), address.to_owned());
        let accept = async move {
            let (ours, others, unnamed) =
                (places(MAX_CONNECTIONS), places(MAX_OTHERS), places(MAX_CONNECTIONS));
            loop {
                let (socket, from) = next(|| listener.accept()).await;
                let places = match runcode_peer::owner_of_peer(&socket) {
                    owner if owner.may_be_ours() => &ours,
                    Owner::Other(_) => &others,
                    _ => &unnamed, // whoever it is takes no place of this user's
                };
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let (handle, gate, address) = (handle.clone(), gate.clone(), address.clone());
                tokio::spawn(async move {
                    let _place = place;
                    let _ = socket.set_nodelay(true);
                    let (ip, number) = (from.ip().to_string(), u32::from(from.port()));
                    let opened =
                        handle.channel_open_forwarded_tcpip(address, u32::from(port), ip, number).await;
                    if let Ok(channel) = opened {
                        relay(Line::new(channel, handle, gate), socket).await;
                    }
                });
            }
        };
        Listening::new(tokio::spawn(accept).abort_handle())
    }

    /// Opens a Unix socket that only its owner may use; the file must not exist (`StreamLocalBindUnlink no`).
    ///
    /// # Errors
    /// When the socket cannot be made.
    #[cfg(unix)]
    pub(crate) fn open_socket(&mut self, path: &str) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        if self.sockets.len() >= MAX_LISTENERS {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let listener = tokio::net::UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let (handle, gate, name) = (self.handle.clone(), self.gate.clone(), path.to_owned());
        let accept = async move {
            let places = places(MAX_CONNECTIONS);
            loop {
                let (socket, _) = next(|| listener.accept()).await;
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let (handle, gate, name) = (handle.clone(), gate.clone(), name.clone());
                tokio::spawn(async move {
                    let _place = place;
                    if let Ok(channel) = handle.channel_open_forwarded_streamlocal(name).await {
                        relay(Line::new(channel, handle, gate), socket).await;
                    }
                });
            }
        };
        let mut listening = Listening::new(tokio::spawn(accept).abort_handle());
        listening.file = Some(path.into());
        self.sockets.insert(path.to_owned(), listening);
        Ok(())
    }

    /// Closes a Unix socket and removes its file; false when it was not open.
    #[cfg(unix)]
    pub(crate) fn close_socket(&mut self, path: &str) -> bool {
        self.sockets.remove(path).is_some()
    }
}

fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count))
}

/// The next connection. One that went away before it was accepted is passed over, and so is a lack of descriptors.
async fn next<T, F: Future<Output = io::Result<T>>>(accept: impl Fn() -> F) -> T {
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
