//! Reading TOML to its end: every key is taken by whoever knows it, and whatever is wrong is noted with its place.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::error::Issue;
use crate::origin::servers::unclosed::{self, Unclosed};
use crate::output::sanitize;

/// A file as TOML.
pub(super) struct Document<'a> {
    text: &'a str,
    file: String,
    root: Spanned<DeTable<'a>>,
    notes: RefCell<Vec<Note>>,
    is_broken: bool,
    /// Whether nothing more is noted.
    is_cut: bool,
}

struct Note {
    offset: usize,
    at: String,
    message: String,
}

/// How many issues of a file are told.
const MAX_ISSUES: usize = 100;

impl<'a> Document<'a> {
    /// Parses `text`. What is no TOML is noted, and what can be understood all the same is there.
    pub(super) fn parse(text: &'a str, file: String) -> Document<'a> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let (notes, is_broken) = (RefCell::default(), !errors.is_empty());
        let document = Document { text, file, root, notes, is_broken, is_cut: false };
        // What follows is taken for a part of it, so nothing that seems wrong there is worth telling.
        if let Some(Unclosed { offset, message }) = unclosed::find(text).filter(|_| is_broken) {
            document.note(offset, key_at(text, offset), message);
            return Document { is_cut: true, ..document };
        }
        for error in errors.into_iter().take(MAX_ISSUES) {
            // `Display` would show the line, and so perhaps a secret; the message says only what TOML wants.
            let offset = error.span().map_or(text.len(), |span| span.start);
            document.note(offset, key_at(text, offset), error.message());
        }
        document
    }

    /// Whether it is no TOML, so that what is said in it may not be what was understood.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The whole file, in which the sections are.
    pub(super) fn root(&'a self) -> Section<'a> {
        let (at, table, taken) = (String::new(), self.root.get_ref(), BTreeSet::new());
        Section { document: self, at, offset: 0, table, taken }
    }

    /// What was noted, in the order of the lines. A key that is no TOML has that issue alone.
    pub(super) fn into_issues(self) -> Vec<Issue> {
        let mut notes = self.notes.into_inner();
        notes.sort_by_key(|note| note.offset);
        let (mut line, mut counted) = (1, 0);
        let mut issues = Vec::<Issue>::new();
        for note in notes {
            let between = self.text.as_bytes().get(counted..note.offset).unwrap_or_default();
            line += between.iter().filter(|&&byte| byte == b'\n').count();
            counted = note.offset;
            if issues.last().is_some_and(|last| last.line == line && last.at == note.at) {
                continue;
            }
            if issues.len() == MAX_ISSUES {
                let message = format!("has more than {MAX_ISSUES} mistakes; these are the first");
                issues.push(Issue { file: self.file, line: 0, at: String::new(), message });
                break;
            }
            issues.push(Issue { file: self.file.clone(), line, at: note.at, message: note.message });
        }
        issues
    }

    fn note(&self, offset: usize, at: String, message: impl Display) {
        if self.is_cut {
            return;
        }
        self.notes.borrow_mut().push(Note { offset, at, message: message.to_string() });
    }
}

/// The key that the text at `offset` is about, as far as the lines before it tell.
fn key_at(text: &str, offset: usize) -> String {
    let is_key = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        (1..=200).contains(&text.len()) && text.bytes().all(allowed)
    };
    let (mut section, mut key, mut start) = ("", "", 0);
    for line in text.split_inclusive('\n') {
        if start > offset {
            break;
        }
        start += line.len();
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            (section, key) = (header.trim_matches(['[', ']', ' ']), "");
        } else if let Some((before, _)) = line.split_once('=') {
            key = before.trim();
        }
    }
    [section, key].into_iter().filter(is_key).collect::<Vec<_>>().join(".")
}

/// A table of the file. Whoever reads it takes the keys that it may have.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    at: String,
    offset: usize,
    table: &'a DeTable<'a>,
    taken: BTreeSet<&'static str>,
}

