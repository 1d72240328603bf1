//! A command line that is being typed, as its shell reads it, and the words that are put there.
//!
//! What the user has typed stays as it is; only what is new comes quoted, for the place where the cursor is. Whatever could
//! make the typed part more than one plain word gets no answer.

use super::offers::Offer;

/// What surrounds the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

impl Quote {
    fn mark(self) -> &'static str {
        match self {
            Quote::None => "",
            Quote::Single => "'",
            Quote::Double => "\"",
        }
    }

    /// A pair of quotes with nothing in it, for a place within these.
    fn empty(self) -> &'static str {
        match self {
            Quote::None | Quote::Single => "''",
            Quote::Double => "\"\"",
        }
    }
}

/// A line up to the cursor.
#[derive(Debug)]
pub(super) struct Line<'a> {
    text: &'a str,
    /// The words; the last one is being typed, and may be empty.
    words: Vec<String>,
    /// Where in `text` the last one starts.
    start: usize,
    /// Where it ends: before a last backslash that nothing follows.
    end: usize,
    quote: Quote,
    has_tilde: bool,
}

impl Line<'_> {
    /// A line of bash. `None` where the word at the cursor is not plain text (an expansion, a pattern, a reference to the
    /// history), or the line is more than one simple command.
    pub(super) fn of_bash(text: &str) -> Option<Line<'_>> {
        let mut line = Line {
            text,
            words: vec![String::new()],
            start: 0,
            end: text.len(),
            quote: Quote::None,
            has_tilde: false,
        };
        let (mut is_plain, mut is_started) = (true, false);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let word = line.words.last_mut()?;
            match (line.quote, c) {
                (Quote::None, ' ' | '\t') => {
                    if is_started {
                        line.words.push(String::new());
                    }
                    (is_plain, is_started, line.start, line.has_tilde) = (true, false, at + 1, false);
                    continue;
                }
                (Quote::None, '\'') => line.quote = Quote::Single,
                (Quote::None, '"') => line.quote = Quote::Double,
                (Quote::Single, '\'') | (Quote::Double, '"') => line.quote = Quote::None,
                (Quote::None | Quote::Double, '\\') => match chars.next() {
                    None => line.end = at,
                    Some((_, '\n')) => return None,
                    Some((_, next)) => {
                        if line.quote == Quote::Double && !matches!(next, '$' | '`' | '"' | '\\') {
                            word.push('\\');
                        }
                        word.push(next);
                    }
                },
                (Quote::None | Quote::Double, '$') => {
                    chars.peek().filter(|(_, next)| next.is_ascii_alphabetic() || *next == '_')?;
                    is_plain = false;
                    word.push(c);
                }
                (Quote::None | Quote::Double, '`') => return None,
                (Quote::None | Quote::Double, '!') | (Quote::None, '*' | '?' | '[' | '{') => {
                    is_plain = false;
                    word.push(c);
                }
                (Quote::None, ';' | '|' | '&' | '(' | ')' | '<' | '>' | '\n') => return None,
                (Quote::None, '#') if !is_started => return None,
                (Quote::None, '~') if !is_started => {
                    line.has_tilde = true;
                    is_plain = chars.peek().is_some_and(|(_, next)| *next == '/');
                    word.push(c);
                }
                (_, c) => word.push(c),
            }
            is_started = true;
        }
        let reads_as_home = line.words.last()?.starts_with("~/");
        (is_plain && line.has_tilde == reads_as_home).then_some(line)
    }

    /// The words, without their quotes.
    pub(super) fn words(&self) -> Vec<String> {
        self.words.clone()
    }

    /// Whether the shell reads the start of the last word as the home folder.
    pub(super) fn has_tilde(&self) -> bool {
        self.has_tilde
    }

    /// What takes the place of `replaced`, the last part of the line, so that the last word is `offer`'s. When it `is_only`
    /// one, its quotes are closed, and a space follows it where there are none.
    pub(super) fn finished(&self, offer: &Offer, replaced: &str, is_only: bool) -> Option<String> {
        let typed = self.words.last()?;
        let new = offer.word.strip_prefix(typed.as_str())?;
        let from = self.text.strip_suffix(replaced)?.len();
        let kept = self.text.get(from.max(self.start)..self.end).filter(|_| from >= self.start)?;
        let new = quoted(new, self.quote, kept.chars().next_back().is_some_and(|before| !before.is_ascii()));
        let mark = self.quote.mark();
        // readline takes a quote that is first in what it inserts for the one that stands before the cursor.
        if kept.is_empty() && !mark.is_empty() && new.starts_with(mark) {
            return None;
        }
        let end = if is_only && mark.is_empty() && !offer.goes_on() { " " } else { mark };
        Some(format!("{kept}{new}{end}"))
    }
}

