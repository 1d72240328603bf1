//! An argument of a tool: what the file says of it, and its JSON Schema.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::mcp::serve::reader::{Node, Table};

/// What kind of value an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Flag,
    Rest,
    Password,
}

/// An argument of a tool.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_multiple: bool,
    pub(super) is_required: bool,
    pub(super) options: Vec<String>,
    pub(super) range: Option<(f64, f64)>,
    pub(super) pattern: Option<Regex>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) position: Option<u64>,
    pub(super) env: Vec<String>,
    pub(super) autonomy: String,
    /// The schema, or why there can be none.
    pub(super) schema: Result<Value, String>,
}

impl Arg {
    /// Reads `name = …`.
    pub(super) fn read(name: &str, node: &Node<'_>) -> Option<Arg> {
        if !is_name(name) {
            node.note("has an invalid name: use at most 128 letters, digits, `_`, `-` and `.`");
            return None;
        }
        if name.starts_with("runspec_") || name.starts_with("runspec-") {
            node.note("has a name that is reserved for runspec: rename it");
            return None;
        }
        let Some(table) = Some(node).filter(|node| node.value.is_table()).and_then(Node::table) else {
            let default = node.json();
            if default.is_array() {
                return node.is_no("a string, a number, true, false or a section");
            }
            let kind = inferred(Some(&default), false);
            return Some(Arg::with_schema(bare(name, kind), None, Some(&default), &Map::new()));
        };
        let default = table.get("default").map(|node| node.json());
        let options = table.get("options");
        let kind = match table.text("type").as_deref() {
            None => inferred(default.as_ref(), options.is_some()),
            Some("str" | "path" | "choice") => Kind::Text,
            Some("int") => Kind::Int,
            Some("float") => Kind::Float,
            Some("bool") => Kind::Bool,
            Some("flag") => Kind::Flag,
            Some("rest") => Kind::Rest,
            Some("password") => Kind::Password,
            Some(_) => {
                let kinds = "str, path, choice, int, float, bool, flag, rest or password";
                return table.get("type").and_then(|node| node.is_no(kinds));
            }
        };
        if table.text("type").as_deref() == Some("choice") && options.is_none() {
            table.note("is a choice but has no `options`");
        }
        let mut arg = bare(name, kind);
        let has_default = default.is_some();
        let may_lack = matches!(kind, Kind::Flag | Kind::Rest);
        arg.is_required = table.flag("required").unwrap_or(!has_default && !may_lack);
        arg.is_multiple = table.flag("multiple") == Some(true) && !may_lack;
        if let Some(options) = &options {
            match options.json() {
                Value::Array(list) => arg.options = list.iter().map(plain).collect(),
                _ => {
                    options.is_no::<()>("a list");
                }
            }
        }
        arg.range = table.get("range").and_then(|node| range(&node));
        arg.min_length = table.number("min-length", 0);
        arg.max_length = table.number("max-length", 0);
        arg.position = table.number("position", 0);
        arg.env = match table.get("env") {
            Some(node) if node.value.is_str() => node.text().into_iter().collect(),
            Some(node) => node.texts().unwrap_or_default(),
            None => Vec::new(),
        };
        arg.autonomy = table.text("autonomy").unwrap_or_default();
        let mut extra = Map::new();
        if let Some(description) = table.text("description") {
            extra.insert("description".to_owned(), description.into());
        }
        if table.get("deprecated").is_some_and(|node| node.json() != Value::Bool(false)) {
            extra.insert("deprecated".to_owned(), true.into());
        }
        if let Some(meta) = table.get("meta") {
            extra.insert("x-meta".to_owned(), meta.json());
        }
        let pattern = table.text("pattern");
        Some(Arg::with_schema(arg, pattern.as_deref(), default.as_ref(), &extra))
    }

    fn with_schema(
        mut arg: Arg,
        pattern: Option<&str>,
        default: Option<&Value>,
        extra: &Map<String, Value>,
    ) -> Arg {
        arg.schema = arg.made_schema(pattern, default, extra);
        arg
    }