/// A value, and where it is.
pub(super) struct Found<'a, T> {
    document: &'a Document<'a>,
    at: String,
    offset: usize,
    /// The value.
    pub(super) value: T,
}

impl<'a, T> Found<'a, T> {
    /// Notes what is wrong with it.
    pub(super) fn note(&self, message: impl Display) {
        self.document.note(self.offset, self.at.clone(), message);
    }

    /// What `parse` makes of it; its error is noted.
    pub(super) fn parse<U, E: Display>(self, parse: impl FnOnce(T) -> Result<U, E>) -> Option<U> {
        let Found { document, at, offset, value } = self;
        parse(value).map_err(|why| document.note(offset, at, why)).ok()
    }

    fn with<U>(&self, value: U) -> Found<'a, U> {
        Found { document: self.document, at: self.at.clone(), offset: self.offset, value }
    }
}

impl<'a> Section<'a> {
    /// Whether there is such a key. It counts as known then.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.take(key).is_some()
    }

    /// Notes what is wrong with a key that is there or should be.
    pub(super) fn note(&self, key: &str, message: impl Display) {
        let key_of = |found: (&Spanned<DeString<'_>>, _)| found.0.span().start;
        let offset = self.table.get_key_value(key).map_or(self.offset, key_of);
        self.document.note(offset, self.below(key), message);
    }

    /// Notes what is wrong with the section itself.
    pub(super) fn complain(&self, message: impl Display) {
        self.document.note(self.offset, self.at.clone(), message);
    }

    /// The keys that were asked for and are there.
    pub(super) fn known(&self) -> impl Iterator<Item = &'static str> {
        self.taken.iter().copied().filter(|key| self.table.contains_key(*key))
    }

    /// A text, trimmed.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Found<'a, &'a str>> {
        let found = self.take(key)?;
        match found.value {
            DeValue::String(text) => Some(found.with(text.trim())),
            other => found.is_no("a text in quotes", other),
        }
    }

    /// What `parse` makes of a text.
    pub(super) fn parsed<U, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<U, E>,
    ) -> Option<U> {
        self.text(key)?.parse(parse)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let found = self.take(key)?;
        match found.value {
            DeValue::Boolean(value) => Some(*value),
            other => found.is_no("true or false", other),
        }
    }

    /// A whole number in the range.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let found = self.take(key)?;
        let DeValue::Integer(number) = found.value else {
            return found.is_no("a whole number", found.value);
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                found.note(format_args!("is not between {} and {}", range.start(), range.end()));
                None
            }
        }
    }

    /// A list of texts, not trimmed.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Found<'a, &'a str>>> {
        let found = self.take(key)?;
        let DeValue::Array(list) = found.value else {
            return found.is_no("a list of texts", found.value);
        };
        let mut texts = Vec::new();
        for (number, element) in list.iter().enumerate() {
            let element = Found {
                document: self.document,
                at: format!("{}[{number}]", found.at),
                offset: element.span().start,
                value: element.get_ref(),
            };
            match element.value {
                DeValue::String(text) => texts.push(element.with(&**text)),
                other => return element.is_no("a text in quotes", other),
            }
        }
        Some(texts)
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let found = self.take(key)?;
        match found.value {
            DeValue::Table(table) => Some(self.of(found.at, found.offset, table)),
            other => found.is_no("a section", other),
        }
    }

    /// The tables below `[key.…]`, at most `max` of them, each with its name. One that `is_name` does not take is
    /// noted.
    pub(super) fn named(
        &mut self,
        key: &'static str,
        max: usize,
        is_name: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Vec<(String, Section<'a>)> {
        let Some(section) = self.section(key) else { return Vec::new() };
        if section.table.len() > max {
            self.note(key, format_args!("has more than {max} entries"));
        }
        let mut found = Vec::new();
        for (name, value) in section.table.iter().take(max) {
            let place = Found {
                document: self.document,
                at: section.below(name.get_ref()),
                offset: name.span().start,
                value: value.get_ref(),
            };
            if let Err(why) = is_name(name.get_ref()) {
                place.note(format_args!("has a name that {why}"));
                continue;
            }
            match place.value {
                DeValue::Table(table) => {
                    found.push((name.get_ref().to_string(), self.of(place.at, place.offset, table)));
                }
                other => {
                    place.is_no::<()>("a section", other);
                }
            }
        }
        found
    }

    /// Notes every key that nobody took.
    pub(super) fn finish(self) {
        let unknown = self.table.keys().filter(|key| !self.taken.contains(key.get_ref().as_ref()));
        for key in unknown {
            let what =
                if self.at.is_empty() { "is not a section of this file" } else { "is not a key of it" };
            self.document.note(key.span().start, self.below(key.get_ref()), what);
        }
    }

    fn of(&self, at: String, offset: usize, table: &'a DeTable<'a>) -> Section<'a> {
        Section { document: self.document, at, offset, table, taken: BTreeSet::new() }
    }

    fn below(&self, key: &str) -> String {
        let key = sanitize::short(key);
        if self.at.is_empty() { key } else { format!("{}.{key}", self.at) }
    }

    fn take(&mut self, key: &'static str) -> Option<Found<'a, &'a DeValue<'a>>> {
        self.taken.insert(key);
        let value = self.table.get(key)?;
        Some(Found {
            document: self.document,
            at: self.below(key),
            offset: value.span().start,
            value: value.get_ref(),
        })
    }
}

