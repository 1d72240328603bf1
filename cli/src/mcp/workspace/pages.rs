//! A long text in parts: whole lines from its beginning and its end, and what is left out between them.

use serde_json::json;

use crate::mcp::workspace::capture::State;
use crate::mcp::workspace::shelf::Side;
use crate::mcp::workspace::text;

/// A line that is longer, in bytes, is shown in pieces.
const PIECE: usize = 2000;

/// A line or a piece of one: where it ends, and how it is shown.
struct Unit {
    end: usize,
    shown: String,
    length: usize,
    is_line: bool,
}

fn units(bytes: &[u8]) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut at = 0;
    for raw in bytes.split_inclusive(|&byte| byte == b'\n') {
        let line = raw.strip_suffix(b"\n").unwrap_or(raw);
        let is_line = line.len() < raw.len();
        let shown = text::line(line);
        if shown.len() <= PIECE {
            at += raw.len();
            units.push(unit(at, shown, is_line));
            continue;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(boundary(rest, PIECE));
            rest = after;
            at += piece.len();
            let is_last = rest.is_empty() && is_line;
            at += usize::from(is_last);
            units.push(unit(at, text::line(piece), is_last));
        }
    }
    units
}

fn unit(end: usize, mut shown: String, is_line: bool) -> Unit {
    if is_line {
        shown.push('\n');
    }
    Unit { end, length: shown.chars().count(), shown, is_line }
}

/// The last end of a character at or before `max`.
fn boundary(bytes: &[u8], max: usize) -> usize {
    if bytes.len() <= max {
        return bytes.len();
    }
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (max.saturating_sub(3)..=max).rev().find(is_start).unwrap_or(max)
}

/// All of a stream where it is no longer than `budget` characters, else its beginning and its end. `id` is what it can be read
/// by, where it can.
pub(super) fn shorten(state: &State, id: Option<&str>, budget: usize) -> String {
    let mut tail = state.tail.iter().copied().collect::<Vec<_>>();
    let gap = state.total.saturating_sub((state.head.len() + tail.len()) as u64);
    if gap == 0 {
        let all = units(&[&state.head[..], &tail].concat());
        if all.iter().map(|unit| unit.length).sum::<usize>() <= budget {
            return all.into_iter().map(|unit| unit.shown).collect();
        }
        let (first, last) = ends(&all, &all, budget);
        return join(
            &all[..first],
            &all[last..],
            all[..last].last().map_or(0, |unit| unit.end) as u64,
            state,
            id,
        );
    }
    let head = units(&state.head);
    let start = state.total - tail.len() as u64;
    // The first one may have lost its beginning.
    let cut = memchr::memchr(b'\n', &tail).filter(|at| at + 1 < tail.len()).map_or(0, |at| at + 1);
    tail.drain(..cut);
    let tail = units(&tail);
    let (first, last) = ends(&head, &tail, budget);
    let end = tail[..last].last().map_or(0, |unit| unit.end) + cut;
    join(&head[..first], &tail[last..], start + end as u64, state, id)
}

/// How many units fit from the beginning of one, and from where on those at the end of the other do: a quarter, and the rest.
fn ends(head: &[Unit], tail: &[Unit], budget: usize) -> (usize, usize) {
    let fitting = |lengths: &mut dyn Iterator<Item = usize>, mut left: usize| {
        lengths.take_while(|&length| left.checked_sub(length).map(|now| left = now).is_some()).count()
    };
    let first = fitting(&mut head.iter().map(|unit| unit.length), budget / 4);
    let last = fitting(&mut tail.iter().rev().map(|unit| unit.length), budget - budget / 4 - 200);
    (first, tail.len() - last)
}

fn join(first: &[Unit], last: &[Unit], last_starts: u64, state: &State, id: Option<&str>) -> String {
    let shown = |units: &[Unit]| units.iter().map(|unit| unit.shown.as_str()).collect::<String>();
    let lines = |units: &[Unit]| units.iter().filter(|unit| unit.is_line).count() as u64;
    let from = first.last().map_or(0, |unit| unit.end) as u64;
    let left = state.lines.saturating_sub(lines(first) + lines(last));
    let bytes = last_starts.saturating_sub(from);
    let mut how = match id {
        Some(id) => json!({ "id": id, "offset": from }),
        None => json!(null),
    };
    if state.side == Side::Err && id.is_some() {
        how["stream"] = state.side.word().into();
    }
    let how = match id {
        Some(_) => format!("read them: output {how}"),
        None => "they could not be kept".to_owned(),
    };
    let first = shown(first);
    let line_end = if first.is_empty() || first.ends_with('\n') { "" } else { "\n" };
    format!("{first}{line_end}[{left} lines, {bytes} bytes left out; {how}]\n{}", shown(last))
}

/// A page of a longer text that begins with `bytes`: how it is shown in at most `budget` characters, and how many bytes that
/// are. Where more follows, it ends with a line if it can.
pub(super) fn page(bytes: &[u8], budget: usize, more_follows: bool) -> (String, usize) {
    let mut units = units(bytes);
    let mut left = budget;
    let fitting =
        units.iter().take_while(|unit| left.checked_sub(unit.length).map(|now| left = now).is_some());
    let fitting = fitting.count();
    let is_cut = more_follows || fitting < units.len();
    units.truncate(fitting);
    if is_cut && let Some(line) = units.iter().rposition(|unit| unit.is_line) {
        units.truncate(line + 1);
    }
    let end = units.last().map_or(0, |unit| unit.end);
    (units.into_iter().map(|unit| unit.shown).collect(), end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_page_ends_with_a_line() {
        assert_eq!(page(b"one\ntwo\nthr", 100, true), ("one\ntwo\n".to_owned(), 8));
        assert_eq!(page(b"one\ntwo\nthr", 100, false), ("one\ntwo\nthr".to_owned(), 11));
        assert_eq!(page(b"one\ntwo\nthr", 9, false), ("one\ntwo\n".to_owned(), 8));
        assert_eq!(page(b"\x1b[1mone\x1b[0m\ntwo", 4, false), ("one\n".to_owned(), 12));
        // A line without an end goes on in pieces, none of which cuts a character.
        let long = "€".repeat(5000);
        let (shown, end) = page(long.as_bytes(), 3000, true);
        assert_eq!(shown.len(), end);
        assert!(shown.chars().all(|c| c == '€') && end > 5000, "{end}");
    }
}
