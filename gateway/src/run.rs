//! Running a command on a channel, without a terminal and in one, as sshd(8) does it.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::mpsc;

use crate::channel::Line;
use crate::exit;
use crate::workspace::{Ends, ProcessSession, Processes, Terminal};

/// What is read from a command at a time: a pipe's worth.
const PIECE: usize = 64 << 10;

/// Serves a command with pipes until it is over: its end is told at once, the channel closes when its outputs do
/// (a process it left in the background may hold them). When the client goes first, the command is ended.
pub(crate) async fn piped(line: Line, mut child: Child, session: ProcessSession, processes: Processes) {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = line.clone();
    let feed = tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            while let Some(piece) = input.input.next().await {
                if stdin.write_all(&piece).await.is_err() {
                    break;
                }
            }
        }
        input.input.discard();
    });
    let wait = async {
        let status = child.wait().await.ok();
        exit::report(&line.handle, line.id(), status).await;
        feed.abort();
        line.input.discard();
    };
    let served = async {
        tokio::join!(wait, drain(&line, stdout, stderr));
    };
    tokio::select! {
        () = served => {
            line.send_end().await;
            line.close().await;
            processes.finished(session);
        }
        () = line.over() => {
            line.input.discard();
            processes.end(session).await;
            line.close().await;
        }
    }
}

/// Sends both outputs until they end. What the command wrote to stdout before it wrote to stderr is sent first, as sshd(8) does.
async fn drain(line: &Line, mut stdout: Option<ChildStdout>, mut stderr: Option<ChildStderr>) {
    let (mut out, mut err) = (BytesMut::new(), BytesMut::new());
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            biased;
            is_open = next(&mut stdout, &mut out), if stdout.is_some() => {
                if !is_open {
                    stdout = None;
                }
            }
            is_open = next(&mut stderr, &mut err), if stderr.is_some() => {
                if !is_open {
                    stderr = None;
                }
                if stdout.as_ref().is_some_and(has_more) && !next(&mut stdout, &mut out).await {
                    stdout = None;
                }
            }
        }
        let is_sent = (out.is_empty() || line.send(false, out.split()).await.is_ok())
            && (err.is_empty() || line.send(true, err.split()).await.is_ok());
        if !is_sent {
            break;
        }
    }
}

/// Reads what there is; whether there may be more.
async fn next(output: &mut Option<impl AsyncRead + Unpin>, buffer: &mut BytesMut) -> bool {
    let Some(output) = output else { return false };
    // What is sent shares its memory: pieces of a few bytes must not hold a whole piece's each.
    if buffer.capacity() < PIECE / 2 {
        buffer.reserve(PIECE);
    }
    output.read_buf(buffer).await.is_ok_and(|read| read > 0)
}

/// Whether there is something to read now.
#[cfg(unix)]
fn has_more(output: &ChildStdout) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

#[cfg(not(unix))]
fn has_more(_: &ChildStdout) -> bool {
    false
}

/// Serves a command in a terminal until it is over. When the client goes first, the terminal hangs up.
pub(crate) async fn in_terminal(
    line: Line,
    terminal: Arc<Terminal>,
    ends: Ends,
    session: ProcessSession,
    processes: Processes,
) {
    let Ends { output, input, child } = ends;
    let (status, ended) = tokio::sync::oneshot::channel();
    let (typed, keys) = mpsc::channel(4);
    let (screen, mut shown) = mpsc::channel(4);
    // A terminal's ends block; each has a thread, which ends with the terminal.
    std::thread::spawn(move || status.send(child.wait()));
    std::thread::spawn(move || write_all(input, keys));
    std::thread::spawn(move || read_all(output, &screen));

    let feed = async {
        while let Some(piece) = line.input.next().await {
            if typed.send(piece).await.is_err() {
                break;
            }
        }
        // The client's end of input is not the terminal's: sshd(8) leaves it open too.
        std::future::pending::<()>().await;
    };
    let show = async {
        while let Some(piece) = shown.recv().await {
            if line.send(false, piece).await.is_err() {
                break;
            }
        }
    };
    let served = async {
        let finish = async {
            let status = ended.await.ok().flatten();
            exit::report(&line.handle, line.id(), status).await;
        };
        tokio::join!(finish, show);
    };
    tokio::select! {
        () = served => {
            line.input.discard();
            line.send_end().await;
            line.close().await;
            processes.finished(session);
        }
        () = feed => {}
        () = line.over() => {
            line.input.discard();
            processes.end(session).await;
            line.close().await;
        }
    }
    drop(terminal);
}

fn read_all(mut output: Box<dyn Read + Send>, to: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read) = output.read(&mut buffer) {
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        if to.blocking_send(piece.to_vec()).is_err() {
            break;
        }
    }
}

fn write_all(mut input: Box<dyn Write + Send>, mut from: mpsc::Receiver<Bytes>) {
    while let Some(piece) = from.blocking_recv() {
        if input.write_all(&piece).is_err() {
            break;
        }
    }
}
