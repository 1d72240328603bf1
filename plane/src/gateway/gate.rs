//! The socket of a connection, with a gate: reading stops while too much waits to be read by commands, and
//! the connection can be cut from outside at any moment.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The backlog of a whole connection, in memory and in files, from which on reading waits.
const LIMIT: usize = 1 << 30;

/// What decides whether a connection is read from.
#[derive(Default)]
pub(crate) struct Gate {
    backlog: AtomicUsize,
    /// Senders that wait for the client to open a window: only reading can bring that.
    starved: AtomicUsize,
    cut: AtomicBool,
    /// Whoever waits to read, and to write.
    waiting: Mutex<[Option<Waker>; 2]>,
}

impl Gate {
    pub(super) fn add(&self, bytes: usize) {
        self.backlog.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn remove(&self, bytes: usize) {
        let before = self.backlog.fetch_sub(bytes, Ordering::AcqRel);
        if before >= LIMIT && before - bytes < LIMIT {
            self.wake();
        }
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        self.backlog.load(Ordering::Acquire)
    }

    /// Runs `send`, during which the connection is read from whatever the backlog.
    pub(super) async fn while_sending<T>(&self, send: impl Future<Output = T>) -> T {
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
            self.wake();
        }
        send.await
    }

    /// Ends the connection without a word.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.wake();
    }

    fn is_open(&self) -> bool {
        self.backlog.load(Ordering::Acquire) < LIMIT || self.starved.load(Ordering::Acquire) > 0
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    fn watch(&self, side: usize, cx: &Context<'_>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = waiting.get_mut(side) {
            *slot = Some(cx.waker().clone());
        }
    }
}

/// A client's socket behind its gate.
pub(crate) struct Gated {
    pub(crate) socket: TcpStream,
    pub(crate) gate: Arc<Gate>,
}

impl Gated {
    fn check(&self, side: usize, cx: &Context<'_>) -> io::Result<()> {
        self.gate.watch(side, cx);
        if self.gate.cut.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(0, cx)?;
        if !self.gate.is_open() {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(1, cx)?;
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(1, cx)?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
