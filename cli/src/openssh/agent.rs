//! Asking an ssh-agent for a signature (draft-ietf-sshm-ssh-agent).

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// How long a person may take to confirm.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how long it is said that a person may be asked.
const SOON: Duration = Duration::from_secs(2);

/// The largest answer, in bytes.
const MAX: usize = 64 * 1024;

/// Why there is no signature.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody listens there.
    Unreachable(String),
    /// The agent says no, for whatever reason.
    Refused,
    /// No answer came.
    Silent,
    /// The answer is none.
    Malformed,
}

/// The signature over `data` by the key with this blob, as the agent encodes it. `waits` is called when it takes long.
pub fn sign(
    socket: &Path,
    blob: &[u8],
    data: &[u8],
    is_rsa: bool,
    waits: impl Fn(),
) -> Result<Vec<u8>, Trouble> {
    const REQUEST: u8 = 13;
    const RSA_SHA2_512: u32 = 4;
    let mut body = vec![REQUEST];
    for string in [blob, data] {
        let length = u32::try_from(string.len()).map_err(|_| Trouble::Malformed)?;
        body.extend(length.to_be_bytes());
        body.extend(string);
    }
    body.extend(if is_rsa { RSA_SHA2_512 } else { 0 }.to_be_bytes());
    let length = u32::try_from(body.len()).map_err(|_| Trouble::Malformed)?;
    let frame = [&length.to_be_bytes()[..], &body].concat();
    answered(&exchange(socket, &frame, waits)?)
}

/// What an answer says.
fn answered(answer: &[u8]) -> Result<Vec<u8>, Trouble> {
    const SIGNATURE: u8 = 14;
    const FAILURE: u8 = 5;
    match answer.split_first() {
        Some((&SIGNATURE, rest)) => {
            let (length, signature) = rest.split_first_chunk::<4>().ok_or(Trouble::Malformed)?;
            match usize::try_from(u32::from_be_bytes(*length)) {
                Ok(length) if length == signature.len() => Ok(signature.to_vec()),
                _ => Err(Trouble::Malformed),
            }
        }
        Some((&FAILURE, _)) => Err(Trouble::Refused),
        _ => Err(Trouble::Malformed),
    }
}

/// Sends the frame and reads the body of the one that answers.
fn converse(stream: &mut (impl Read + Write), frame: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    stream.write_all(frame)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX {
        return Ok(None);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(body))
}

#[cfg(unix)]
fn connect(socket: &Path) -> std::io::Result<std::os::unix::net::UnixStream> {
    let stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The agent of Windows listens on a named pipe, which opens as a file.
#[cfg(windows)]
fn connect(socket: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::options().read(true).write(true).open(socket)
}

fn exchange(socket: &Path, frame: &[u8], waits: impl Fn()) -> Result<Vec<u8>, Trouble> {
    let (socket, frame) = (socket.to_owned(), frame.to_owned());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let answer = connect(&socket).and_then(|mut stream| converse(&mut stream, &frame));
        let _ = sender.send(answer);
    });
    let answer = receiver.recv_timeout(SOON).or_else(|_| {
        waits();
        receiver.recv_timeout(PATIENCE)
    });
    match answer {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Trouble::Malformed),
        Ok(Err(error))
            if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
        {
            Err(Trouble::Silent)
        }
        Ok(Err(error)) => Err(Trouble::Unreachable(crate::error::reason(&error))),
        Err(_) => Err(Trouble::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = answered(&answer);
        }
    }

    #[test]
    fn only_a_whole_signature_counts() {
        assert_eq!(answered(&[14, 0, 0, 0, 1, 7]).ok(), Some(vec![7]));
        for bad in
            [&[][..], &[14], &[14, 0, 0, 0, 2, 7], &[14, 0, 0, 0, 1, 7, 8], &[14, 255, 255, 255, 255], &[12]]
        {
            assert!(matches!(answered(bad), Err(Trouble::Malformed)), "{bad:?}");
        }
        assert!(matches!(answered(&[5]), Err(Trouble::Refused)));
    }
}
