//! The listening side of HTTP: each connection can be cut from a handler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;

use crate::entrance::Entrance;
use crate::gateway::{Gate, Gated};

/// How many connections of this user may be open at once on which no token was shown yet.
const MAX_UNKNOWN: usize = 256;
/// How long such a connection lasts: a page's, or that of a client which sends no token.
const PATIENCE: Duration = Duration::from_secs(20);

/// The listener of the HTTP side.
pub(crate) struct Socket {
    listener: TcpListener,
    entrance: Entrance,
}

impl Socket {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Socket { listener, entrance: Entrance::new(MAX_UNKNOWN, PATIENCE) }
    }
}

impl Listener for Socket {
    type Io = Gated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Gated, SocketAddr) {
        let (socket, peer, gate) = self.entrance.next(&self.listener).await;
        (Gated::new(socket, gate), peer)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, as handlers see it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(super) peer: SocketAddr,
    /// Where it was accepted.
    pub(super) local: Option<SocketAddr>,
    pub(super) gate: Arc<Gate>,
}

impl Connected<IncomingStream<'_, Socket>> for Link {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        let io = stream.io();
        Link { peer: *stream.remote_addr(), local: io.local_addr().ok(), gate: io.gate.clone() }
    }
}
