//! Looking around on the workspace: what a folder holds, the files below it, the lines that match.

use std::io::Read as _;

use memchr::memmem;

use crate::error::Result;
use crate::files::exchange::{Exchange, ExchangeError, Task};
use crate::files::script::{self, Script};
use crate::files::{Exchanges, RemotePath};

/// The most that is read of what is found, in bytes.
const MAX: u64 = 16 << 20;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// The entries of a folder, by name: [`Found::entries`].
    Entries,
    /// The files below it, each with the second it was last changed in: [`Found::names`].
    Names,
    /// Lines of files.
    Lines(Lines),
}

/// Which lines, and how they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// An extended regular expression.
    pub pattern: String,
    /// The files to look in, as a pattern.
    pub files: Option<String>,
    /// Whether letters match in either case.
    pub ignore_case: bool,
    /// `lines`, `files` or `count`.
    pub mode: &'static str,
    /// How many lines around each are shown.
    pub context: u32,
    /// How many lines are shown at most.
    pub limit: u32,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The program that looked.
    pub tool: String,
    /// Whether it looked at one file, and not at what is below a folder.
    pub is_of_file: bool,
    /// What it printed.
    pub text: Vec<u8>,
    /// What it said on its stderr.
    pub said: Vec<String>,
    /// Its status, where that says something.
    pub status: Option<u8>,
    /// How many names were left out of a search for lines, since a line feed in them could pass for the end of one.
    pub left_out: usize,
    /// Whether there is more than was read.
    pub is_cut: bool,
}

/// Some of the names of a folder or below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NamesFound<T> {
    /// What can be shown.
    pub each: Vec<T>,
    /// How many others have a line feed in their name, and so could pass for several.
    pub left_out: usize,
}

impl Found {
    /// The entries of a folder; folders end in `/`.
    pub fn entries(&self) -> NamesFound<String> {
        let mut rest = &self.text[..];
        let mut found = NamesFound::default();
        while let Some(end) = memchr::memchr(b'/', rest) {
            let (name, after) = rest.split_at(end);
            let is_folder = after.starts_with(b"//");
            rest = after.get(1 + usize::from(is_folder)..).unwrap_or_default();
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            let slash = if is_folder { "/" } else { "" };
            found.add(name, || Some(format!("{}{slash}", String::from_utf8_lossy(name))));
        }
        found
    }

    /// The files below a folder, each with its time.
    pub fn names(&self) -> NamesFound<(i64, String)> {
        let mut found = NamesFound::default();
        let mut rest = &self.text[..];
        while let Some(end) = memmem::find(rest, b"//\n") {
            let (record, after) = rest.split_at(end);
            rest = after.get(3..).unwrap_or_default();
            found.add(record, || {
                let record = String::from_utf8_lossy(record);
                let (time, path) = record.split_once(' ')?;
                Some((time.parse().ok()?, path.strip_prefix("./").unwrap_or(path).to_owned()))
            });
        }
        found
    }
}

impl<T> NamesFound<T> {
    fn add(&mut self, name: &[u8], read: impl FnOnce() -> Option<T>) {
        if name.contains(&b'\n') {
            self.left_out += 1;
        } else {
            self.each.extend(read());
        }
    }
}

/// Looks below `remote`, or for lines in it.
pub fn search(exchanges: &Exchanges<'_>, remote: &RemotePath, search: &Search) -> Result<Found> {
    let text = |text: &str| script::argument(text.as_bytes());
    let plain = |text: &str| text.as_bytes().to_vec();
    let mut arguments = vec![remote.argument()];
    match search {
        Search::Entries => arguments.push(plain("entries")),
        Search::Names => arguments.push(plain("names")),
        Search::Lines(lines) => arguments.extend([
            plain("lines"),
            text(&lines.pattern),
            text(lines.files.as_deref().unwrap_or_default()),
            plain(lines.mode),
            plain(if lines.ignore_case { "-i" } else { "" }),
            plain(&lines.context.to_string()),
            plain(&lines.limit.to_string()),
        ]),
    }
    let task = Task { script: Script::Search, arguments: &arguments, private: None, path: &remote.shown() };
    Ok(exchanges.run(&task, read)?)
}

