//! Forwarded connections: a channel on one side, a socket on the other.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::channel::Line;

const PIECE: usize = 64 << 10;

/// Moves bytes both ways until both are done. Each way ends by itself, so half-closed connections work.
pub(super) async fn relay(line: Line, socket: impl AsyncRead + AsyncWrite) {
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
        while let Ok(read) = from.read(&mut buffer).await {
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
            if line.send(false, piece.to_vec()).await.is_err() {
                break;
            }
        }
        line.send_end().await;
    };
    tokio::select! {
        _ = async { tokio::join!(outward, inward) } => {}
        () = line.over() => {}
    }
    line.close().await;
}
