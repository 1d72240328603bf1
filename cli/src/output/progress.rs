//! Notes on stderr while a command is at work. stdout stays the report's alone.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::output::sanitize;

/// How long a person is left without a word.
const SILENCE: Duration = Duration::from_secs(2);

/// Writes one filtered line to stderr at once. A stderr that is gone is not an error.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", sanitize::line(line.as_ref()));
}

/// As [`note`]; on a terminal, a long line goes on below, indented, instead of breaking within a word.
pub fn note_wrapped(line: &str) {
    let line = sanitize::line(line).to_string();
    let line = width().map_or(line.clone(), |width| wrapped(&line, width));
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The width of the terminal that stderr is.
#[cfg(unix)]
fn width() -> Option<usize> {
    let stderr = std::io::stderr();
    let size = stderr.is_terminal().then(|| rustix::termios::tcgetwinsize(&stderr).ok())??;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(not(unix))]
fn width() -> Option<usize> {
    None
}

/// The line, broken between words where it would be wider than `width`. A command that it names stays in one piece, so that it can
/// be copied.
fn wrapped(line: &str, width: usize) -> String {
    const LEAST: usize = 30;
    if width < LEAST {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start_matches(' ').len() + 2;
    let (mut text, mut used) = (String::new(), 0);
    for (number, word) in pieces(line).iter().enumerate() {
        let length = word.chars().count();
        if number > 0 && !word.is_empty() && used > indent && used + 1 + length > width {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else if number > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text
}

/// Says `line` once a person at a terminal has waited for two seconds; not after it was dropped.
pub struct Waiting {
    _done: Option<Sender<()>>,
}

impl Waiting {
    /// From now on.
    pub fn begin(line: String) -> Waiting {
        if !is_watched() {
            return Waiting { _done: None };
        }
        let (done, is_done) = mpsc::channel();
        let spawned = std::thread::Builder::new().spawn(move || {
            if is_done.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                note(line);
            }
        });
        Waiting { _done: spawned.ok().map(|_| done) }
    }
}

/// The words of a line; what stands between backticks, or is a command after a colon, is one.
fn pieces(line: &str) -> Vec<String> {
    let mut pieces = Vec::<String>::new();
    let (mut in_ticks, mut in_command) = (false, false);
    for word in line.split(' ') {
        let begins = word == "runcode" && pieces.last().is_some_and(|last| last.ends_with(':'));
        match pieces.last_mut().filter(|_| in_ticks || in_command) {
            Some(last) => *last += &format!(" {word}"),
            None => pieces.push(word.to_owned()),
        }
        in_ticks ^= word.matches('`').count() % 2 == 1;
        in_command = (in_command || begins) && !word.ends_with([';', ',', ')']);
    }
    pieces
}

/// Whether a person is likely to watch stderr.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_break_between_words() {
        let line = "  hint: run `runcode connect ssh:buildhost` in a terminal of your own";
        assert_eq!(
            wrapped(line, 40),
            "  hint: run\n    `runcode connect ssh:buildhost` in a\n    terminal of your own"
        );
        assert_eq!(
            wrapped("  hint: b is attached to \"/home/me/p2\": runcode stop 2; or leave it", 44),
            "  hint: b is attached to \"/home/me/p2\":\n    runcode stop 2; or leave it"
        );
        assert!(wrapped(line, 40).lines().all(|line| line.len() <= 40));
        let long = format!("see {} there", "x".repeat(60));
        assert_eq!(wrapped(&long, 40), format!("see\n  {}\n  there", "x".repeat(60)));
        for same in [(line, 80), (line, 10), ("", 40), ("   ", 40)] {
            assert_eq!(wrapped(same.0, same.1), same.0);
        }
    }
}
