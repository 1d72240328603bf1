//! Replacing a text in a file of the workspace: read, changed here, written back only over what was read.

use std::io::Cursor;

use memchr::memmem;

use crate::error::{Code, Error, Result};
use crate::files::failure::ScriptFailure;
use crate::files::get::{self, Content};
use crate::files::hashing::sha256;
use crate::files::{Exchanges, Part, RemotePath, Summary, Writing, put_file};
use crate::output::foreign;

/// The largest file that is edited.
const EDIT_MAX: usize = 4 << 20;

/// How many lines around a change are shown.
const AROUND: usize = 3;

/// What is to be replaced by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    old: Vec<u8>,
    new: Vec<u8>,
}

/// What an edit did.
#[derive(Debug)]
pub struct Edited {
    /// The transfer back.
    pub summary: Summary,
    /// How many times the text was replaced.
    pub replaced: usize,
    /// The lines that changed and those around them, each with its number.
    pub lines: Vec<(usize, String)>,
}

impl Change {
    /// The text `old` becomes `new`.
    pub fn new(old: Vec<u8>, new: Vec<u8>) -> Result<Change> {
        let usage = |why: &str| Err(Error::new(Code::Usage, why));
        if old.is_empty() {
            usage("the old text is empty")
        } else if old == new {
            usage("the old and the new text are the same")
        } else {
            Ok(Change { old, new })
        }
    }

    /// Reads both from one text: a line `<<<<<<<`, the old, a line `=======`, the new, a line `>>>>>>>`. The line end before a
    /// marker belongs to the marker.
    pub fn parse(text: &[u8]) -> Result<Change> {
        let bad = |why: &str| {
            Error::new(Code::Usage, format!("the change on stdin {why}")).hint(
                "write it as five parts: a line <<<<<<<, the old text, a line =======, the new text, a line >>>>>>>; \
                 or give two files: --old FILE --new FILE",
            )
        };
        let mut parts = [Vec::new(), Vec::new()];
        let mut markers = [&b"<<<<<<<"[..], b"=======", b">>>>>>>"].into_iter().enumerate().peekable();
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let plain = line.strip_suffix(b"\n").unwrap_or(line);
            let plain = plain.strip_suffix(b"\r").unwrap_or(plain);
            let word = plain.split(|&byte| byte == b' ').next().unwrap_or_default();
            if [&b"<<<<<<<"[..], b"=======", b">>>>>>>"].contains(&word) {
                if markers.next().is_none_or(|(_, marker)| marker != word) {
                    return Err(bad("has a marker too many, or in another order"));
                }
                continue;
            }
            match markers.peek() {
                Some((1, _)) => parts[0].extend_from_slice(line),
                Some((2, _)) => parts[1].extend_from_slice(line),
                _ if plain.trim_ascii().is_empty() => {}
                _ => return Err(bad("has text outside its markers")),
            }
        }
        if markers.next().is_some() {
            return Err(bad("is not complete"));
        }
        let [old, new] = parts.map(|part| {
            let part = part.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(part);
            part.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(part)
        });
        Change::new(old, new)
    }

    /// What `content` becomes, and where in the result each new text begins. The old text must be there once, or `all` of them
    /// are replaced.
    fn apply(&self, content: &[u8], all: bool) -> Result<(Vec<u8>, Vec<usize>)> {
        let found = memmem::find_iter(content, &self.old).collect::<Vec<_>>();
        match (&found[..], all) {
            ([], _) => {
                let mut error = Error::new(Code::Usage, "the old text is not in the file");
                if content.windows(2).any(|two| two == b"\r\n") && !self.old.contains(&b'\r') {
                    error = error
                        .hint("its lines end in CR LF; give the old text the same, or one line at a time");
                } else {
                    error = error.hint(
                        "it has to be there byte for byte, with its spaces and tabs; read the file again",
                    );
                }
                return Err(error);
            }
            ([_], _) | (_, true) => {}
            (several, false) => {
                let lines = several.iter().take(10).map(|&at| line_of(content, at).to_string());
                let lines =
                    lines.collect::<Vec<_>>().join(", ") + if several.len() > 10 { "…" } else { "" };
                let what = format!("the old text is in the file {} times, in lines {lines}", several.len());
                return Err(Error::new(Code::Usage, what)
                    .hint("give more of the surrounding text, or replace each occurrence with --all")
                    .for_tools("give more of the surrounding text, or replace each occurrence with `all`"));
            }
        }
        let length = (content.len() - found.len() * self.old.len())
            .saturating_add(found.len().saturating_mul(self.new.len()));
        if length > EDIT_MAX.max(content.len()) {
            return Err(Error::new(Code::Usage, "the result would be larger than 4 MiB")
                .hint("nothing was written; edit it there: runcode exec -- sed -i …")
                .for_tools("nothing was written; edit it there with `exec`"));
        }
        let (mut result, mut starts, mut from) = (Vec::with_capacity(length), Vec::new(), 0);
        for at in found {
            result.extend_from_slice(content.get(from..at).unwrap_or_default());
            starts.push(result.len());
            result.extend_from_slice(&self.new);
            from = at + self.old.len();
        }
        result.extend_from_slice(content.get(from..).unwrap_or_default());
        Ok((result, starts))
    }
}