/// `text` for a place within these quotes. Those are open again after it.
///
/// bash may read a byte of a letter outside ASCII as a blank (macOS, `\xa0`), or as a letter together with the backslash that
/// follows (Shift_JIS, GBK, Big5). So such a letter is put between quotes, and a quote follows it before a backslash may.
/// `is_behind_one`: one that the user has typed stands before.
fn quoted(text: &str, quote: Quote, mut is_behind_one: bool) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./+-:=,@%".contains(c);
    let one = |c: char| {
        let is_open = quote == Quote::Double && !c.is_ascii();
        let between = if std::mem::replace(&mut is_behind_one, is_open) { quote.empty() } else { "" };
        match (quote, c) {
            (Quote::None, c) if is_plain(c) => c.to_string(),
            (Quote::None, c) if !c.is_ascii() => format!("'{c}'"),
            (Quote::None, c) => format!("{between}\\{c}"),
            // The history is looked up within double quotes too, and a backslash there would stay.
            (Quote::Single, '\'' | '!') => format!("'\\{c}'"),
            (Quote::Double, '!') => "\"\\!\"".to_owned(),
            (Quote::Double, '$' | '`' | '"' | '\\') => format!("{between}\\{c}"),
            (_, c) => c.to_string(),
        }
    };
    text.chars().map(one).collect()
}

/// The word that a token of fish stands for; `None` where it is no plain text.
pub(super) fn word_of_fish(token: &str) -> Option<String> {
    let (mut word, mut quote) = (String::new(), Quote::None);
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (_, '\\') => match (quote, chars.next()) {
                (_, None) => {}
                (Quote::None, Some(next)) if next.is_alphanumeric() => return None,
                (Quote::None, Some(next)) => word.push(next),
                (Quote::Single, Some(next @ ('\'' | '\\'))) => word.push(next),
                (Quote::Double, Some(next @ ('"' | '\\' | '$'))) => word.push(next),
                (_, Some(next)) => word.extend(['\\', next]),
            },
            (Quote::None, '$' | '(' | ')' | '*' | '{' | '<' | '>' | ';' | '|' | '&') => return None,
            (Quote::Double, '$') => return None,
            (_, c) => word.push(c),
        }
    }
    Some(word)
}

/// The word that PowerShell's word at the cursor stands for; `None` where it is no plain text.
pub(super) fn word_of_powershell(token: &str) -> Option<String> {
    let word = match token.chars().next() {
        Some(mark @ ('\'' | '"')) => token[1..].strip_suffix(mark).unwrap_or(&token[1..]),
        _ => token,
    };
    (!word.contains(['\'', '"', '`', '$', '(', '{', '@', ';', '|', '&'])).then(|| word.to_owned())
}

/// `word` as PowerShell reads it back, which takes typographic quotes for plain ones. `None` for a word that Windows PowerShell
/// would hand to a program as several: it escapes neither `"` nor a backslash at the end.
pub(super) fn quoted_for_powershell(word: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./+-:=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Some(word.to_owned());
    }
    if word.contains('"') || word.ends_with('\\') {
        return None;
    }
    let one = |c: char| if matches!(c, '\'' | '\u{2018}'..='\u{201b}') { vec![c, c] } else { vec![c] };
    Some(format!("'{}'", word.chars().flat_map(one).collect::<String>()))
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