fn read(exchange: &mut Exchange) -> Result<Found, ExchangeError> {
    exchange.input = None;
    let (tool, is_of_file) = loop {
        if let Some(("T", used)) = exchange.record()?.split_once(' ') {
            let (tool, what) = used.split_once(' ').ok_or(ExchangeError::Cut)?;
            break (tool.to_owned(), what == "file");
        }
    };
    let mut bytes = Vec::new();
    let mark = format!("{} ", exchange.mark);
    (&mut exchange.output).take(MAX).read_to_end(&mut bytes).map_err(|_| ExchangeError::Cut)?;
    let is_cut = bytes.len() as u64 == MAX;
    let found = parse(tool, &bytes, &mark, is_cut).ok_or(ExchangeError::Cut)?;
    Ok(Found { is_of_file, ..found })
}

/// Takes what the script says out of what the tool printed, wherever it stands: two programs wrote into one pipe.
fn parse(tool: String, bytes: &[u8], mark: &str, is_cut: bool) -> Option<Found> {
    let mut found = Found { tool, is_cut, ..Found::default() };
    let (mut rest, mut is_whole) = (bytes, is_cut);
    while let Some(at) = memmem::find(rest, mark.as_bytes()) {
        let (before, after) = rest.split_at(at);
        found.text.extend_from_slice(before);
        let record = after.get(mark.len()..).unwrap_or_default();
        let end = memchr::memchr(b'\n', record).unwrap_or(record.len());
        let said = String::from_utf8_lossy(record.get(..end).unwrap_or_default()).into_owned();
        rest = record.get(end + 1..).unwrap_or_default();
        match said.strip_prefix("W ") {
            Some(said) => match said.strip_prefix("status ").and_then(|status| status.parse().ok()) {
                Some(status) => found.status = Some(status),
                None if found.said.len() < 20 => found.said.push(said.to_owned()),
                None => {}
            },
            None => match said.strip_prefix("odd ").and_then(|count| count.parse::<usize>().ok()) {
                Some(count) => found.left_out = found.left_out.saturating_add(count),
                None => is_whole |= said == "ok",
            },
        }
    }
    found.text.extend_from_slice(rest);
    is_whole.then_some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn what_two_programs_wrote_is_told_apart() {
        let text = b"a:1:x\nb:M W rg: no\nM odd 2\nM W odd 7\nM W status 2\n2:y\nM odd 1\nM ok\n";
        let found = parse("rg".to_owned(), text, "M ", false).unwrap();
        assert_eq!(found.text, b"a:1:x\nb:2:y\n");
        assert_eq!((found.said, found.status), (vec!["rg: no".to_owned(), "odd 7".to_owned()], Some(2)));
        assert_eq!(found.left_out, 3, "what a tool says is no number of ours");
        assert_eq!(parse("rg".to_owned(), b"a\n", "M ", false), None, "the end is missing");
        assert!(parse("rg".to_owned(), b"a\n", "M ", true).unwrap().is_cut);
    }

    #[test]
    fn a_name_with_a_line_feed_forges_none() {
        let of = |text: &[u8]| Found { text: text.to_vec(), ..Found::default() };
        let entries = of(b".h/\nsub//\na\nforged/\nz//\nx\n//\nend/\n").entries();
        assert_eq!(
            (entries.each, entries.left_out),
            ([".h", "sub/", "z/", "end"].map(str::to_owned).into(), 2)
        );
        let names = of(b"5 ./a b//\n9 x/\n7 forged//\n6 c\xff//\n1 cut").names();
        let each = vec![(5, "a b".to_owned()), (6, "c\u{fffd}".to_owned())];
        assert_eq!((names.each, names.left_out), (each, 1));
    }
}