    fn made_schema(
        &mut self,
        pattern: Option<&str>,
        default: Option<&Value>,
        extra: &Map<String, Value>,
    ) -> Result<Value, String> {
        let mut one = Map::new();
        let kind = match self.kind {
            Kind::Text | Kind::Rest | Kind::Password => "string",
            Kind::Int => "integer",
            Kind::Float => "number",
            Kind::Bool | Kind::Flag => "boolean",
        };
        one.insert("type".to_owned(), kind.into());
        if !self.options.is_empty() {
            let number = |text: &String| serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
            let option = |text: &String| match self.kind {
                Kind::Int | Kind::Float => number(text).ok_or(format!("its option `{text}` is not a number")),
                _ => Ok(json!(text)),
            };
            let options = self.options.iter().map(option).collect::<Result<Vec<_>, _>>()?;
            one.insert("enum".to_owned(), options.into());
        }
        if let Some((min, max)) = self.range.filter(|_| matches!(self.kind, Kind::Int | Kind::Float)) {
            if min > max {
                return Err("its range is empty".to_owned());
            }
            one.insert("minimum".to_owned(), number(min));
            one.insert("maximum".to_owned(), number(max));
        }
        if let Some(pattern) = pattern {
            self.pattern = Some(whole(pattern)?);
            one.insert("pattern".to_owned(), format!("^(?:{pattern})$").into());
        }
        if let (Some(min), Some(max)) = (self.min_length, self.max_length)
            && min > max
        {
            return Err("its min-length is more than its max-length".to_owned());
        }
        let lengths = [("minLength", self.min_length), ("maxLength", self.max_length)];
        for (key, length) in lengths {
            one.extend(length.map(|length| (key.to_owned(), length.into())));
        }
        let is_list = self.is_multiple || self.kind == Kind::Rest;
        let mut schema = if is_list {
            Map::from_iter([("type".to_owned(), json!("array")), ("items".to_owned(), one.into())])
        } else {
            one
        };
        schema.extend(extra.clone());
        if let Some(default) = default.filter(|default| !default.is_null() && self.kind != Kind::Rest) {
            let is_other = self.kind == Kind::Text && default.is_number();
            schema
                .insert("default".to_owned(), if is_other { plain(default).into() } else { default.clone() });
        }
        if let Some(position) = self.position {
            schema.insert("x-position".to_owned(), position.into());
        }
        if self.kind == Kind::Rest {
            schema.insert("x-rest".to_owned(), true.into());
        }
        if !self.autonomy.is_empty() {
            schema.insert("x-autonomy".to_owned(), self.autonomy.as_str().into());
        }
        Ok(schema.into())
    }
}

fn bare(name: &str, kind: Kind) -> Arg {
    Arg {
        name: name.to_owned(),
        kind,
        is_multiple: false,
        is_required: false,
        options: Vec::new(),
        range: None,
        pattern: None,
        min_length: None,
        max_length: None,
        position: None,
        env: Vec::new(),
        autonomy: String::new(),
        schema: Ok(Value::Null),
    }
}

/// A pattern that has to fit a whole text.
pub(super) fn whole(pattern: &str) -> Result<Regex, String> {
    let why = |error: regex::Error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("its pattern cannot be used: {last}")
    };
    Regex::new(pattern).map_err(why)?; // alone, so that no `)` closes the group
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(why)
}

fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(is_fine) && !name.starts_with(['-', '.'])
}

fn inferred(default: Option<&Value>, has_options: bool) -> Kind {
    match default {
        _ if has_options => Kind::Text,
        Some(Value::Bool(_)) => Kind::Flag,
        Some(Value::Number(number)) if number.is_f64() => Kind::Float,
        Some(Value::Number(_)) => Kind::Int,
        _ => Kind::Text,
    }
}

/// A value as a text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number that fits")]
    let whole = number as i64;
    if number.fract() == 0.0 && number.abs() < 9e15 { json!(whole) } else { json!(number) }
}

fn range(node: &Node<'_>) -> Option<(f64, f64)> {
    match node.json().as_array().map(|list| list.iter().map(Value::as_f64).collect::<Vec<_>>()).as_deref() {
        Some([Some(min), Some(max)]) => Some((*min, *max)),
        _ => node.is_no("a list of two numbers"),
    }
}

/// Among which arguments what must be given.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) args: Vec<String>,
    pub(super) rule: Rule,
}

/// What holds for the arguments of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    Exclusive,
    Inclusive,
    AtLeastOne,
    ExactlyOne,
    /// With this argument, all of them.
    If(String),
}

impl Group {
    /// Reads `[NAME.groups.G]`.
    pub(super) fn read(table: &Table<'_>) -> Vec<Group> {
        let args = table.texts("args").unwrap_or_default();
        let rules = [
            ("exclusive", Rule::Exclusive),
            ("inclusive", Rule::Inclusive),
            ("at-least-one", Rule::AtLeastOne),
            ("exactly-one", Rule::ExactlyOne),
        ];
        let said = rules.into_iter().filter(|(key, _)| table.flag(key) == Some(true));
        let mut groups = said.map(|(_, rule)| Group { args: args.clone(), rule }).collect::<Vec<_>>();
        if let Some(condition) = table.text("if") {
            let args = table.texts("requires").unwrap_or_default();
            groups.push(Group { args, rule: Rule::If(condition) });
        }
        if groups.len() != 1 {
            table.note(
                "has to have one of exclusive, inclusive, at-least-one, exactly-one, or `if` with `requires`",
            );
        }
        groups
    }

    /// Every argument that it names.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        let condition = match &self.rule {
            Rule::If(name) => Some(name),
            _ => None,
        };
        self.args.iter().chain(condition)
    }
}
