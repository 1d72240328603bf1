//! JSON-RPC 2.0: what a line means, and what is answered.

use serde_json::{Map, Value, json};

use crate::mcp::numbers;

/// Not JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// JSON, but no message.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// A method that is not ours.
pub(super) const NO_METHOD: i64 = -32601;
/// Parameters that are not the method's.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// A failure of ours.
pub(super) const INTERNAL: i64 = -32603;
/// A version of the protocol that is not ours.
pub(super) const UNSUPPORTED_VERSION: i64 = -32022;

/// The longest id that a request may have, in bytes.
const ID_MAX: usize = 4096;

/// What a line means.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Something that is to be answered.
    Request {
        /// A string or a number.
        id: Value,
        /// What is wanted.
        method: String,
        /// The parameters; empty without any.
        params: Map<String, Value>,
    },
    /// Something that is not answered.
    Notification {
        /// What happened.
        method: String,
        /// The parameters.
        params: Map<String, Value>,
    },
    /// An answer. Nothing is ever asked of a client, so it is nobody's.
    Answer,
    /// No message.
    Bad {
        /// The request's id, where it has one that can be used.
        id: Value,
        /// What is wrong with it.
        error: RpcError,
    },
}

/// The `error` of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RpcError {
    code: i64,
    message: String,
    data: Option<Value>,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None }
    }

    pub(super) fn with(self, data: Value) -> RpcError {
        RpcError { data: Some(data), ..self }
    }

    /// The answer to the request `id`.
    pub(super) fn answer(self, id: &Value) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(data) = self.data {
            error["data"] = data;
        }
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

/// The answer to the request `id` that went well.
pub(super) fn answer(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Message {
    let bad = |id: Value, code, what: &str| Message::Bad { id, error: RpcError::new(code, what) };
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return bad(Value::Null, PARSE_ERROR, "this line is not JSON");
    };
    let Value::Object(mut fields) = value else {
        return bad(Value::Null, INVALID_REQUEST, "a message must be one JSON object");
    };
    let id = fields.remove("id");
    let is_exact = !numbers::has_huge(line);
    let is_usable = |id: &Value| match id {
        Value::String(text) => text.len() <= ID_MAX,
        Value::Number(number) => is_exact || !number.is_f64(),
        _ => false,
    };
    let usable = id.clone().filter(is_usable);
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return bad(usable.unwrap_or_default(), INVALID_REQUEST, "`jsonrpc` is not \"2.0\"");
    }
    let method = match fields.remove("method") {
        Some(Value::String(method)) => method,
        None if fields.contains_key("result") || fields.contains_key("error") => return Message::Answer,
        _ => return bad(usable.unwrap_or_default(), INVALID_REQUEST, "`method` is missing"),
    };
    let params = match fields.remove("params") {
        Some(Value::Object(params)) => Some(params),
        None => Some(Map::new()),
        Some(_) => None,
    };
    match (id, usable, params) {
        (None, _, Some(params)) => Message::Notification { method, params },
        (None, ..) => Message::Answer, // a notification that means nothing
        (Some(_), Some(id), Some(_)) if !is_exact => {
            bad(id, INVALID_PARAMS, &format!("a value {}: send it as a string", numbers::HUGE))
        }
        (Some(_), Some(id), Some(params)) => Message::Request { id, method, params },
        (Some(_), Some(id), None) => bad(id, INVALID_PARAMS, "`params` is not an object"),
        (Some(_), None, _) => {
            bad(Value::Null, INVALID_REQUEST, "`id` is not a string or a number of 64 bits")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> (i64, Value) {
        match parse(line.as_bytes()) {
            Message::Bad { id, error } => (error.code, id),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for (line, expected, id) in [
            ("{", PARSE_ERROR, Value::Null),
            ("\u{0}", PARSE_ERROR, Value::Null),
            (&"[".repeat(100_000), PARSE_ERROR, Value::Null),
            ("[]", INVALID_REQUEST, Value::Null),
            ("7", INVALID_REQUEST, Value::Null),
            (r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST, json!(1)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, INVALID_REQUEST, Value::Null),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, INVALID_REQUEST, Value::Null),
            (r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":[]}"#, INVALID_PARAMS, json!("a")),
        ] {
            assert_eq!(code(line), (expected, id), "{line:.60}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(ID_MAX + 1));
        assert_eq!(code(&long), (INVALID_REQUEST, Value::Null));
        assert!(matches!(parse(b"\xff{}"), Message::Bad { .. }));
        // No number is passed on as a different one.
        let huge = "18446744073709551616";
        let request = |id: &str, value: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"arguments":{{"x":{value}}}}}}}"#
            )
        };
        assert_eq!(code(&request(huge, "1")), (INVALID_REQUEST, Value::Null));
        assert_eq!(code(&request("18446744073709551615", huge)), (INVALID_PARAMS, json!(u64::MAX)));
        assert!(matches!(parse(request("1", "1e30").as_bytes()), Message::Request { .. }));
    }

    #[test]
    fn requests_and_notifications_are_told_apart() {
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#), Message::Request { .. }));
        assert!(matches!(
            parse(br#"{"jsonrpc":"2.0","method":"x","params":{}}"#),
            Message::Notification { .. }
        ));
        for ignored in
            [r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"{"jsonrpc":"2.0","method":"x","params":[]}"#]
        {
            assert_eq!(parse(ignored.as_bytes()), Message::Answer);
        }
    }
}
