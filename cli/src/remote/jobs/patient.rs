//! Reading from a workspace that may fall silent, or never stop.

use std::io::{self, PipeReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::error::{Error, Result};

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// How many pieces may wait.
const AHEAD: usize = 4;

/// Why no more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    /// Nothing came for too long.
    Silent,
    /// Too much came.
    Flooded,
}

/// The output of a command, within limits. Only the time that is spent waiting for it counts.
#[derive(Debug)]
pub(super) struct Patient {
    pieces: Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
    patience: Duration,
    left: u64,
    /// Why no more is read, once that is so.
    pub(super) spent: Option<Spent>,
}

impl Patient {
    /// Reads `input` until nothing has come for `patience`, and no more than `most` bytes. A thread reads ahead, which may
    /// outlive this by as long as the input does.
    pub(super) fn new(input: PipeReader, patience: Duration, most: u64) -> Result<Patient> {
        let (sender, pieces) = sync_channel(AHEAD);
        let read = move || pump(input, &sender);
        std::thread::Builder::new().spawn(read).map_err(|error| Error::io("start a thread", error))?;
        Ok(Patient { pieces, piece: io::Cursor::default(), patience, left: most, spent: None })
    }
}

fn pump(mut input: impl Read, pieces: &SyncSender<Vec<u8>>) {
    loop {
        let mut piece = vec![0; PIECE];
        match input.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => piece.truncate(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        if pieces.send(piece).is_err() {
            return;
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.spent.is_some() {
            return Ok(0);
        }
        if self.piece.position() == self.piece.get_ref().len() as u64 {
            match self.pieces.recv_timeout(self.patience) {
                Ok(piece) => self.piece = io::Cursor::new(piece),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {
                    self.spent = Some(Spent::Silent);
                    return Ok(0);
                }
            }
        }
        let read = self.piece.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.spent = Some(Spent::Flooded);
                return Ok(0);
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::io::Write as _;

    use super::*;

    fn read(text: &[u8], is_cut: bool, most: u64) -> (Vec<u8>, Option<Spent>) {
        let (input, mut writer) = io::pipe().unwrap();
        let patience = if is_cut { Duration::from_secs(60) } else { Duration::from_millis(50) };
        let mut patient = Patient::new(input, patience, most).unwrap();
        writer.write_all(text).unwrap();
        let held = (!is_cut).then_some(writer);
        let mut all = Vec::new();
        patient.read_to_end(&mut all).unwrap();
        drop(held);
        (all, patient.spent)
    }

    #[test]
    fn patience_has_an_end() {
        assert_eq!(read(b"abc", true, 3), (b"abc".to_vec(), None));
        assert_eq!(read(b"abc", false, 3), (b"abc".to_vec(), Some(Spent::Silent)));
        assert_eq!(read(b"abc", true, 2), (Vec::new(), Some(Spent::Flooded)));
    }
}
