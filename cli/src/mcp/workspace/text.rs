//! Text of a workspace, as a model may see it: without what steers a terminal, and in the same words.

use std::borrow::Cow;

use serde_json::Value;

use crate::output::sanitize::is_steering;

/// A line: terminal sequences are removed, of a progress bar only the last state is left, and every other character that shows
/// nothing is written out as `\u{…}`. A tab stays.
pub(super) fn line(raw: &[u8]) -> String {
    let mut states = raw.rsplit(|&byte| byte == b'\r').map(state);
    let last = states.next().unwrap_or_default();
    if !last.is_empty() {
        return last;
    }
    states.find(|state| !state.is_empty()).unwrap_or_default()
}

/// Text in which every character counts: each that shows nothing is written out as `\u{…}`, a sequence for terminals too. A tab
/// stays.
pub(super) fn exact(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_written_out) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(&mut shown, c);
    }
    Cow::Owned(shown)
}

/// Whether it is not shown as it is.
pub(super) fn is_written_out(c: char) -> bool {
    c != '\t' && is_steering(c)
}

/// Adds a character as it is shown: so many characters.
pub(super) fn push(shown: &mut String, c: char) -> usize {
    if !is_written_out(c) {
        shown.push(c);
        return 1;
    }
    let written = format!("\\u{{{:x}}}", u32::from(c));
    shown.push_str(&written);
    written.len()
}

fn state(raw: &[u8]) -> String {
    if raw.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return String::from_utf8_lossy(raw).into_owned(); // nearly every line
    }
    let text = String::from_utf8_lossy(raw);
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    skip_control(&mut chars);
                }
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                Some(' '..='/') => {
                    while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
                    chars.next_if(|c| ('0'..='~').contains(c));
                }
                Some('0'..='~') => drop(chars.next()),
                _ => shown.push_str("\\u{1b}"),
            },
            '\u{9b}' => skip_control(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut chars),
            c => _ = push(&mut shown, c),
        }
    }
    shown
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// A control sequence (ECMA-48, 5.4): parameters, then one final character.
fn skip_control(chars: &mut Chars<'_>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// A control string (ECMA-48, 5.6): to its terminator, or to the end of the line.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' if chars.next_if_eq(&'\\').is_some() => return,
            _ => {}
        }
    }
}

/// A JSON document in one line, every steering character in it escaped: it means the same.
pub(super) fn json(document: &Value) -> String {
    let text = document.to_string();
    if !text.chars().any(is_steering) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| escaped += &format!("\\u{unit:04x}"));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_is_gone() {
        for (raw, shown) in [
            ("plain\ttext ", "plain\ttext "),
            ("\u{1b}[1;31merror\u{1b}[0m: x", "error: x"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("\u{9b}2Ja\u{9d}x\u{9c}b\u{1b}(Bc\u{1b}=d\u{1b}Pq\u{1b}\\e", "abcde"),
            ("\u{1b}]never closed", ""),
            ("\u{1b}", "\\u{1b}"),
            ("a\u{8}\u{0}\u{7f}\u{202e}\u{200b}b", "a\\u{8}\\u{0}\\u{7f}\\u{202e}\\u{200b}b"),
            ("10%\r20%\r100%", "100%"),
            ("10%\r\u{1b}[K", "10%"),
            ("dos\r", "dos"),
            ("\r\r", ""),
            ("世界 🦀", "世界 🦀"),
        ] {
            assert_eq!(line(raw.as_bytes()), shown, "{raw:?}");
        }
        assert_eq!(line(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn names_and_lines_of_files_lose_nothing() {
        for (text, shown) in [
            ("plain\ttext 世界", "plain\ttext 世界"),
            ("a\rsrc/b:1:x", "a\\u{d}src/b:1:x"),
            ("\u{1b}[1mred\u{1b}]0;t\u{7}x", "\\u{1b}[1mred\\u{1b}]0;t\\u{7}x"),
            ("a\u{202e}\u{2028}\u{200b}\u{e0041}b\n", "a\\u{202e}\\u{2028}\\u{200b}\\u{e0041}b\\u{a}"),
        ] {
            assert_eq!(exact(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(raw in proptest::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
            let is_left = |text: &str| text.chars().any(|c| is_steering(c) && c != '\t');
            prop_assert!(!is_left(&line(&raw)) && !is_left(&line(text.as_bytes())) && !is_left(&exact(&text)));
            let document = serde_json::json!({ "x": text });
            prop_assert!(!json(&document).chars().any(is_steering));
            prop_assert_eq!(serde_json::from_str::<Value>(&json(&document)).unwrap(), document);
        }
    }
}
