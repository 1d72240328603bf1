//! From the words of a command line to the arguments of a tool, by its schema. All mistakes are reported at once.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use crate::mcp::jump::tools::{Kind, Property, Tool};
use crate::mcp::numbers;

/// What the user gave.
#[derive(Debug)]
pub enum Given {
    /// Words.
    Words(Vec<String>),
    /// The whole object.
    Object(Map<String, Value>),
}

/// A mistake: the argument, and what is wrong with it.
pub(super) type Mistake = (String, String);

/// The arguments that are meant.
pub fn arguments(tool: &Tool, given: Given) -> Result<Map<String, Value>, Vec<Mistake>> {
    let is_object = matches!(given, Given::Object(_));
    let (values, mut mistakes) = match given {
        Given::Words(words) => {
            let mut reading = Reading::of(tool);
            reading.read(words);
            (reading.values, reading.mistakes)
        }
        Given::Object(values) => (values, Vec::new()),
    };
    let told = mistakes.iter().map(|(at, _)| at.clone()).collect::<HashSet<_>>();
    for property in &tool.properties {
        let at = if is_object { property.name.clone() } else { property.written() };
        match values.get(&property.name) {
            Some(value) => mistakes.extend(wrong(property, value).map(|what| (at, what))),
            None if property.is_required && !told.contains(&at) => {
                mistakes.push((at, "is required".to_owned()));
            }
            None => {}
        }
    }
    if is_object && !tool.is_open {
        let unknown = values.keys().filter(|name| !tool.has(name));
        mistakes.extend(unknown.map(|name| (name.clone(), UNKNOWN.to_owned())));
    }
    if mistakes.is_empty() { Ok(values) } else { Err(mistakes) }
}

const UNKNOWN: &str = "is not an argument of this tool";

/// The words, one after the other.
struct Reading<'a> {
    tool: &'a Tool,
    /// Those that bare words are for, in order.
    positional: Vec<&'a Property>,
    values: Map<String, Value>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reading<'a> {
    fn of(tool: &'a Tool) -> Reading<'a> {
        let mut positional = tool.properties.iter().filter(|it| it.position.is_some()).collect::<Vec<_>>();
        positional.sort_by_key(|property| property.position);
        Reading { tool, positional, values: Map::new(), mistakes: Vec::new() }
    }

    fn wrong(&mut self, at: &str, what: impl Into<String>) {
        self.mistakes.push((at.to_owned(), what.into()));
    }

    fn read(&mut self, words: Vec<String>) {
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                return self.rest(words.map(Value::from).collect());
            }
            let Some(option) = word.strip_prefix("--") else {
                self.bare(word);
                continue;
            };
            let (name, inline) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let is_flag = |property: &&Property| property.kind == Kind::Boolean;
            if let Some(flag) = self.named(name).filter(is_flag) {
                match inline.as_deref() {
                    None | Some("true") => self.set(flag, Value::Bool(true)),
                    Some("false") => self.set(flag, Value::Bool(false)),
                    Some(_) => self.wrong(&flag.written(), "takes true or false"),
                }
                // Were it a bare word, the flag would be on whatever was meant.
                if inline.is_none()
                    && let Some(after) = words.next_if(|next| next == "true" || next == "false")
                {
                    let written = flag.written();
                    self.wrong(&written, format!("takes no separate value: write {written}={after}"));
                }
            } else if let Some(property) = self.named(name) {
                match inline.or_else(|| words.next()) {
                    Some(text) => self.take(property, &text),
                    None => self.wrong(&property.written(), "needs a value"),
                }
            } else if let Some(flag) = name.strip_prefix("no-").and_then(|it| self.named(it)).filter(is_flag)
            {
                match inline {
                    None => self.set(flag, Value::Bool(false)),
                    Some(_) => self.wrong(&format!("--{name}"), "takes no value"),
                }
            } else {
                self.wrong(&format!("--{name}"), UNKNOWN);
            }
        }
    }

    fn named(&self, name: &str) -> Option<&'a Property> {
        let alike = |one: &str, other: &str| one.replace('_', "-") == other.replace('_', "-");
        let all = &self.tool.properties;
        all.iter().find(|it| it.name == name).or_else(|| all.iter().find(|it| alike(&it.name, name)))
    }

    fn bare(&mut self, word: String) {
        let is_short = word.starts_with('-') && word.len() > 1 && word.parse::<f64>().is_err();
        let is_open = |it: &&&Property| it.kind == Kind::Array || !self.values.contains_key(&it.name);
        match self.positional.iter().find(is_open).copied() {
            _ if is_short => self.wrong(&word, UNKNOWN),
            Some(property) => self.take(property, &word),
            None => self.wrong(&word, "is one positional argument too many"),
        }
    }

    fn rest(&mut self, words: Vec<Value>) {
        match self.tool.properties.iter().find(|property| property.is_rest) {
            Some(property) => self.set(property, Value::Array(words)),
            None if words.is_empty() => {}
            None => self.wrong("--", "is not accepted: this tool takes no extra words"),
        }
    }

    fn take(&mut self, property: &'a Property, text: &str) {
        let kind = if property.kind == Kind::Array { property.item } else { property.kind };
        match value(kind, text) {
            Some(value) if property.kind == Kind::Array => {
                let list =
                    self.values.entry(property.name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(value);
                }
            }
            Some(value) => self.set(property, value),
            None if numbers::has_huge(text.as_bytes()) => self.wrong(&property.written(), numbers::HUGE),
            None => self.wrong(&property.written(), format!("is not {}", with_article(kind))),
        }
    }

    fn set(&mut self, property: &Property, value: Value) {
        if self.values.insert(property.name.clone(), value).is_some() {
            self.wrong(&property.written(), "is given more than once");
        }
    }
}

