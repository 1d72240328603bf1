//! Messages on a stream: one a line, none longer than a cap.

use std::io::{self, BufRead, BufReader, Read};

/// The longest message that is read, in bytes.
pub(super) const MAX: usize = 4 << 20;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line that is not blank, without its end.
    Text(Vec<u8>),
    /// A line longer than the cap; all of it was skipped.
    TooLong,
    /// The end of the stream.
    End,
}

/// The lines of a stream.
pub(crate) struct Lines<R> {
    from: BufReader<R>,
    max: usize,
    skips: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of up to `max` bytes.
    pub(crate) fn new(from: R, max: usize) -> Lines<R> {
        Lines { from: BufReader::with_capacity(64 * 1024, from), max, skips: true }
    }

    /// The same, which tells at once that a line is too long: it may have no end.
    pub(super) fn not_skipping(self) -> Lines<R> {
        Lines { skips: false, ..self }
    }

    /// The next line. A last one without a line end counts as well.
    pub(crate) fn next(&mut self) -> io::Result<Line> {
        loop {
            let line = self.one()?;
            match &line {
                Line::Text(text) if text.trim_ascii().is_empty() => {}
                _ => return Ok(line),
            }
        }
    }

    fn one(&mut self) -> io::Result<Line> {
        let (mut line, mut is_too_long, mut is_any) = (Vec::new(), false, false);
        loop {
            let buffer = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok(if is_any { ended(line, is_too_long) } else { Line::End });
            }
            is_any = true;
            let end = memchr::memchr(b'\n', buffer);
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if is_too_long || line.len() + part.len() > self.max {
                (line, is_too_long) = (Vec::new(), true);
                if !self.skips {
                    return Ok(Line::TooLong);
                }
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            if end.is_some() {
                return Ok(ended(line, is_too_long));
            }
        }
    }
}

fn ended(line: Vec<u8>, is_too_long: bool) -> Line {
    if is_too_long { Line::TooLong } else { Line::Text(line) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], max: usize) -> Vec<Line> {
        let mut lines = Lines::new(bytes, max);
        let mut found = Vec::new();
        loop {
            match lines.next().unwrap() {
                Line::End => return found,
                line => found.push(line),
            }
        }
    }

    #[test]
    fn a_message_is_a_line() {
        let text = |text: &str| Line::Text(text.as_bytes().to_vec());
        assert_eq!(all(b"a\n\n \r\nbc\nlast", 4), [text("a"), text("bc"), text("last")]);
        assert_eq!(all(b"", 4), []);
    }

    #[test]
    fn a_long_line_is_skipped_to_its_end() {
        let long = [vec![b'x'; 300_000], b"\nok\n".to_vec(), vec![b'y'; 5]].concat();
        assert_eq!(all(&long, 4), [Line::TooLong, Line::Text(b"ok".to_vec()), Line::TooLong]);
        assert_eq!(all(b"1234\n12345\n", 4), [Line::Text(b"1234".to_vec()), Line::TooLong]);
    }

    #[test]
    fn a_line_without_an_end_is_told_at_once() {
        let mut lines = Lines::new(io::repeat(b'x'), 1 << 20).not_skipping();
        assert_eq!(lines.next().unwrap(), Line::TooLong);
    }

    proptest! {
        #[test]
        fn lines_are_what_split_says(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200)) {
            let mut expected = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
            expected.retain(|line| !line.trim_ascii().is_empty());
            let found = all(&bytes, usize::MAX);
            prop_assert_eq!(found, expected.into_iter().map(Line::Text).collect::<Vec<_>>());
        }
    }
}
