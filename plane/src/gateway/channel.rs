//! One open channel: what came in, the way out, and whether it is over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf};
use tokio::sync::watch;

use super::backlog::Backlog;
use super::gate::Gate;

/// The stream number of standard error (RFC 4254, section 5.2).
pub(super) const STDERR: u32 = 1;

/// A channel as the tasks that serve it see it.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) input: Arc<Backlog>,
    output: Arc<ChannelWriteHalf<Msg>>,
    pub(super) handle: Handle,
    gate: Arc<Gate>,
    over: watch::Receiver<bool>,
    closed: Arc<AtomicBool>,
}

/// The connection's hold on a channel: dropping it means that the client is gone.
pub(super) struct Hold {
    pub(super) line: Line,
    over: watch::Sender<bool>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.over.send_replace(true);
    }
}

impl Hold {
    pub(super) fn new(output: ChannelWriteHalf<Msg>, handle: Handle, gate: Arc<Gate>) -> Self {
        let (sender, over) = watch::channel(false);
        let input = Arc::new(Backlog::new(gate.clone()));
        Hold {
            line: Line { input, output: Arc::new(output), handle, gate, over, closed: Arc::default() },
            over: sender,
        }
    }
}

impl Line {
    pub(super) fn id(&self) -> ChannelId {
        self.output.id()
    }

    /// Waits until the client has closed the channel or is gone.
    pub(super) async fn over(&self) {
        let mut over = self.over.clone();
        let _ = over.wait_for(|over| *over).await;
    }

    /// Sends data, on standard error when `extended`, as fast as the client takes it.
    ///
    /// # Errors
    /// When the client has closed the channel or is gone.
    pub(super) async fn send(&self, extended: bool, data: Vec<u8>) -> io::Result<()> {
        let send = async {
            if extended {
                self.output.extended_data_bytes(STDERR, data).await
            } else {
                self.output.data_bytes(data).await
            }
        };
        tokio::select! {
            sent = self.gate.while_sending(send) => sent.map_err(io::Error::other),
            () = self.over() => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Says that nothing more comes from here.
    pub(super) async fn send_end(&self) {
        let _ = self.handle.eof(self.id()).await;
    }

    /// Whether the channel was closed from here.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the channel.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let _ = self.handle.close(self.id()).await;
    }
}
