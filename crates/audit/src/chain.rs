//! A record as a line: its body, the hash of that, and the seal of the hash.

use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};

use crate::record::Record;

/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// What a chain begins with.
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The longest line, in bytes.
pub(crate) const MAX_LINE: usize = 1024 * 1024;

const HASH: &str = ",\"hash\":\"";
const SEAL: &str = "\",\"seal\":";

/// A line of the log that is what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The record.
    pub record: Record,
    /// The hash of the body.
    pub hash: String,
    /// The seal of the hash.
    pub seal: Option<String>,
}

/// Why a line is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no record.
    #[error("is not a record")]
    Malformed,
    /// Its content has another hash.
    #[error("was changed")]
    Hash,
}

impl Line {
    /// Reads a line, without its line feed. The hash is computed anew.
    pub fn parse(bytes: &[u8]) -> Result<Line, Refused> {
        if bytes.len() > MAX_LINE {
            return Err(Refused::Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::Malformed)?;
        let (body, hash, seal) = split(text).ok_or(Refused::Malformed)?;
        if digest(body.as_bytes()) != hash {
            return Err(Refused::Hash);
        }
        let whole = format!("{body}}}");
        let mut reader = serde_json::Deserializer::from_str(&whole);
        let record = Record::deserialize(&mut reader).map_err(|_| Refused::Malformed)?;
        reader.end().map_err(|_| Refused::Malformed)?;
        if record.v != VERSION {
            return Err(Refused::Malformed);
        }
        Ok(Line { record, hash: hash.to_owned(), seal: seal.map(str::to_owned) })
    }

    /// The line of a record, with its line feed; and its hash.
    pub(crate) fn write(
        record: &Record,
        seal: impl FnOnce(&str) -> Option<String>,
    ) -> serde_json::Result<(Vec<u8>, String)> {
        let mut line = serde_json::to_string(record)?;
        line.pop(); // the closing brace
        let hash = digest(line.as_bytes());
        line += HASH;
        line += &hash;
        line += SEAL;
        match seal(&hash) {
            Some(seal) => line += &format!("\"{seal}\""),
            None => line += "null",
        }
        line += "}\n";
        Ok((line.into_bytes(), hash))
    }
}

/// The body, the hash and the seal. The hash is the last member but one: an argument may be called `hash`, too.
fn split(text: &str) -> Option<(&str, &str, Option<&str>)> {
    let text = text.strip_suffix('}')?;
    let (text, seal) = match text.strip_suffix("null") {
        Some(rest) => (rest, None),
        None => {
            let inner = text.strip_suffix('"')?;
            let (rest, seal) = inner.split_at_checked(inner.len().checked_sub(64)?)?;
            (rest.strip_suffix('"')?, Some(seal))
        }
    };
    let text = text.strip_suffix(SEAL)?;
    let (text, hash) = text.split_at_checked(text.len().checked_sub(64)?)?;
    let body = text.strip_suffix(HASH)?;
    let is_fine = is_digest(hash) && seal.is_none_or(is_digest);
    is_fine.then_some((body, hash, seal))
}

/// Whether it is 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The SHA-256 of `bytes` in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The 32 bytes that these hexadecimal digits stand for.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    if !is_digest(text) {
        return None;
    }
    let value = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
    Some(bytes)
}
