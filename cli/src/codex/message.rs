//! What a message means, and how it is answered.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::{Code, Error};

/// It is JSON, but not a message, or not one that is expected now.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// A method that we do not have.
pub(super) const NO_METHOD: i64 = -32601;
/// Parameters that the method does not take.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// Anything else that went wrong.
pub(super) const INTERNAL: i64 = -32603;
/// Codex's own: there is no such file.
pub(super) const NO_FILE: i64 = -32004;
/// Not JSON.
const PARSE_ERROR: i64 = -32700;

/// The longest id that a request may have, in bytes.
const ID_MAX: usize = 256;

/// What was received.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Something that needs an answer.
    Request {
        /// A string or a number.
        id: Value,
        /// The method.
        method: String,
        /// Its parameters; empty if there are none.
        params: Params,
    },
    /// Something that needs no answer.
    Notification,
    /// No message.
    Bad {
        /// The request's id, if it has a usable one.
        id: Value,
        /// What is wrong with it.
        refusal: Refusal,
    },
}

/// The parameters of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Params(Map<String, Value>);

impl Params {
    /// The parameters, as the method's type.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        // Its text quotes the input, which may be long.
        serde_json::from_value(Value::Object(self.0)).map_err(|error| {
            let why = error.to_string().chars().take(200).collect::<String>();
            Refusal::new(INVALID_PARAMS, format!("invalid parameters: {why}"))
        })
    }

    /// The names of those that are set and not among `known`.
    pub(super) fn beyond(&self, known: &[&str]) -> Vec<&str> {
        let set = self.0.iter().filter(|(_, value)| !value.is_null());
        set.map(|(name, _)| name.as_str()).filter(|name| !known.contains(name)).collect()
    }
}

/// The `error` of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// The answer to the request `id`.
    pub(super) fn answer(&self, id: &Value) -> Value {
        json!({ "id": id, "error": { "code": self.code, "message": self.message } })
    }
}

impl From<Error> for Refusal {
    /// The model reads it, so it also says what to do next.
    fn from(error: Error) -> Refusal {
        let code = match error.code() {
            Code::NotFound => NO_FILE,
            Code::Usage => INVALID_PARAMS,
            _ => INTERNAL,
        };
        Refusal::new(code, words(&error))
    }
}

/// What happened and what to do next, for Codex and its model.
pub(super) fn words(error: &Error) -> String {
    let hint = error.next_step().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    format!("runcode: {}{hint}", error.message())
}

/// The answer to the request `id` if it succeeded.
pub(super) fn answer(id: &Value, result: Value) -> Value {
    json!({ "id": id, "result": result })
}

/// Reads a message.
pub(super) fn parse(text: &[u8]) -> Message {
    let bad = |id: Value, code, what: &str| Message::Bad { id, refusal: Refusal::new(code, what) };
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        return bad(Value::Null, PARSE_ERROR, "this is not JSON");
    };
    let Value::Object(mut fields) = value else {
        return bad(Value::Null, INVALID_REQUEST, "a message must be one JSON object");
    };
    let id = match fields.remove("id") {
        None => None,
        Some(Value::String(text)) if text.len() <= ID_MAX => Some(Value::String(text)),
        Some(Value::Number(number)) => Some(Value::Number(number)),
        Some(_) => return bad(Value::Null, INVALID_REQUEST, "`id` is neither a number nor a short text"),
    };
    let Some(Value::String(method)) = fields.remove("method") else {
        return match id {
            // We never ask a client anything, so an answer belongs to no request.
            Some(_) if fields.contains_key("result") || fields.contains_key("error") => Message::Notification,
            id => bad(id.unwrap_or_default(), INVALID_REQUEST, "`method` is missing"),
        };
    };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => {
            return bad(id.unwrap_or_default(), INVALID_PARAMS, "`params` is not an object");
        }
    };
    match id {
        Some(id) => Message::Request { id, method, params: Params(params) },
        None => Message::Notification,
    }
}

/// Reads arbitrary bytes as messages and as the parameters of each method; returns whether any was a message.
#[cfg(any(fuzzing, test))]
pub fn fuzz(bytes: &[u8]) -> bool {
    let mut lines = crate::mcp::Lines::new(bytes, super::server::MAX);
    let mut is_any = false;
    while let Ok(crate::mcp::Line::Text(line)) = lines.next() {
        if let Message::Request { id, method, params } = parse(&line) {
            is_any = true;
            assert!(id.is_string() || id.is_number());
            super::server::fuzz(&method, params);
        }
    }
    is_any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let request = |text: &str| matches!(parse(text.as_bytes()), Message::Request { .. });
        assert!(request(r#"{"id":1,"method":"a"}"#) && request(r#"{"id":"x","method":"a","params":null}"#));
        assert!(request(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"b":1}}"#));
        for text in [r#"{"method":"initialized","params":{}}"#, r#"{"id":1,"result":{}}"#] {
            assert_eq!(parse(text.as_bytes()), Message::Notification, "{text}");
        }
        for text in [
            "",
            "{",
            "[]",
            "1",
            "null",
            r#"{"id":1}"#,
            r#"{"id":{},"method":"a"}"#,
            r#"{"id":1,"method":2}"#,
            r#"{"id":null,"method":"a"}"#,
            r#"{"id":1,"method":"a","params":[]}"#,
            "\u{0}",
            "{\"id\":1,\"method\":\"a\"}x",
        ] {
            assert!(matches!(parse(text.as_bytes()), Message::Bad { .. }), "{text}");
        }
        let long = format!(r#"{{"id":"{}","method":"a"}}"#, "x".repeat(ID_MAX + 1));
        assert!(!request(&long));
    }
}
