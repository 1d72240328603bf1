//! The tools of a server, and the arguments that each of them takes.

use serde_json::{Map, Value, json};

use crate::mcp::jump::heard::neutral;
use crate::output::sanitize;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    /// Nothing says what.
    Any,
}

impl Kind {
    fn of(schema: &Value) -> Kind {
        let named = match schema.get("type") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            named => named.and_then(Value::as_str),
        };
        match named {
            Some("string") => Kind::Text,
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            Some("array") => Kind::Array,
            Some("object") => Kind::Object,
            _ => Kind::Any,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Array => "array",
            Kind::Object => "object",
            Kind::Any => "any",
        }
    }
}

/// An argument of a tool.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What an element is, for an array.
    pub(super) item: Kind,
    pub(super) is_required: bool,
    pub(super) position: Option<u64>,
    pub(super) is_rest: bool,
    schema: Map<String, Value>,
}

impl Property {
    fn of(name: &str, schema: &Value, is_required: bool) -> Property {
        Property {
            name: name.to_owned(),
            kind: Kind::of(schema),
            item: schema.get("items").map_or(Kind::Any, Kind::of),
            is_required,
            position: schema.get("x-position").and_then(Value::as_u64),
            is_rest: schema.get("x-rest").is_some_and(|rest| *rest != json!(false)),
            schema: schema.as_object().cloned().unwrap_or_default(),
        }
    }

    /// What a value of it, or each element, has to keep.
    pub(super) fn rule(&self, name: &str) -> Option<&Value> {
        let of_item = || self.schema.get("items")?.get(name);
        self.schema.get(name).or_else(|| if self.kind == Kind::Array { of_item() } else { None })
    }

    /// The values that it may have.
    pub(super) fn options(&self) -> Option<&Vec<Value>> {
        self.rule("enum")?.as_array()
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind.word(),
            "required": self.is_required,
            "default": self.schema.get("default"),
            "options": self.options(),
            "minimum": self.rule("minimum"),
            "maximum": self.rule("maximum"),
            "position": self.position,
            "description": self.schema.get("description").and_then(Value::as_str),
        })
    }

    fn line(&self) -> String {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = match (self.options(), self.kind) {
            (Some(options), _) => options.iter().map(plain).collect::<Vec<_>>().join("|"),
            (None, Kind::Boolean) => String::new(),
            (None, Kind::Array) => format!("{}…", self.item.word()),
            (None, kind) => kind.word().to_owned(),
        };
        let mut line = format!("    {} {value}", self.written()).trim_end().to_owned();
        let mut add = |text: String| {
            line.push_str("  ");
            line.push_str(&sanitize::short(&text));
        };
        if self.is_required {
            add("required".to_owned());
        }
        match (self.rule("minimum"), self.rule("maximum")) {
            (Some(least), Some(most)) => add(format!("{}…{}", plain(least), plain(most))),
            (Some(least), None) => add(format!("at least {}", plain(least))),
            (None, Some(most)) => add(format!("at most {}", plain(most))),
            (None, None) => {}
        }
        if let Some(default) = self.schema.get("default").filter(|default| !default.is_null()) {
            add(format!("default {}", plain(default)));
        }
        if self.position.is_some() {
            add("or a bare word".to_owned());
        }
        if self.is_rest {
            add("or the words after a second `--`".to_owned());
        }
        if let Some(text) = self.schema.get("description").and_then(Value::as_str) {
            add(text.to_owned());
        }
        line
    }
}

/// A tool.
#[derive(Debug, Clone)]
pub struct Tool {
    pub(super) name: String,
    pub(super) properties: Vec<Property>,
    /// Whether it takes arguments that it does not name.
    pub(super) is_open: bool,
    fields: Map<String, Value>,
}

impl Tool {
    fn of(tool: Value) -> Option<Tool> {
        let Value::Object(fields) = tool else { return None };
        let name = fields.get("name")?.as_str()?.to_owned();
        let schema = fields.get("inputSchema").cloned().unwrap_or_default();
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_required = |name: &str| required.iter().any(|one| one.as_str() == Some(name));
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let properties =
            properties.map(|(name, schema)| Property::of(name, schema, is_required(name))).collect();
        let is_open = schema.get("additionalProperties") != Some(&json!(false));
        Some(Tool { name, properties, is_open, fields })
    }

    /// Its name, as it came.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is its name.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether it has an argument of this name.
    pub fn has(&self, name: &str) -> bool {
        self.properties.iter().any(|property| property.name == name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    fn annotation(&self, name: &str) -> Option<&Value> {
        self.fields.get("annotations")?.get(name)
    }

    /// As a field of a JSON document.
    pub fn json(&self) -> Value {
        let title = self.annotation("title").and_then(Value::as_str);
        neutral(json!({
            "name": self.name,
            "destructive": self.annotation("destructiveHint"),
            "title": self.text("title").or(title),
            "description": self.text("description"),
            "autonomy": self.text("x-autonomy"),
            "arguments": self.properties.iter().map(Property::json).collect::<Vec<_>>(),
            "input_schema": self.fields.get("inputSchema"),
        }))
    }

    /// For people: its name, what it is for, and a line for each argument.
    pub fn lines(&self) -> Vec<String> {
        let manual = Some("manual: for people only").filter(|_| self.text("x-autonomy") == Some("manual"));
        let is_destructive = self.annotation("destructiveHint") == Some(&json!(true));
        let destructive = Some("destructive").filter(|_| is_destructive);
        let marks = [manual, destructive].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let marks = if marks.is_empty() { marks } else { format!("  ({marks})") };
        let mut lines = vec![format!("{}{marks}", sanitize::short(&self.name))];
        if let Some(text) = self.text("description").filter(|text| !text.trim().is_empty()) {
            lines.extend(text.trim().lines().take(20).map(|line| format!("  {}", sanitize::line(line))));
        }
        lines.extend(self.properties.iter().map(|it| sanitize::line(&it.line()).into_owned()));
        lines
    }
}

/// The tools of a server, and what it says of itself.
#[derive(Debug, Default)]
pub struct Tools {
    pub(super) all: Vec<Tool>,
    /// Its name and version.
    pub(super) server: [Option<String>; 2],
    /// The version of the protocol.
    pub(super) protocol: String,
}

impl Tools {
    /// Takes in a page of the list; what is no tool is left out.
    pub(super) fn add(&mut self, page: Vec<Value>) {
        self.all.extend(page.into_iter().filter_map(Tool::of));
    }

    /// All of them, in the server's order.
    pub fn all(&self) -> &[Tool] {
        &self.all
    }

    /// As fields of a JSON document.
    pub fn json(&self) -> Value {
        let [name, version] = &self.server;
        json!({
            "server": neutral(json!({ "name": name, "version": version })),
            "protocol": self.protocol,
            "tools": self.all.iter().map(Tool::json).collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        if self.all.is_empty() {
            return vec!["the server has no tools".to_owned()];
        }
        self.all.iter().flat_map(Tool::lines).collect()
    }
}

#[cfg(test)]
impl Tool {
    pub(super) fn with(properties: Value, required: &[&str]) -> Tool {
        let schema = json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
        Tool::of(json!({ "name": "deploy", "inputSchema": schema })).unwrap_or_else(|| panic!("a tool"))
    }
}
