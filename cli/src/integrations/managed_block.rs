//! A block of lines that is ours at the top of a text file of the user's, whatever else the file holds.
//!
//! The block goes first, so nothing has to be said about the end of the rest: taking it out gives the old bytes back
//! for any content, be it without a final newline, with CRLF, or no text at all.

use std::ops::Range;

use crate::error::{Code, Error, Result};

/// The second line of a block whose file was not there before: without the block it goes again.
const MADE: &str = "# (runcode made this file)";

/// The first and the last line of a block. White space around them does not matter: an editor may have changed it.
#[derive(Debug, Clone, Copy)]
pub struct Markers {
    /// The first line.
    pub begin: &'static str,
    /// The last line.
    pub end: &'static str,
}

impl Markers {
    /// `content` with the block first and `body` in it; an older block goes. `None` is a file that is not there.
    ///
    /// Fails when the markers in `content` do not pair up: then it is not known what is ours.
    pub fn insert(&self, content: Option<&[u8]>, body: &[u8]) -> Result<Vec<u8>> {
        let is_made = match content {
            None => true,
            Some(content) => self.find(content)?.is_some_and(|span| is_made(&content[span])),
        };
        let rest = self.without(content.unwrap_or_default())?;
        let made = if is_made { format!("{MADE}\n") } else { String::new() };
        let (begin, end) = (format!("{}\n{made}", self.begin), format!("{}\n", self.end));
        Ok([begin.as_bytes(), body, end.as_bytes(), &rest].concat())
    }

    /// `content` without the block; `None` when the file itself was ours and nothing else is in it.
    pub fn remove(&self, content: &[u8]) -> Result<Option<Vec<u8>>> {
        let is_made = self.find(content)?.is_some_and(|span| is_made(&content[span]));
        let rest = self.without(content)?;
        Ok(if is_made && rest.is_empty() { None } else { Some(rest) })
    }

    /// Where the block is: whole lines, the last newline included.
    pub fn find(&self, content: &[u8]) -> Result<Option<Range<usize>>> {
        let (mut begins, mut ends) = (Vec::new(), Vec::new());
        let mut at = 0;
        for line in content.split_inclusive(|&byte| byte == b'\n') {
            let text = line.trim_ascii();
            if text == self.begin.as_bytes() {
                begins.push(at);
            } else if text == self.end.as_bytes() {
                ends.push(at + line.len());
            }
            at += line.len();
        }
        match (begins.as_slice(), ends.as_slice()) {
            ([], []) => Ok(None),
            (&[begin], &[end]) if begin < end => Ok(Some(begin..end)),
            _ => Err(Error::new(
                Code::Error,
                format!(
                    "the markers of the runcode block do not pair up ({} begin, {} end)",
                    begins.len(),
                    ends.len()
                ),
            )
            .hint(format!(
                "leave one `{}` before one `{}`, or neither, then try again",
                self.begin, self.end
            ))),
        }
    }

    fn without(&self, content: &[u8]) -> Result<Vec<u8>> {
        let Some(span) = self.find(content)? else { return Ok(content.to_vec()) };
        let mut rest = content[..span.start].to_vec();
        rest.extend_from_slice(&content[span.end..]);
        Ok(rest)
    }
}

fn is_made(block: &[u8]) -> bool {
    block.split(|&byte| byte == b'\n').nth(1).is_some_and(|line| line.trim_ascii() == MADE.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    const MARKERS: Markers = Markers { begin: "# >>> x >>>", end: "# <<< x <<<" };
    const BLOCK: &str = "# >>> x >>>\nours\n# <<< x <<<\n";

    #[test]
    fn only_a_file_we_created_is_removed_again() {
        let made = MARKERS.insert(None, b"ours\n").unwrap();
        let renewed = MARKERS.insert(Some(&made), b"newer\n").unwrap();
        assert_eq!(MARKERS.remove(&renewed).unwrap(), None);
        let empty = MARKERS.insert(Some(b""), b"ours\n").unwrap();
        assert_eq!(empty, BLOCK.as_bytes());
        assert_eq!(MARKERS.remove(&empty).unwrap(), Some(Vec::new()));
        let grown = [&made[..], b"Host x\n"].concat();
        assert_eq!(MARKERS.remove(&grown).unwrap(), Some(b"Host x\n".to_vec()));
    }

    #[test]
    fn an_old_block_moves_up_and_nothing_else_moves() {
        let old = "a\r\n  # >>> x >>>\r\nold\r\n# <<< x <<< \r\nb";
        assert_eq!(
            MARKERS.insert(Some(old.as_bytes()), b"ours\n").unwrap(),
            format!("{BLOCK}a\r\nb").as_bytes()
        );
        assert_eq!(MARKERS.remove(old.as_bytes()).unwrap(), Some(b"a\r\nb".to_vec()));
    }

    #[test]
    fn markers_that_do_not_pair_up_are_an_error() {
        let (begin, end) = (MARKERS.begin, MARKERS.end);
        for bad in [
            begin.to_owned(),
            end.to_owned(),
            format!("{end}\n{begin}\n"),
            format!("{BLOCK}{BLOCK}"),
            format!("{begin}\n{BLOCK}"),
            format!("{BLOCK}{end}"),
        ] {
            assert!(MARKERS.insert(Some(bad.as_bytes()), b"").is_err(), "{bad}");
            assert!(MARKERS.remove(bad.as_bytes()).is_err(), "{bad}");
        }
        let mentioned = format!("Host a # {begin}\n");
        assert_eq!(MARKERS.find(mentioned.as_bytes()).unwrap(), None);
    }

    /// Bytes that look like the files in question, line ends and all.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"Host *\n".to_vec()),
            Just(b"\tUser x\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just("# >>> x".as_bytes().to_vec()),
            Just("\u{feff}# (runcode made this file)\n".as_bytes().to_vec()),
            Just(b"# (runcode made this file)\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..8),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn removing_gives_the_old_bytes_back(content in content(), body in "([a-z ]{0,9}\n){0,3}") {
            let once = MARKERS.insert(Some(&content), b"first\n").unwrap();
            let twice = MARKERS.insert(Some(&once), body.as_bytes()).unwrap();
            prop_assert_eq!(&MARKERS.insert(Some(&twice), body.as_bytes()).unwrap(), &twice);
            prop_assert_eq!(MARKERS.remove(&twice).unwrap(), Some(content));
        }
    }
}
