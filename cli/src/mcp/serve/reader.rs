//! TOML in the order of the file, with the line of whatever is wrong with it.

use std::cell::RefCell;
use std::fmt::Display;

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use crate::error::Issue;
use crate::mcp::numbers;
use crate::output::sanitize;

/// How many issues of a file are told.
const MAX_ISSUES: usize = 100;

/// What was noted of a file.
#[derive(Default)]
pub(super) struct Notes(RefCell<Vec<(usize, String, String)>>);

impl Notes {
    pub(super) fn add(&self, offset: usize, at: &str, message: impl Display) {
        self.0.borrow_mut().push((offset, at.to_owned(), message.to_string()));
    }

    /// What was noted, in the order of the lines of `text`.
    pub(super) fn into_issues(self, text: &str, file: &str) -> Vec<Issue> {
        let mut notes = self.0.into_inner();
        notes.sort_by_key(|note| note.0);
        notes.truncate(MAX_ISSUES);
        let issue = |(offset, at, message): (usize, String, String)| {
            let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            Issue { file: file.to_owned(), line, at, message }
        };
        notes.into_iter().map(issue).collect()
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node<'a> {
    notes: &'a Notes,
    pub(super) at: String,
    offset: usize,
    pub(super) value: &'a DeValue<'a>,
}

/// A table and its place.
#[derive(Clone)]
pub(super) struct Table<'a> {
    notes: &'a Notes,
    pub(super) at: String,
    offset: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn root(table: &'a DeTable<'a>, notes: &'a Notes) -> Table<'a> {
        Table { notes, at: String::new(), offset: 0, table }
    }

    pub(super) fn note(&self, message: impl Display) {
        self.notes.add(self.offset, &self.at, message);
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let (name, value) = self.table.get_key_value(key)?;
        let (at, offset) = (self.below(key), name.span().start);
        Some(Node { notes: self.notes, at, offset, value: value.get_ref() })
    }

    /// Every entry, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(String, Node<'a>)> {
        let mut keys = self.table.keys().collect::<Vec<_>>();
        keys.sort_by_key(|key| key.span().start);
        let names = keys.into_iter().map(|key| key.get_ref().to_string());
        names.filter_map(|name| self.get(&name).map(|node| (name, node))).collect()
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.flag()
    }

    /// A whole number from `min` on.
    pub(super) fn number(&self, key: &str, min: u64) -> Option<u64> {
        let node = self.get(key)?;
        let number = match node.value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => return node.is_no("a whole number"),
        };
        let fitting = number.filter(|number| *number >= min);
        if fitting.is_none() {
            node.note(format_args!("must be a whole number, at least {min}"));
        }
        fitting
    }

    pub(super) fn table(&self, key: &str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.get(key)?.texts()
    }

    fn below(&self, key: &str) -> String {
        let key = sanitize::short(key);
        if self.at.is_empty() { key } else { format!("{}.{key}", self.at) }
    }
}

impl<'a> Node<'a> {
    pub(super) fn note(&self, message: impl Display) {
        self.notes.add(self.offset, &self.at, message);
    }

    pub(super) fn is_no<T>(&self, wanted: &str) -> Option<T> {
        let kind = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.note(format_args!("must be {wanted}, but is {kind}"));
        None
    }

    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.to_string()),
            _ => self.is_no("a string in quotes"),
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.is_no("true or false"),
        }
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(table) => {
                Some(Table { notes: self.notes, at: self.at.clone(), offset: self.offset, table })
            }
            _ => self.is_no("a section"),
        }
    }

    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let DeValue::Array(list) = self.value else { return self.is_no("a list of strings") };
        let text = |value: &DeValue<'_>| match value {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        };
        let texts = list.iter().map(|element| text(element.get_ref())).collect::<Option<Vec<_>>>();
        texts.or_else(|| self.is_no("a list of strings"))
    }

    pub(super) fn json(&self) -> Value {
        if has_huge(self.value) {
            self.note(numbers::HUGE);
        }
        json_of(self.value)
    }
}

/// Whether it contains a whole number beyond TOML's 64 bits.
fn has_huge(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).is_err(),
        DeValue::Array(list) => list.iter().any(|element| has_huge(element.get_ref())),
        DeValue::Table(table) => table.values().any(|value| has_huge(value.get_ref())),
        _ => false,
    }
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => json!(number),
            Err(_) => Value::Null,
        },
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, |number| json!(number)),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(list) => list.iter().map(|element| json_of(element.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref()))).collect(),
        ),
    }
}
