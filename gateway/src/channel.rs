//! One open channel: what came in, the way out, and whether it is over.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::watch;

use crate::backlog::Backlog;
use crate::gate::Gate;

/// The stream number of standard error (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// A channel as the tasks that serve it see it.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) input: Arc<Backlog>,
    output: Arc<ChannelWriteHalf<Msg>>,
    pub(crate) handle: Handle,
    gate: Arc<Gate>,
    /// Whether the client has closed the channel or is gone.
    over: watch::Receiver<bool>,
    /// Whether the channel was closed from here.
    closed: Arc<watch::Sender<bool>>,
}

impl Line {
    /// Takes a channel over; from now on what arrives goes to the backlog, without anybody waiting.
    pub(crate) fn new(channel: Channel<Msg>, handle: Handle, gate: Arc<Gate>) -> Self {
        let (arriving, output) = channel.split();
        let (end, over) = watch::channel(false);
        let (closed, is_closed) = watch::channel(false);
        let input = Arc::new(Backlog::new(gate.clone()));
        tokio::spawn(receive(arriving, End { input: input.clone(), over: end }, is_closed));
        Line { input, output: Arc::new(output), handle, gate, over, closed: Arc::new(closed) }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.output.id()
    }

    /// Waits until the client has closed the channel or is gone.
    pub(crate) async fn over(&self) {
        let mut over = self.over.clone();
        let _ = over.wait_for(|over| *over).await;
    }

    /// Whether the channel is closed, from either side.
    pub(crate) fn is_closed(&self) -> bool {
        *self.over.borrow() || *self.closed.borrow()
    }

    /// Sends data as fast as the client takes it, on standard error when `extended`.
    ///
    /// # Errors
    /// When the client has closed the channel or is gone.
    pub(crate) async fn send(&self, extended: bool, data: impl Into<Bytes>) -> io::Result<()> {
        let data = data.into();
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
    pub(crate) async fn send_end(&self) {
        let _ = self.handle.eof(self.id()).await;
    }

    /// Lets go of a channel that was never opened.
    pub(crate) fn forget(&self) {
        self.closed.send_replace(true);
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        self.forget();
        let _ = self.handle.close(self.id()).await;
    }
}

/// The end of what a client sends; dropping it says that nothing more comes.
struct End {
    input: Arc<Backlog>,
    over: watch::Sender<bool>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.input.end();
        self.over.send_replace(true);
    }
}

/// Moves what arrives to the backlog until either side closes the channel.
async fn receive(mut arriving: ChannelReadHalf, end: End, mut closed: watch::Receiver<bool>) {
    loop {
        let message = tokio::select! {
            message = arriving.wait() => message,
            // The library does not say when a client confirms a close that began here.
            _ = closed.wait_for(|closed| *closed) => None,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                // No room for what the client sends ahead: better no channel than one with a gap.
                if end.input.push(data).is_err() {
                    break;
                }
            }
            Some(ChannelMsg::Eof) => end.input.end(),
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
}
