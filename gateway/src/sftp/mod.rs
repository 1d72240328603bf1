//! The sftp subsystem: version 3 of the protocol (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions that
//! `sftp` and `scp` use (PROTOCOL, section 4). Names are bytes, as on the file system.

mod attributes;
mod extensions;
mod files;
mod longname;
mod numbers;
mod packet;
mod requests;

use std::io;
use std::path::PathBuf;

use tokio::runtime::Handle;

use crate::channel::Line;
use files::Files;
use packet::Reader;

/// The largest packet that is taken in or given out: OpenSSH's own limit.
const PACKET_LIMIT: usize = 256 << 10;
/// How much is gathered before it is sent, while more requests wait.
const BATCH: usize = 128 << 10;

/// Serves the files that the user who runs the plane may use, with relative names starting at `home`.
///
/// # Errors
/// When no thread can be had.
pub(super) fn serve(line: Line, home: PathBuf) -> io::Result<()> {
    let runtime = Handle::current();
    // Disks block: a thread of its own keeps that from everybody else.
    std::thread::Builder::new().name("runcode-sftp".to_owned()).spawn(move || {
        let served = converse(&line, &runtime, Files::new(home));
        runtime.block_on(async {
            let status = if served.is_ok() { 0 } else { 1 };
            let _ = line.handle.exit_status_request(line.id(), status).await;
            line.input.discard();
            line.send_end().await;
            line.close().await;
        });
    })?;
    Ok(())
}

/// Answers requests until the client ends.
///
/// # Errors
/// When the client is gone or breaks the protocol.
fn converse(line: &Line, runtime: &Handle, mut files: Files) -> io::Result<()> {
    let mut pending: Vec<u8> = Vec::new();
    let mut answers: Vec<u8> = Vec::new();
    while let Some(piece) = runtime.block_on(line.input.next()) {
        pending.extend_from_slice(&piece);
        let mut rest = pending.as_slice();
        while let Some((packet, after)) = packet::split(rest, PACKET_LIMIT)? {
            requests::answer(&mut files, &mut Reader::new(packet), &mut answers)?;
            rest = after;
            if answers.len() >= BATCH {
                runtime.block_on(line.send(false, std::mem::take(&mut answers)))?;
            }
        }
        let done = pending.len() - rest.len();
        pending.drain(..done);
        if !answers.is_empty() {
            runtime.block_on(line.send(false, std::mem::take(&mut answers)))?;
        }
    }
    if pending.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
