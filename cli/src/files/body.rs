//! What the workspace sends when a file or folder is fetched: content, and behind it one line of ours that says how it went.

use std::io::{self, BufRead, Read};

use crate::error::{Code, Error};
use crate::files::exchange::{CHUNK, ExchangeError};
use crate::output::foreign;

/// The length of that line: mark, `ok` or `er`, SHA-256.
const TRAILER: usize = 32 + 1 + 2 + 1 + 64 + 1;

/// How much more than it was said to have a file may have by the time it is read: what a log grows by meanwhile.
pub(super) const SURPLUS: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };

/// The content of a transfer. The last bytes are held back: they are the trailer.
pub(super) struct Body<R> {
    from: R,
    left: u64,
    lines_left: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Body<R> {
    /// The content that comes on `from`; what is over `limit` is left out.
    pub(super) fn new(from: R, limit: u64) -> Body<R> {
        Body::of_lines(from, limit, u64::MAX)
    }

    /// As [`Body::new`]; what comes after so many lines is left out, too.
    pub(super) fn of_lines(from: R, limit: u64, lines: u64) -> Body<R> {
        let buffer = vec![0; CHUNK + TRAILER];
        Body { from, left: limit, lines_left: lines, buffer, start: 0, end: 0 }
    }

    /// How much content is there; none is the end.
    fn available(&mut self) -> io::Result<usize> {
        if self.end - self.start <= TRAILER {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start <= TRAILER {
            match self.from.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(0),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.start - TRAILER)
    }

    /// Reads to the end and checks the trailer against `ours`, the SHA-256 of the content. `is_checked` is false where the
    /// workspace cannot read what it sends a second time.
    pub(super) fn finish(
        mut self,
        mark: &str,
        ours: &str,
        path: &str,
        is_checked: bool,
    ) -> Result<(), ExchangeError> {
        let mut surplus = 0;
        while let more @ 1.. = self.available().map_err(|_| ExchangeError::Cut)? {
            self.start += more;
            surplus += more as u64;
            if surplus > SURPLUS {
                let what = format!("{} on the workspace does not end", foreign::file(path));
                return Err(Error::new(Code::Io, what).into());
            }
        }
        let trailer = self.buffer.get(self.start..self.end).unwrap_or_default();
        let trailer = std::str::from_utf8(trailer).map_err(|_| ExchangeError::Cut)?;
        let rest =
            trailer.strip_prefix(mark).and_then(|rest| rest.strip_prefix(' ')).ok_or(ExchangeError::Cut)?;
        let (state, theirs) = rest.trim_end().split_once(' ').ok_or(ExchangeError::Cut)?;
        let failed =
            |what: &str| Error::new(Code::Io, format!("{} on the workspace {what}", foreign::file(path)));
        if state != "ok" {
            return Err(failed("could not be read completely").into());
        }
        if is_checked && theirs.starts_with('-') {
            let error = Error::new(Code::Unavailable, "the workspace cannot verify what it sends");
            return Err(error.hint("it needs one of sha256sum, shasum and openssl").into());
        }
        if is_checked && theirs != ours {
            let error = failed("changed while it was read, or was damaged on its way: try again");
            return Err(ExchangeError::Differs(error));
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Body<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 || self.lines_left == 0 {
            return Ok(&[]);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = self.available()?.min(wanted);
        let content = self.buffer.get(self.start..self.start + count).unwrap_or_default();
        // Looking for the last line that counts is paid by parts alone.
        let last = usize::try_from(self.lines_left - 1).ok().filter(|_| self.lines_left < u64::MAX);
        match last.and_then(|last| memchr::memchr_iter(b'\n', content).nth(last)) {
            Some(end) => Ok(content.get(..=end).unwrap_or_default()),
            None => Ok(content),
        }
    }

    fn consume(&mut self, count: usize) {
        if self.lines_left < u64::MAX {
            let taken = self.buffer.get(self.start..self.start + count).unwrap_or_default();
            let lines = memchr::memchr_iter(b'\n', taken).count() as u64;
            self.lines_left = self.lines_left.saturating_sub(lines);
        }
        self.start += count;
        self.left -= count as u64;
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    const MARK: &str = "0123456789abcdef0123456789abcdef";

    /// Gives a few bytes at a time, as a pipe does.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(to.len()).min(self.0.len());
            to[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn whole(content: &[u8], hash: &str) -> Vec<u8> {
        [content, format!("{MARK} ok {hash:-<64}\n").as_bytes()].concat()
    }

    proptest! {
        #[test]
        fn content_and_trailer_are_told_apart(content: Vec<u8>, drip in 1..300_usize, limit in 0..200_u64) {
            let sent = whole(&content, &"a".repeat(64));
            let mut body = Body::new(Dripping(&sent, drip), limit);
            let mut read = Vec::new();
            body.read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read[..], &content[..content.len().min(limit as usize)]);
            prop_assert!(body.finish(MARK, &"a".repeat(64), "x", true).is_ok());
        }
    }

    #[test]
    fn no_more_lines_come_than_were_asked_for() {
        for (lines, expected) in [(0, ""), (1, "a\n"), (2, "a\n\n"), (3, "a\n\nb"), (9, "a\n\nb")] {
            for drip in [1, 2, 500] {
                let sent = whole(b"a\n\nb", &"a".repeat(64));
                let mut body = Body::of_lines(Dripping(&sent, drip), u64::MAX, lines);
                let mut read = String::new();
                body.read_to_string(&mut read).unwrap();
                assert_eq!(read, expected, "{lines} {drip}");
                assert!(body.finish(MARK, &"a".repeat(64), "x", true).is_ok());
            }
        }
    }

    #[test]
    fn content_without_end_is_refused() {
        let mut body = Body::new(io::repeat(b'x'), 10);
        assert_eq!(io::copy(&mut body, &mut io::sink()).unwrap(), 10);
        assert!(matches!(body.finish(MARK, "", "x", false), Err(ExchangeError::Told(_))));
    }

    #[test]
    fn a_cut_or_another_digest_is_a_failure() {
        let sent = whole(b"content", &"a".repeat(64));
        for end in 0..sent.len() {
            let mut body = Body::new(&sent[..end], u64::MAX);
            io::copy(&mut body, &mut io::sink()).unwrap();
            assert!(
                matches!(body.finish(MARK, &"a".repeat(64), "x", true), Err(ExchangeError::Cut)),
                "{end}"
            );
        }
        assert!(Body::new(&sent[..], 99).finish(MARK, &"b".repeat(64), "x", true).is_err());
        assert!(Body::new(&whole(b"", "")[..], 99).finish(MARK, "", "x", true).is_err());
        assert!(Body::new(&whole(b"", "")[..], 99).finish(MARK, "", "x", false).is_ok());
    }
}
