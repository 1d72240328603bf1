//! What a command reads, where an approval names it: read before anything runs.

use std::io::{IsTerminal as _, PipeWriter, Read, Write as _};

use runcode_policy::approval::Stdin;

use crate::error::{Error, Result};
use crate::session::policy::Feed;
use crate::transport::Stream;

/// The longest input that is kept to be compared, in bytes. Longer ones can only be approved whatever they are.
const MAX: u64 = 16 * 1024 * 1024;

/// What is known of a command's input before it runs.
#[derive(Debug, Clone, Default)]
pub enum Input {
    /// There is none, or nobody has to know.
    #[default]
    Unread,
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than what is kept, or typed as the command runs: this has been read of it.
    Begun(Vec<u8>),
}

impl Input {
    /// Reads what the caller gives.
    pub(super) fn read(feed: &Feed) -> Result<Input> {
        match feed {
            Feed::Nothing => Ok(Input::Unread),
            Feed::Text(text) if text.len() as u64 <= MAX => Ok(Input::Whole(text.clone().into_bytes())),
            Feed::Text(_) => Ok(Input::Begun(Vec::new())),
            Feed::Own if std::io::stdin().is_terminal() => Ok(Input::Begun(Vec::new())),
            Feed::Own => bounded(std::io::stdin().lock(), MAX),
        }
    }

    /// As an approval names it.
    pub(super) fn named(&self, reads: bool) -> Stdin {
        match self {
            _ if !reads => Stdin::None,
            Input::Whole(bytes) => Stdin::of(bytes),
            Input::Unread | Input::Begun(_) => Stdin::Any,
        }
    }

    /// The stdin of a command that gets this, and then, of an input that is not whole, the rest of our own. None where nothing
    /// was read of it.
    pub(super) fn stream(&self) -> Result<Option<Stream>> {
        let (bytes, is_whole) = match self {
            Input::Whole(bytes) => (bytes.clone(), true),
            Input::Begun(bytes) if !bytes.is_empty() => (bytes.clone(), false),
            Input::Unread | Input::Begun(_) => return Ok(None),
        };
        let (reader, writer) = std::io::pipe()?;
        std::thread::Builder::new()
            .spawn(move || pour(writer, &bytes, is_whole))
            .map_err(|error| Error::io("start a thread", error))?;
        Ok(Some(reader.into()))
    }
}

fn bounded(from: impl Read, most: u64) -> Result<Input> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(|error| Error::io("read stdin", error))?;
    Ok(if bytes.len() as u64 <= most { Input::Whole(bytes) } else { Input::Begun(bytes) })
}

/// A command may end without reading it all.
fn pour(mut to: PipeWriter, bytes: &[u8], is_whole: bool) {
    if to.write_all(bytes).is_ok() && !is_whole {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut to);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn only_what_was_read_whole_has_a_digest() {
        let read = |bytes: &[u8]| bounded(bytes, 3).unwrap();
        assert_eq!(read(b"abc").named(true), Stdin::of(b"abc"));
        assert_eq!(read(b"").named(true), Stdin::None);
        assert_eq!(read(b"abcd").named(true), Stdin::Any);
        assert_eq!(read(b"abc").named(false), Stdin::None);
        assert_eq!(Input::Unread.named(true), Stdin::Any);
    }
}
