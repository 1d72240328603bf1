//! What is kept beside the log: its head, how long it is, and the key of the next record.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::chain::{ZEROS, digest, is_digest};
use crate::seal::SealKey;

/// The size of the file. It is written over in place, within what a disk writes at once: so the old key is gone, and no space is
/// needed.
const SIZE: usize = 512;

/// What the log ends with.
#[derive(Clone)]
pub(crate) struct State {
    /// The number of the last record; 0 is none.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) head: String,
    /// The number of the first record of the log that is not rotated away.
    pub(crate) first: u64,
    /// The size of that log.
    pub(crate) size: u64,
    /// What seals the next record.
    pub(crate) key: Option<SealKey>,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    v: u32,
    seq: u64,
    head: &'a str,
    first: u64,
    size: u64,
    key: Option<&'a str>,
}

impl State {
    /// That of a log without records.
    pub(crate) fn empty() -> State {
        State { seq: 0, head: ZEROS.to_owned(), first: 1, size: 0, key: None }
    }

    /// What the file says; `None` if it is damaged.
    pub(crate) fn read(mut file: &File) -> io::Result<Option<State>> {
        let mut text = Zeroizing::new(String::with_capacity(SIZE + 1));
        file.seek(SeekFrom::Start(0))?;
        match file.take(SIZE as u64 + 1).read_to_string(&mut text) {
            Ok(_) => Ok(State::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<State> {
        let (said, check) = text.trim_end().rsplit_once(' ')?;
        if digest(said.as_bytes()) != check {
            return None;
        }
        let said = serde_json::from_str::<Written<'_>>(said).ok()?;
        let key = match said.key {
            Some(key) => Some(SealKey::from_hex(key)?),
            None => None,
        };
        let head = is_digest(said.head).then(|| said.head.to_owned())?;
        Some(State { seq: said.seq, head, first: said.first, size: said.size, key })
    }

    /// Writes it over what the file said.
    pub(crate) fn write(&self, mut file: &File) -> io::Result<()> {
        let key = self.key.as_ref().map(SealKey::to_hex);
        let said = Written {
            v: 1,
            seq: self.seq,
            head: &self.head,
            first: self.first,
            size: self.size,
            key: key.as_ref().map(|key| key.as_str()),
        };
        let said = Zeroizing::new(serde_json::to_string(&said)?);
        let text = Zeroizing::new(format!("{} {}", *said, digest(said.as_bytes())));
        let whole = Zeroizing::new(format!("{:<width$}\n", *text, width = SIZE - 1));
        file.seek(SeekFrom::Start(0))?;
        file.write_all(whole.as_bytes())
    }

    /// Takes a record in.
    pub(crate) fn advance(&mut self, seq: u64, hash: String, length: u64) {
        if self.size == 0 {
            self.first = seq;
        }
        (self.seq, self.head, self.size) = (seq, hash, self.size + length);
        self.key = self.key.as_ref().map(SealKey::next);
    }
}