/// Edits the file `remote`. Where it no longer has the SHA-256 `expects`, or changes before it is written, it stays.
pub fn edit(
    exchanges: &Exchanges<'_>,
    remote: &RemotePath,
    change: &Change,
    all: bool,
    expects: Option<&str>,
) -> Result<Edited> {
    let shown = remote.shown();
    let on =
        |code, what: &str| Error::new(code, format!("{} on the workspace {what}", foreign::file(&shown)));
    let part = Part::Bytes { offset: 0, limit: Some(EDIT_MAX as u64 + 1) };
    let content = match get::content(exchanges, remote, part)? {
        Content::File(content) => content,
        Content::Folder => return Err(ScriptFailure::folder(&shown).into()),
    };
    if content.len() > EDIT_MAX {
        return Err(on(Code::Usage, "is larger than 4 MiB")
            .hint("edit it there: runcode exec -- sed -i …")
            .for_tools("edit it there with `exec`"));
    }
    let before = sha256(&content);
    if expects.is_some_and(|expected| !expected.eq_ignore_ascii_case(&before)) {
        let what = format!("has changed: its SHA-256 is {before}");
        return Err(on(Code::Conflict, &what).hint("nothing was written; read it again"));
    }
    let (result, starts) = change.apply(&content, all)?;
    let lines = changed_lines(&result, &starts, change.new.len());
    let summary = put_file::write(
        exchanges,
        Cursor::new(result),
        remote,
        Writing { mode: None, expects: Some(before) },
    )?;
    Ok(Edited { summary, replaced: starts.len(), lines })
}

fn line_of(content: &[u8], at: usize) -> usize {
    1 + content.get(..at).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count()
}

/// The lines that the texts of `length` bytes at `starts` are in, and those around them.
fn changed_lines(content: &[u8], starts: &[usize], length: usize) -> Vec<(usize, String)> {
    const SHOWN: usize = 60;
    let ranges = starts.iter().map(|&at| {
        let (first, last) = (line_of(content, at), line_of(content, (at + length.saturating_sub(1)).max(at)));
        first.saturating_sub(AROUND)..=last + AROUND
    });
    let ranges = ranges.take(SHOWN).collect::<Vec<_>>();
    let lines =
        content.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line));
    let lines = lines.enumerate().map(|(number, line)| (number + 1, line));
    lines
        .filter(|(number, _)| ranges.iter().any(|range| range.contains(number)))
        .take(SHOWN)
        .map(|(number, line)| (number, cut(line)))
        .collect()
}

