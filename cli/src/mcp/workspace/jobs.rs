//! `jobs`, `kill`, and what `exec` and `output` have to do with jobs: as `exec --detach` and the verb `jobs` do it.

use std::time::Duration;

use serde_json::json;

use crate::commands::exec::detached;
use crate::commands::jobs as verb;
use crate::error::{Code, Error, Result};
use crate::mcp::workspace::answer::{Answer, MAX};
use crate::mcp::workspace::output::{LIMIT, part};
use crate::mcp::workspace::{Context, text};
use crate::output::report::Report as _;
use crate::remote::jobs::{self, Job, Piece, State, Want};
use crate::session::Sessions;
use crate::session::execution::Execution;

/// How long a job may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Starts a command as a job.
pub(super) fn start(context: &Context<'_>, sessions: &Sessions<'_>, execution: Execution) -> Result<Answer> {
    if let Some(other) = ["stdin", "timeout"].into_iter().find(|other| context.arguments.has(other)) {
        return Err(is_not_for(other));
    }
    let session = context.session(sessions)?;
    let started = detached::begin(None, sessions, &session, &Execution { timeout: None, ..execution })?;
    let mut document = started.json();
    if let Some([what, hint]) = started.warning() {
        document["note"] = json!(format!("{what}; {hint}"));
    }
    Ok(Answer::json(&document))
}

/// What `background` does not go with.
pub(super) fn is_not_for(other: &str) -> Error {
    Error::new(Code::Usage, format!("`background` cannot be combined with `{other}`"))
        .hint("leave one of them out: a job is a plain command, reads no stdin and has no time limit; `kill` ends it")
}

/// Lists the jobs, as many as a result has room for.
pub(super) fn list(context: &Context<'_>) -> Result<Answer> {
    let sessions = context.app.sessions()?;
    let (jobs, more) = jobs::list(&sessions, &context.session(&sessions)?)?;
    let mut left = MAX - 200;
    let rows = jobs.iter().map(|job| text::json(&verb::json(job)));
    let rows = rows
        .take_while(|row| left.checked_sub(row.chars().count() + 1).map(|now| left = now).is_some())
        .collect::<Vec<_>>();
    let left_out = more + jobs.len() - rows.len();
    let mut text = format!("[{}]", rows.join(","));
    if left_out > 0 {
        text += &format!("\n[{left_out} more jobs left out]");
    }
    Ok(Answer::text(text))
}

/// Sends a job a signal, and ends it for certain if it was asked to end and has not.
pub(super) fn kill(context: &Context<'_>) -> Result<Answer> {
    let words = context.arguments.text("id").unwrap_or_default();
    verb::named(words)?;
    let signal = context.arguments.text("signal").unwrap_or("TERM");
    let sessions = context.app.sessions()?;
    let session = context.session(&sessions)?;
    let mut job = verb::signalled(&sessions, &session, words, signal)?;
    if signal == "TERM" && !job.state.is_over() {
        let id = job.id.as_str().to_owned();
        job = jobs::wait(&sessions, &session, &id, Some(GRACE))?;
        if !job.state.is_over() {
            job = verb::signalled(&sessions, &session, &id, "KILL")?;
        }
    }
    Ok(Answer::json(&json!({
        "id": job.id.as_str(),
        "state": job.state.word(),
        "exit_code": job.state.code(),
    })))
}

/// Reads a part of what a job wrote, once it has ended or the time to wait for that is up.
pub(super) fn output(context: &Context<'_>, words: &str) -> Result<Answer> {
    let arguments = context.arguments;
    let sessions = context.app.sessions()?;
    let session = context.session(&sessions)?;
    let is_stderr = arguments.text("stream") == Some("stderr");
    let limit = usize::try_from(arguments.number::<i64>("limit").unwrap_or(LIMIT)).unwrap_or_default();
    let patience = Duration::from_secs(arguments.number("wait").unwrap_or(0));
    let (job, begin, bytes) =
        verb::read(&sessions, &session, &Want { words, is_stderr, since: 0, follow: false }, || {
            let job = jobs::wait(&sessions, &session, words, Some(patience))?;
            let kept = if is_stderr { job.stderr } else { job.stdout };
            let since = since(arguments.number("offset").unwrap_or(0), kept.bytes).max(kept.first);
            if since >= kept.bytes {
                return Ok((job, since, Vec::new()));
            }
            let want = Want { words: job.id.as_str(), is_stderr, since, follow: false };
            let mut page = Page { begin: since, bytes: Vec::new(), limit };
            match jobs::output(&sessions, &session, &want, &mut |piece| page.take(piece)) {
                Err(error) if !page.is_full() => Err(error),
                _ => Ok((job, page.begin, page.bytes)),
            }
        })?;
    let kept = if is_stderr { job.stderr } else { job.stdout };
    // More may have come since the job was asked about.
    let total = kept.bytes.max(begin + bytes.len() as u64);
    let (text, end) = part(begin, &bytes, total);
    let mut last = format!("bytes {begin}-{end} of {total}; {}", state(&job));
    if end < total || !job.state.is_over() {
        last += &format!("; next offset {end}");
    }
    if kept.first > 0 {
        last += &format!("; the first {} are no longer kept", kept.first);
    }
    if !kept.is_whole {
        last += "; some output was lost: the disk may have been full";
    }
    Ok(Answer::text(format!("{text}[{last}]")))
}

/// The byte that an offset means.
fn since(offset: i64, total: u64) -> u64 {
    match u64::try_from(offset) {
        Ok(offset) => offset.min(total),
        Err(_) => total.saturating_sub(offset.unsigned_abs()),
    }
}

/// What became of the job.
fn state(job: &Job) -> String {
    match job.state {
        State::Exited(code) => format!("exit {code}"),
        state => state.word().to_owned(),
    }
}

/// The bytes of a stream from `begin` on, `limit` of them at most.
struct Page {
    begin: u64,
    bytes: Vec<u8>,
    limit: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.limit
    }

    /// An error ends the reading.
    fn take(&mut self, piece: Piece<'_>) -> Result<()> {
        match piece {
            Piece::Lost(count) if self.bytes.is_empty() => self.begin += count,
            Piece::Lost(_) => self.limit = self.bytes.len(), // what comes now is not next to it
            Piece::Bytes(bytes) => {
                let room = self.limit - self.bytes.len();
                self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
        }
        if self.is_full() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_stretch_of_bytes() {
        let mut page = Page { begin: 5, bytes: Vec::new(), limit: 4 };
        assert!(page.take(Piece::Lost(2)).is_ok() && page.take(Piece::Bytes(b"ab")).is_ok());
        assert!(page.take(Piece::Lost(9)).is_err() && page.is_full());
        assert_eq!((page.begin, &page.bytes[..]), (7, &b"ab"[..]));
        let mut page = Page { begin: 0, bytes: Vec::new(), limit: 4 };
        assert!(page.take(Piece::Bytes(b"abcdef")).is_err() && page.bytes == b"abcd");
        for (offset, byte) in [(0, 0), (7, 7), (20, 10), (-3, 7), (-30, 0), (i64::MIN, 0)] {
            assert_eq!(since(offset, 10), byte, "{offset}");
        }
    }
}
