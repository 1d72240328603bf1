//! The arguments of a tool: what its schema says of them, and whether those of a call are so.

use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Result};
use crate::mcp::workspace::table::Tool;
use crate::output::foreign;

/// An argument of a tool.
#[derive(Debug)]
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) about: &'static str,
}

/// What an argument is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string of up to so many bytes, without NUL: a name, or a part of a command.
    Text(usize),
    /// A string of up to so many bytes: what a file or an input has in it.
    Data(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in a range.
    Number(i64, i64),
    /// A boolean.
    Flag,
    /// A boolean, or this word.
    FlagOr(&'static str),
    /// An array of strings, one at least.
    Words,
    /// An object of strings.
    Pairs,
}

/// The longest array, and the most members of an object.
const MANY: usize = 4096;

impl Arg {
    /// As JSON Schema.
    fn schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Text(_) | Kind::Data(_) => json!({ "type": "string" }),
            Kind::Word(words) => json!({ "type": "string", "enum": words }),
            Kind::Number(min, max) => {
                let mut schema = json!({ "type": "integer" });
                for (name, bound) in [("minimum", min), ("maximum", max)] {
                    if ![i64::MIN, i64::MAX].contains(&bound) {
                        schema[name] = bound.into();
                    }
                }
                schema
            }
            Kind::Flag => json!({ "type": "boolean" }),
            // An array of types is less portable.
            Kind::FlagOr(word) => {
                json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "enum": [word] }] })
            }
            Kind::Words => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
            Kind::Pairs => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        };
        if !self.about.is_empty() {
            schema["description"] = self.about.into();
        }
        schema
    }

    /// What is wrong with a value, as the rest of a sentence.
    fn issue(&self, value: &Value) -> Option<String> {
        let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.contains('\0'));
        match self.kind {
            Kind::Text(max) | Kind::Data(max) => match value.as_str() {
                None => Some("must be a string".to_owned()),
                Some(text) if text.len() > max => Some(format!("is longer than {max} bytes")),
                Some(text) if matches!(self.kind, Kind::Text(_)) && text.contains('\0') => {
                    Some("contains a NUL character".to_owned())
                }
                Some(_) => None,
            },
            Kind::Word(words) => {
                let is_one = value.as_str().is_some_and(|text| words.contains(&text));
                (!is_one).then(|| format!("must be one of {}", words.join(", ")))
            }
            Kind::Number(min, max) => match number(value) {
                None => Some("must be a whole number".to_owned()),
                Some(number) if number < min || number > max => match (min, max) {
                    (min, i64::MAX) => Some(format!("must be {min} or more")),
                    _ => Some(format!("must be from {min} to {max}")),
                },
                Some(_) => None,
            },
            Kind::Flag => (!value.is_boolean()).then(|| "must be true or false".to_owned()),
            Kind::FlagOr(word) => {
                let is_one = value.is_boolean() || value.as_str() == Some(word);
                (!is_one).then(|| format!("must be true, false or \"{word}\""))
            }
            Kind::Words => match value.as_array() {
                Some(words) if (1..=MANY).contains(&words.len()) && words.iter().all(is_text) => None,
                _ => Some("must be an array of strings, with one at least and no NUL in them".to_owned()),
            },
            Kind::Pairs => match value.as_object() {
                Some(pairs) if pairs.len() <= MANY && pairs.values().all(is_text) => None,
                _ => Some("must be an object whose values are strings without NUL characters".to_owned()),
            },
        }
    }
}

/// A whole number, also one that is written as `5.0`.
fn number(value: &Value) -> Option<i64> {
    let of_float = || {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15)?;
        format!("{float:.0}").parse().ok()
    };
    value.as_i64().or_else(of_float)
}

/// The JSON Schema of a tool's arguments.
pub(super) fn schema(args: &[Arg]) -> Value {
    let properties = args.iter().map(|arg| (arg.name.to_owned(), arg.schema())).collect::<Map<_, _>>();
    let required = args.iter().filter(|arg| arg.is_required).map(|arg| arg.name).collect::<Vec<_>>();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The arguments of a call, which are as its tool's schema says.
#[derive(Debug)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    /// Everything that is wrong is told at once. A `null` is no argument.
    pub(super) fn check(tool: &Tool, given: &Map<String, Value>) -> Result<Arguments> {
        let given = given.iter().filter(|(_, value)| !value.is_null());
        let given = given.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>();
        let mut issues = Vec::new();
        for (name, value) in &given {
            match tool.args.iter().find(|arg| arg.name == name) {
                Some(arg) => issues.extend(arg.issue(value).map(|issue| format!("`{name}` {issue}"))),
                None => issues.push(format!("there is no argument {}", foreign::word(name))),
            }
        }
        let missing = tool.args.iter().filter(|arg| arg.is_required && !given.contains_key(arg.name));
        issues.extend(missing.map(|arg| format!("`{}` is missing", arg.name)));
        if issues.is_empty() {
            return Ok(Arguments(given));
        }
        issues.truncate(20);
        let names = tool.args.iter().map(|arg| arg.name).collect::<Vec<_>>().join(", ");
        Err(Error::new(Code::Usage, format!("{}: {}", tool.name, issues.join("; ")))
            .hint(format!("it takes {names}")))
    }

    /// Whether it was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A number; what is out of a narrower type's range was refused before.
    pub(super) fn number<N: TryFrom<i64>>(&self, name: &str) -> Option<N> {
        number(self.0.get(name)?)?.try_into().ok()
    }

    /// A boolean; `false` unless given.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Strings.
    pub(super) fn words(&self, name: &str) -> Option<Vec<&str>> {
        self.0.get(name)?.as_array().map(|words| words.iter().filter_map(Value::as_str).collect())
    }

    /// Names and their strings.
    pub(super) fn pairs(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.get(name).and_then(Value::as_object).into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }
}