/// A line as it is shown: its start, where it is long.
fn cut(line: &[u8]) -> String {
    const LONG: usize = 500;
    if line.len() <= LONG {
        return String::from_utf8_lossy(line).into_owned();
    }
    // Not within a character, which has four bytes at most.
    let goes_on = |at: &usize| line.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (LONG - 3..=LONG).rev().find(|at| !goes_on(at)).unwrap_or(LONG);
    format!("{}…", String::from_utf8_lossy(line.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn apply(content: &[u8], old: &str, new: &str, all: bool) -> Result<Vec<u8>> {
        Change::new(old.into(), new.into())?.apply(content, all).map(|(result, _)| result)
    }

    #[test]
    fn bytes_outside_the_text_stay() {
        let odd = b"\xef\xbb\xbfa\r\nold \xff\r\nend";
        assert_eq!(apply(odd, "old", "new", false).unwrap(), b"\xef\xbb\xbfa\r\nnew \xff\r\nend");
        assert_eq!(apply(b"aXbXc", "X", "", true).unwrap(), b"abc");
        assert_eq!(apply(b"aaa", "aa", "b", true).unwrap(), b"ba");
        assert_eq!(apply(b"aab", "ab", "c", false).unwrap(), b"ac");
    }

    #[test]
    fn the_old_text_must_be_there_once() {
        let twice = apply(b"x\nab\nab", "ab", "c", false).unwrap_err();
        assert!(twice.message().contains("2 times, in lines 2, 3"), "{}", twice.message());
        assert_eq!(apply(b"x", "ab", "c", true).unwrap_err().code(), Code::Usage);
        assert!(Change::new(Vec::new(), b"x".to_vec()).is_err());
        assert!(Change::new(b"x".to_vec(), b"x".to_vec()).is_err());
    }

    #[test]
    fn a_change_is_read_between_markers() {
        let read = |text: &str| Change::parse(text.as_bytes()).map(|change| (change.old, change.new));
        let change = |old: &str, new: &str| (old.as_bytes().to_vec(), new.as_bytes().to_vec());
        assert_eq!(read("<<<<<<<\na\n=======\nb\n>>>>>>>\n").unwrap(), change("a", "b"));
        assert_eq!(read("<<<<<<< old\na\n\n=======\n>>>>>>> new").unwrap(), change("a\n", ""));
        assert_eq!(read("<<<<<<<\r\na\r\nb\r\n=======\r\nc\r\n>>>>>>>\r\n").unwrap(), change("a\r\nb", "c"));
        for bad in [
            "",
            "a\nb",
            "<<<<<<<\na\n=======\nb\n",
            "=======\n<<<<<<<\n>>>>>>>\n",
            "<<<<<<<\na\n=======\nb\n=======\n>>>>>>>\n",
            "<<<<<<<\n=======\nb\n>>>>>>>\n",
            "<<<<<<<\na\n=======\nb\n>>>>>>>\nmore",
        ] {
            assert_eq!(read(bad).unwrap_err().code(), Code::Usage, "{bad:?}");
        }
    }

    #[test]
    fn no_edit_grows_without_end() {
        let content = "a;".repeat(EDIT_MAX / 2);
        let grown = apply(content.as_bytes(), ";", &"b".repeat(1000), true).unwrap_err();
        assert!(grown.message().contains("4 MiB"), "{}", grown.message());
        assert!(apply(&vec![b'x'; EDIT_MAX - 1], "y", "z", true).is_err(), "nothing is there");
        assert_eq!(apply(content.as_bytes(), ";", "", true).unwrap().len(), EDIT_MAX / 2);
        let shown = changed_lines(&vec![b'x'; EDIT_MAX], &[3], 1);
        assert_eq!(shown.iter().map(|(_, line)| line.chars().count()).collect::<Vec<_>>(), [501]);
    }

    #[test]
    fn no_character_is_cut() {
        for before in 0..4 {
            let line = "x".repeat(before) + &"\u{1f980}".repeat(200);
            let shown = cut(line.as_bytes());
            let kept = shown.strip_suffix('…').unwrap();
            assert!(line.starts_with(kept) && (497..=500).contains(&kept.len()), "{before}: {shown}");
        }
        assert_eq!(cut(&[0x80; 501]).chars().count(), 501, "what is no text has no characters");
    }

    #[test]
    fn the_lines_around_a_change_are_shown() {
        let content = (1..=20).map(|line| format!("{line}\n")).collect::<String>();
        let at = content.find("10").unwrap();
        let lines = changed_lines(content.as_bytes(), &[at], 2);
        assert_eq!(lines.first(), Some(&(7, "7".to_owned())));
        assert_eq!(lines.last(), Some(&(13, "13".to_owned())));
        assert_eq!(
            changed_lines(b"a\n", &[0], 1),
            [(1, "a".to_owned())],
            "the end of the last line begins no line"
        );
    }
}