impl<T> Found<'_, T> {
    fn is_no<U>(&self, wanted: &str, value: &DeValue<'_>) -> Option<U> {
        let kind = match value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.note(format_args!("is {kind}, and has to be {wanted}"));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issues(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
        let document = Document::parse(text, "f".to_owned());
        let mut root = document.root();
        read(&mut root);
        root.finish();
        document.into_issues().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_issue_has_its_line_and_key() {
        let text = "x = 1\n[s]\nport = 70000\nhost = 7\nflag = \"yes\"\nlist = [\"a\", 7]\n";
        let found = issues(text, |root| {
            let mut section = root.section("s").expect("a section");
            assert_eq!(section.number("port", 1..=65535), None);
            assert!(section.text("host").is_none());
            assert_eq!(section.flag("flag"), None);
            assert!(section.texts("list").is_none());
            section.finish();
        });
        assert_eq!(
            found,
            [
                "f:1: x is not a section of this file",
                "f:3: s.port is not between 1 and 65535",
                "f:4: s.host is a number, and has to be a text in quotes",
                "f:5: s.flag is a text, and has to be true or false",
                "f:6: s.list[1] is a number, and has to be a text in quotes",
            ]
        );
    }

    #[test]
    fn one_missing_bracket_is_one_mistake() {
        let text = "[a.b]\nkeys = [\n\nport = 1\n[a.c]\nx = \"y\"\n";
        let found = issues(text, |root| {
            root.has("a");
            root.complain("derived");
        });
        assert_eq!(found, ["f:2: a.b.keys is a list that is not closed: its `]` is missing"]);
    }

    #[test]
    fn what_is_no_toml_is_told_without_its_text() {
        let text = "[a.b]\nport = 1\nport = 2\npassword = hunter2\nc = \"open\n[a.b]\n";
        let found = issues(text, |root| {
            root.has("a");
        });
        assert_eq!(found.len(), 4, "{found:?}");
        for (issue, start) in
            found.iter().zip(["f:3: a.b.port ", "f:4: a.b.password ", "f:5: a.b.c ", "f:6: a.b "])
        {
            assert!(issue.starts_with(start) && !issue.contains("hunter2"), "{issue}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([\\[\\]={}\",'#\n .a-c0-9\\\\éx_:-]|true|\"\"\")*") {
            issues(&text, |root| {
                root.named("a", 2, |_| Ok(())).into_iter().for_each(|(_, section)| section.finish());
            });
        }
    }
}
