//! The socket of a connection, with a gate: reading stops while too much waits to be read by commands, and
//! the connection can be cut from outside at any moment.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use runcode_plane::{Side, Visit};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// The backlog of a whole connection, in memory and in files, from which on reading waits.
const LIMIT: usize = 1 << 30;

/// What decides whether a connection is read from.
pub(crate) struct Gate {
    backlog: AtomicUsize,
    /// Senders that wait for the client to open a window: only reading can bring that.
    starved: AtomicUsize,
    visit: Arc<Visit>,
}

impl Gate {
    pub(crate) fn new(visit: Arc<Visit>) -> Self {
        Gate { backlog: AtomicUsize::new(0), starved: AtomicUsize::new(0), visit }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Gate::new(Arc::new(Visit::new(runcode_peer::Owner::Ours)))
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.backlog.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        let before = self.backlog.fetch_sub(bytes, Ordering::AcqRel);
        if before >= LIMIT && before - bytes < LIMIT {
            self.visit.wake();
        }
    }

    #[cfg(test)]
    pub(crate) fn total(&self) -> usize {
        self.backlog.load(Ordering::Acquire)
    }

    /// Runs `send`, during which the connection is read from whatever the backlog.
    pub(crate) async fn while_sending<T>(&self, send: impl Future<Output = T>) -> T {
        struct Starving<'a>(&'a Gate);
        impl Drop for Starving<'_> {
            fn drop(&mut self) {
                self.0.starved.fetch_sub(1, Ordering::AcqRel);
            }
        }
        let mut send = std::pin::pin!(send);
        let at_once = std::future::poll_fn(|cx| Poll::Ready(send.as_mut().poll(cx))).await;
        if let Poll::Ready(sent) = at_once {
            return sent;
        }
        self.starved.fetch_add(1, Ordering::AcqRel);
        let _starving = Starving(self);
        if self.backlog.load(Ordering::Acquire) >= LIMIT {
            self.visit.wake();
        }
        send.await
    }

    fn is_open(&self) -> bool {
        self.backlog.load(Ordering::Acquire) < LIMIT || self.starved.load(Ordering::Acquire) > 0
    }
}

/// How often it is looked whether a client that is not read from is still there.
const LOOK: Duration = Duration::from_secs(1);

/// A client's socket behind its gate.
pub(crate) struct Gated {
    socket: TcpStream,
    gate: Arc<Gate>,
    /// Runs while the gate is closed.
    look: Option<Pin<Box<Sleep>>>,
}

impl Gated {
    pub(crate) fn new(socket: TcpStream, gate: Arc<Gate>) -> Self {
        Gated { socket, gate, look: None }
    }

    /// Waits behind the closed gate. The end of the connection lies behind what is not read; that it has come is
    /// known without reading, and then nobody is left for whom the rest would be kept.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            ready!(look.as_mut().poll(cx));
            self.look = None;
            let ready = std::pin::pin!(self.socket.ready(Interest::READABLE)).poll(cx);
            if matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed()) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.gate.visit.check(Side::Read, cx)?;
        if !self.gate.is_open() {
            return self.wait(cx);
        }
        self.look = None;
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.gate.visit.check(Side::Write, cx)?;
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gate.visit.check(Side::Write, cx)?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    #[cfg_attr(windows, ignore = "wine does not tell of it; not tried on Windows itself")]
    async fn a_client_that_is_not_read_is_seen_to_leave() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let gate = Arc::new(Gate::for_tests());
        let mut gated = Gated::new(listener.accept().await.unwrap().0, gate.clone());
        gate.add(LIMIT);
        client.write_all(&[1; 1000]).await.unwrap();
        let mut byte = [0];
        let waits = tokio::time::timeout(2 * LOOK, gated.read(&mut byte)).await;
        assert!(waits.is_err(), "a client that is there is waited for");
        let reading = tokio::spawn(async move { gated.read(&mut byte).await.map(|_| gated) });
        gate.remove(LIMIT);
        let mut gated = reading.await.unwrap().unwrap();
        gate.add(LIMIT);
        drop(client);
        let ended = tokio::time::timeout(10 * LOOK, gated.read(&mut byte)).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
