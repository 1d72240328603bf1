//! Forwarded connections: a channel on one side, a socket on the other.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::channel::Line;

const PIECE: usize = 64 << 10;
/// How long the socket may take the rest of what a client sent that is gone.
const DRAIN: Duration = Duration::from_secs(10);

/// Moves bytes both ways until both are done. Each way ends by itself, so half-closed connections work.
pub(crate) async fn relay(line: Line, socket: impl AsyncRead + AsyncWrite) {
    let (mut from, mut to) = tokio::io::split(socket);
    let outward = async {
        while let Some(piece) = line.input.next().await {
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
        line.input.discard();
    };
    let inward = async {
        let mut buffer = vec![0; PIECE];
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read.unwrap_or_default(),
                () = line.over() => break,
            };
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
            if line.send(false, piece.to_vec()).await.is_err() {
                break;
            }
        }
        line.send_end().await;
    };
    let outward = async {
        tokio::pin!(outward);
        tokio::select! {
            () = &mut outward => {}
            // What the client sent before it closed is still to be delivered.
            () = line.over() => drop(tokio::time::timeout(DRAIN, outward).await),
        }
    };
    tokio::join!(outward, inward);
    line.close().await;
}
