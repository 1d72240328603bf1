//! `output`: what a past `exec` or a job printed, in parts.

use crate::error::Result;
use crate::mcp::workspace::answer::{Answer, MAX};
use crate::mcp::workspace::shelf::{Side, is_kept_id};
use crate::mcp::workspace::{Context, jobs, pages};
use crate::remote::jobs::is_name;

/// The most that is read at once, in bytes, unless the call says less.
pub(super) const LIMIT: i64 = 30_000;

/// Reads a part.
pub(super) fn run(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let id = arguments.text("id").unwrap_or_default();
    if !is_kept_id(id) && is_name(id) {
        return jobs::output(context, id);
    }
    let (entry, place) = context.service.shelf.find(context.app.paths()?, id)?;
    let (side, printed) = match arguments.text("stream") {
        Some("stderr") => (Side::Err, entry.stderr_bytes),
        _ => (Side::Out, entry.stdout_bytes),
    };
    let limit = arguments.number::<i64>("limit").unwrap_or(LIMIT);
    let offset = arguments.number("offset").unwrap_or(0);
    let (start, bytes, kept) = place.read(side, offset, usize::try_from(limit).unwrap_or_default())?;
    let (text, end) = part(start, &bytes, kept);
    let of =
        if kept < printed { format!("{printed}; only the first {kept} were kept") } else { kept.to_string() };
    let next = if end < kept { format!("; next offset {end}") } else { String::new() };
    Ok(Answer::text(format!("{text}[bytes {start}-{end} of {of}; {}{next}]", entry.state)))
}

/// How bytes of a stream are shown that begin at `start`, and the byte that comes after what is shown.
pub(super) fn part(start: u64, bytes: &[u8], kept: u64) -> (String, u64) {
    let more_follows = start + (bytes.len() as u64) < kept;
    let (mut text, length) = pages::page(bytes, MAX - 300, more_follows);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    (text, start + length as u64)
}
