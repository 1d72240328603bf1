//! The listening side of HTTP: each connection can be cut from outside.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::entrance::Entrance;
use crate::visit::{Side, Visit};

/// How many connections of this user may be open at once on which no token was shown yet.
const MAX_UNKNOWN: usize = 256;
/// How long such a connection lasts: a page's, or that of a client which sends no token.
const PATIENCE: Duration = Duration::from_secs(20);

/// The listener of the HTTP side.
pub(super) struct Socket {
    listener: TcpListener,
    entrance: Entrance,
}

impl Socket {
    pub(super) fn new(listener: TcpListener) -> Self {
        Socket { listener, entrance: Entrance::new(MAX_UNKNOWN, PATIENCE) }
    }
}

impl Listener for Socket {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (socket, peer, visit) = self.entrance.next(&self.listener).await;
        (Stream { socket, visit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A client's socket.
pub(super) struct Stream {
    socket: TcpStream,
    visit: Arc<Visit>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.visit.check(Side::Read, cx)?;
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.visit.check(Side::Write, cx)?;
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.visit.check(Side::Write, cx)?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// A connection, as handlers see it.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) peer: SocketAddr,
    pub(super) visit: Arc<Visit>,
}

impl Connected<IncomingStream<'_, Socket>> for Link {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        Link { peer: *stream.remote_addr(), visit: stream.io().visit.clone() }
    }
}
