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
    /// The entries of a folder, by name; folders end in `/`.
    Entries,
    /// The files below it, each with the second it was last changed in.
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
    /// What it printed, a line for each thing that was found.
    pub text: Vec<u8>,
    /// What it said on its stderr.
    pub said: Vec<String>,
    /// Its status, where that says something.
    pub status: Option<u8>,
    /// Whether there is more than was read.
    pub is_cut: bool,
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
    let tool = loop {
        if let Some(tool) = exchange.record()?.strip_prefix("T ") {
            break tool.to_owned();
        }
    };
    let mut bytes = Vec::new();
    let mark = format!("{} ", exchange.mark);
    (&mut exchange.output).take(MAX).read_to_end(&mut bytes).map_err(|_| ExchangeError::Cut)?;
    let is_cut = bytes.len() as u64 == MAX;
    parse(tool, &bytes, &mark, is_cut).ok_or(ExchangeError::Cut)
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
            None => is_whole |= said == "ok",
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
        let text = b"a:1:x\nb:M W rg: no\nM W status 2\n2:y\nM ok\n";
        let found = parse("rg".to_owned(), text, "M ", false).unwrap();
        assert_eq!(found.text, b"a:1:x\nb:2:y\n");
        assert_eq!((found.said, found.status), (vec!["rg: no".to_owned()], Some(2)));
        assert_eq!(parse("rg".to_owned(), b"a\n", "M ", false), None, "the end is missing");
        assert!(parse("rg".to_owned(), b"a\n", "M ", true).unwrap().is_cut);
    }
}
