//! One simple command, as every shell that an agent may use reads it (POSIX XCU 2.9.1; bash and zsh).
//!
//! What this accepts is a single program with its words, redirections and here-documents. Anything through which a shell could start
//! a second program is refused: `;` `&` `|`, parentheses, `$`, backticks, another line. So is what bash and zsh read in different ways.
//! A refused command does not run on this machine, so in doubt this refuses.

use std::ops::Range;

/// One word as written, and its meaning if that does not depend on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it stands in the text.
    pub range: Range<usize>,
    /// The word itself; `None` if it depends on files, `~` or braces.
    pub value: Option<String>,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirection {
    /// From or to a file on this machine.
    File,
    /// One descriptor to another, such as `2>&1`, as written.
    Descriptor(Range<usize>),
    /// A here-document: its operator and delimiter, and its body including the last line.
    Here {
        /// `<<'EOF'`.
        opening: Range<usize>,
        /// From the first line of the body to the end of the delimiter.
        body: Range<usize>,
    },
}

/// A simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Its words, the program first; at least one.
    pub words: Vec<Word>,
    /// Its redirections, in order.
    pub redirections: Vec<Redirection>,
    /// Whether the locale may change what it means: it has a non-ASCII character outside `'…'`. In GBK, Big5 and Shift_JIS, the last
    /// byte of a UTF-8 character and the `\` or `"` after it can form one character of two bytes.
    pub depends_on_locale: bool,
}

/// The one simple command that `text` is; `None` if it is anything else.
pub fn parse(text: &str) -> Option<SimpleCommand> {
    // A control character means something else in each shell and terminal.
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return None;
    }
    let mut reader = Reader { text, at: 0, waiting: Vec::new(), is_ascii: true };
    let mut command = reader.command()?;
    command.depends_on_locale = !reader.is_ascii;
    // Words that are special in first place.
    let first = command.words.first()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    text.get(first.range.clone())?.chars().all(is_plain).then_some(command)
}

/// The first word of a list and what follows it, if the word means the same everywhere: for `cd DIR && …`.
pub fn first_words(text: &str, count: usize) -> Option<(Vec<String>, &str)> {
    let mut reader = Reader { text, at: 0, waiting: Vec::new(), is_ascii: true };
    let mut words = Vec::new();
    while words.len() < count {
        reader.blanks();
        words.push(reader.word()?.value?);
    }
    reader.blanks();
    Some((words, text.get(reader.at..)?))
}

