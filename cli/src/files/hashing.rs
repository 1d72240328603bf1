//! Bytes on their way: moved in pieces, hashed as they pass, counted for whoever watches.

use std::io::{self, BufRead, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::files::progress::Progress;
use crate::sys::digest;

/// A SHA-256 in the making.
#[derive(Clone, Default)]
pub(super) struct Hash(Sha256);

impl Hash {
    /// Takes in the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest in lower-case hexadecimal digits.
    pub(super) fn hex(self) -> String {
        digest::hex(&self.0.finalize())
    }
}

/// The SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> String {
    digest::sha256(bytes)
}

/// Why a stream stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// It could not be read.
    Read(io::Error),
    /// It could not be written.
    Write(io::Error),
}

/// Moves what `from` has, to its end, into `to`: how many bytes there were, and their SHA-256.
pub(super) fn pump(
    from: &mut impl BufRead,
    to: &mut impl Write,
    progress: &mut Progress,
) -> Result<(u64, String), Stop> {
    let (mut hash, mut bytes) = (Hash::default(), 0);
    loop {
        let piece = match from.fill_buf() {
            Ok([]) => {
                to.flush().map_err(Stop::Write)?;
                return Ok((bytes, hash.hex()));
            }
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stop::Read(error)),
        };
        to.write_all(piece).map_err(Stop::Write)?;
        hash.update(piece);
        let read = piece.len();
        from.consume(read);
        bytes += read as u64;
        progress.add(read as u64);
    }
}

/// A reader that hashes what passes.
pub(super) struct Hashed<R> {
    from: R,
    hash: Hash,
    progress: Progress,
}

impl<R: Read> Hashed<R> {
    /// Nothing has passed yet.
    pub(super) fn new(from: R, progress: Progress) -> Hashed<R> {
        Hashed { from, hash: Hash::default(), progress }
    }

    /// The SHA-256 of what has passed.
    pub(super) fn hex(self) -> String {
        self.hash.hex()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.hash.update(to.get(..read).unwrap_or_default());
        self.progress.add(read as u64);
        Ok(read)
    }
}
