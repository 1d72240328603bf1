//! The relay on Windows: a thread per direction. A parent that goes takes its pipe ends along, which ends stdin.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// The size of a read, in bytes.
const CHUNK: usize = 256 * 1024;

/// How long the gateway may still send after stdin has ended: nobody tells us here that stdout has no reader.
const GRACE: Duration = Duration::from_secs(60);

pub(super) fn relay(gateway: TcpStream) -> io::Result<()> {
    let (ended, endings) = mpsc::channel();
    let (mut from, mut to) = (gateway.try_clone()?, gateway);
    let input_ended = ended.clone();
    std::thread::spawn(move || {
        let _ = copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
        let _ = input_ended.send(None);
    });
    std::thread::spawn(move || {
        let result = copy(&mut from, &mut io::stdout().lock());
        let _ = ended.send(Some(result));
    });
    // Stdout cannot be closed alone here, so the gateway's end is the end.
    match endings.recv().map_err(io::Error::other)? {
        Some(result) => result,
        None => endings.recv_timeout(GRACE).ok().flatten().unwrap_or(Ok(())),
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match to.write_all(&buffer[..count]).and_then(|()| to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}
