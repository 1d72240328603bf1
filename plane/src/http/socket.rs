//! The listening side of HTTP: each connection can be cut from a handler.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;

use crate::gateway::{Gate, Gated};

/// The listener of the HTTP side.
pub(crate) struct Socket(pub(crate) TcpListener);

impl Listener for Socket {
    type Io = Gated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Gated, SocketAddr) {
        let (socket, peer) = Listener::accept(&mut self.0).await;
        let _ = socket.set_nodelay(true);
        (Gated::new(socket, Arc::new(Gate::default())), peer)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection, as handlers see it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(super) peer: SocketAddr,
    pub(super) gate: Arc<Gate>,
}

impl Connected<IncomingStream<'_, Socket>> for Link {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        Link { peer: *stream.remote_addr(), gate: stream.io().gate.clone() }
    }
}