/// The value that a word is.
fn value(kind: Kind, text: &str) -> Option<Value> {
    let integer = || {
        let signed = text.parse::<i64>().ok().map(Number::from);
        signed.or_else(|| text.parse::<u64>().ok().map(Number::from)).map(Value::Number)
    };
    match kind {
        Kind::Integer => integer(),
        Kind::Number if numbers::is_huge(text) => None,
        Kind::Number => integer().or_else(|| Number::from_f64(text.parse().ok()?).map(Value::Number)),
        Kind::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        Kind::Object | Kind::Array if numbers::has_huge(text.as_bytes()) => None,
        Kind::Object | Kind::Array => serde_json::from_str(text).ok().filter(|value| is_of(kind, value)),
        Kind::Text | Kind::Any => Some(text.into()),
    }
}

fn is_of(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value.is_string(),
        Kind::Integer => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0)
        }
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::Array => value.is_array(),
        Kind::Object => value.is_object(),
        Kind::Any => true,
    }
}

fn with_article(kind: Kind) -> String {
    let article = if matches!(kind, Kind::Integer | Kind::Array | Kind::Object) { "an" } else { "a" };
    format!("{article} {}", kind.word())
}

/// What is wrong with a value, or with an element of it.
fn wrong(property: &Property, value: &Value) -> Option<String> {
    if !is_of(property.kind, value) {
        return Some(format!("is not {}", with_article(property.kind)));
    }
    match value {
        Value::Array(items) if property.kind == Kind::Array => items.iter().find_map(|item| {
            let what = format!("has an element that is not {}", with_article(property.item));
            if is_of(property.item, item) { broken(property, item) } else { Some(what) }
        }),
        value => broken(property, value),
    }
}

/// The rule that a value breaks.
fn broken(property: &Property, value: &Value) -> Option<String> {
    if let Some(options) = property.options().filter(|options| !options.contains(value)) {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return Some(format!("is not one of {}", options.iter().map(plain).collect::<Vec<_>>().join(", ")));
    }
    let limit = |name: &str| property.rule(name).and_then(Value::as_f64);
    if let Some(number) = value.as_f64() {
        if let Some(least) = limit("minimum").filter(|least| number < *least) {
            return Some(format!("is less than {least}"));
        }
        if let Some(most) = limit("maximum").filter(|most| number > *most) {
            return Some(format!("is more than {most}"));
        }
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count();
        let size =
            |name: &str| property.rule(name).and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok());
        if let Some(least) = size("minLength").filter(|least| length < *least) {
            return Some(format!("is shorter than {least} characters"));
        }
        if let Some(most) = size("maxLength").filter(|most| length > *most) {
            return Some(format!("is longer than {most} characters"));
        }
    }
    None
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
