//! `output`: what a past `exec` printed, in parts.

use crate::error::Result;
use crate::mcp::workspace::answer::{Answer, MAX};
use crate::mcp::workspace::shelf::Side;
use crate::mcp::workspace::{Context, pages};

/// The most that is read at once, in bytes, unless the call says less.
pub(super) const LIMIT: i64 = 30_000;

/// Reads a part.
pub(super) fn run(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let paths = context.app.paths()?;
    let (entry, place) = context.service.shelf.find(paths, arguments.text("id").unwrap_or_default())?;
    let (side, printed) = match arguments.text("stream") {
        Some("stderr") => (Side::Err, entry.stderr_bytes),
        _ => (Side::Out, entry.stdout_bytes),
    };
    let limit = arguments.number::<i64>("limit").unwrap_or(LIMIT);
    let offset = arguments.number("offset").unwrap_or(0);
    let (start, bytes, kept) = place.read(side, offset, usize::try_from(limit).unwrap_or_default())?;
    let more_follows = start + (bytes.len() as u64) < kept;
    let (mut text, length) = pages::page(&bytes, MAX - 300, more_follows);
    let end = start + length as u64;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let of =
        if kept < printed { format!("{printed}; only the first {kept} were kept") } else { kept.to_string() };
    let next = if end < kept { format!("; next offset {end}") } else { String::new() };
    Ok(Answer::text(format!("{text}[bytes {start}-{end} of {of}; {}{next}]", entry.state)))
}