/// A here-document whose body is still to come.
struct Waiting {
    opening: Range<usize>,
    delimiter: String,
    is_literal: bool,
    strips_tabs: bool,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    waiting: Vec<Waiting>,
    /// Whether all characters so far are ASCII, except those in `'…'` and here-documents.
    is_ascii: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, start: &str) -> bool {
        let is_there = self.rest().starts_with(start);
        if is_there {
            self.at += start.len();
        }
        is_there
    }

    /// Blanks and continued lines.
    fn blanks(&mut self) {
        while self.take(" ") || self.take("\t") || self.take("\\\n") {}
    }

    fn command(&mut self) -> Option<SimpleCommand> {
        let mut command = SimpleCommand::default();
        while self.rest().starts_with(['\n', ' ', '\t']) {
            self.at += 1;
        }
        loop {
            self.blanks();
            match self.peek() {
                None => break,
                Some('\n') => {
                    self.at += 1;
                    break;
                }
                Some('<' | '>') => self.redirection(&mut command)?,
                Some('0'..='9') if self.is_before_operator() => self.redirection(&mut command)?,
                Some('#') => return None,
                Some(_) => {
                    let word = self.word()?;
                    command.words.push(word);
                }
            }
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let body = self.body(&waiting)?;
            command.redirections.push(Redirection::Here { opening: waiting.opening, body });
        }
        self.rest().trim_matches(['\n', ' ', '\t']).is_empty().then_some(command)
    }

    /// Whether these digits belong to a redirection.
    fn is_before_operator(&self) -> bool {
        self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['<', '>'])
    }

    /// Reads a descriptor's number; returns whether there is one. zsh reads more than one digit as a word.
    fn digits(&mut self) -> Option<bool> {
        let count = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).len();
        self.at += count;
        (count <= 1).then_some(count > 0)
    }

    fn redirection(&mut self, command: &mut SimpleCommand) -> Option<()> {
        let start = self.at;
        self.digits()?;
        if self.take("<<<") {
            return None; // what it feeds cannot be quoted by itself
        }
        if self.take("<<") {
            let strips_tabs = self.take("-");
            self.blanks();
            let (delimiter, is_literal) = self.delimiter()?;
            let opening = start..self.at;
            self.waiting.push(Waiting { opening, delimiter, is_literal, strips_tabs });
            return Some(());
        }
        if self.take("<&") || self.take(">&") {
            (self.digits()? && self.is_at_end_of_word()).then_some(())?;
            command.redirections.push(Redirection::Descriptor(start..self.at));
            return Some(());
        }
        // Nobody needs `<>`, `>|`, `>!` or zsh's glob `<1-2>` here.
        (self.take(">>") || self.take("<") || self.take(">")).then_some(())?;
        self.blanks();
        if matches!(self.peek()?, '<' | '>' | '!' | '0'..='9' | '-' | '\n') {
            return None;
        }
        self.word()?;
        command.redirections.push(Redirection::File);
        Some(())
    }

    fn is_at_end_of_word(&self) -> bool {
        self.peek().is_none_or(|c| matches!(c, ' ' | '\t' | '\n'))
    }

    /// A here-document's delimiter, bare or wholly in quotes.
    fn delimiter(&mut self) -> Option<(String, bool)> {
        let quote = ["'", "\"", "\\"].into_iter().find(|quote| self.take(quote));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = self.rest().len() - self.rest().trim_start_matches(is_plain).len();
        let delimiter = self.rest().get(..length)?.to_owned();
        self.at += length;
        let is_closed = match quote {
            Some(quote @ ("'" | "\"")) => self.take(quote),
            _ => true,
        };
        let is_whole = !delimiter.is_empty() && is_closed && self.is_at_end_of_word();
        is_whole.then_some((delimiter, quote.is_some()))
    }

    fn body(&mut self, waiting: &Waiting) -> Option<Range<usize>> {
        let start = self.at;
        loop {
            if self.rest().is_empty() {
                return None; // it is never closed
            }
            let line = self.rest().split('\n').next().unwrap_or_default().to_owned();
            let end = self.at + line.len();
            let line = if waiting.strips_tabs { line.trim_start_matches('\t') } else { &line };
            let is_last = line == waiting.delimiter;
            if !waiting.is_literal && line.contains(['$', '`', '\\']) {
                return None;
            }
            self.at = (end + 1).min(self.text.len());
            if is_last {
                return Some(start..end);
            }
        }
    }

    fn word(&mut self) -> Option<Word> {
        let start = self.at;
        let (mut value, mut is_known) = (String::new(), true);
        while let Some(c) = self.peek() {
            match c {
                // No word begins with an operator, so the caller sees an empty word next.
                ' ' | '\t' | '\n' | '<' | '>' | ';' | '&' | '|' | '(' | ')' => break,
                '$' | '`' => return None,
                '\'' => {
                    self.at += 1;
                    let inner = self.rest().split_once('\'')?.0.to_owned();
                    self.at += inner.len() + 1;
                    // With RC_QUOTES, zsh reads `''` inside as one quote.
                    is_known &= !self.rest().starts_with('\'');
                    value.push_str(&inner);
                    continue;
                }
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut value)?;
                    continue;
                }
                '\\' => {
                    self.at += 1;
                    let next = self.peek()?;
                    self.is_ascii &= next.is_ascii();
                    if next != '\n' {
                        value.push(next);
                    }
                    self.at += next.len_utf8();
                    continue;
                }
                // `=` begins zsh's `=program`; `~`, `^` and `#` are part of its patterns.
                '*' | '?' | '[' | ']' | '{' | '}' | '~' | '^' | '#' | '!' => is_known = false,
                '=' if self.at == start => is_known = false,
                _ => {}
            }
            self.is_ascii &= c.is_ascii();
            value.push(c);
            self.at += c.len_utf8();
        }
        (self.at > start).then(|| Word { range: start..self.at, value: is_known.then_some(value) })
    }

    /// The rest of `"…"`.
    fn double_quoted(&mut self, value: &mut String) -> Option<()> {
        loop {
            let c = self.peek()?;
            self.at += c.len_utf8();
            self.is_ascii &= c.is_ascii();
            match c {
                '"' => return Some(()),
                '$' | '`' => return None,
                '\\' => {
                    let next = self.peek()?;
                    self.at += next.len_utf8();
                    self.is_ascii &= next.is_ascii();
                    match next {
                        '$' | '`' | '"' | '\\' => value.push(next),
                        '\n' => {}
                        other => value.extend(['\\', other]),
                    }
                }
                other => value.push(other),
            }
        }
    }
}
