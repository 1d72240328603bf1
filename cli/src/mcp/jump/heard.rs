//! What a server says, message by message.

use serde_json::{Map, Value};

use crate::mcp::numbers;
use crate::output::sanitize;

/// A message of a server.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// An answer to one of our requests: its result, or the message of its error.
    Answer {
        /// Ours are numbers.
        id: u64,
        /// What came of it.
        result: Result<Map<String, Value>, String>,
    },
    /// It asks something.
    Request {
        /// By which it is answered.
        id: Value,
        /// What it wants.
        method: String,
    },
    /// It tells something.
    Notification {
        /// What.
        method: String,
        /// More of it.
        params: Map<String, Value>,
    },
    /// An answer that nobody asked for, or a request whose id cannot be repeated exactly.
    Nothing,
    /// More values than any tool has use for: each takes many times the bytes that it has here.
    Crowded,
    /// No message at all.
    Bad,
}

/// Whether a line begins as a message does.
pub(super) fn is_begun(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

/// How many values, and names of fields, a message may have.
pub(super) const VALUES: usize = 250_000;

/// How many values a line of JSON has at most: one for each of its commas and brackets that are not in a text.
fn values(line: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (0, false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Heard {
    if values(line) > VALUES {
        return Heard::Crowded;
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(line) else { return Heard::Bad };
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Heard::Bad;
    }
    let id = fields.remove("id");
    if let Some(Value::String(method)) = fields.remove("method") {
        let params = match fields.remove("params") {
            Some(Value::Object(params)) => params,
            _ => Map::new(),
        };
        return match id {
            Some(Value::Number(id)) if id.is_f64() && numbers::has_huge(line) => Heard::Nothing,
            Some(id @ (Value::String(_) | Value::Number(_))) => Heard::Request { id, method },
            _ => Heard::Notification { method, params },
        };
    }
    let result = match (fields.remove("result"), fields.remove("error")) {
        (Some(Value::Object(result)), None) => Ok(result),
        (Some(_), None) => Err("its result is not an object".to_owned()),
        (_, Some(error)) => {
            Err(error.get("message").and_then(Value::as_str).unwrap_or("it did not say why").to_owned())
        }
        (None, None) => return Heard::Bad,
    };
    match id.as_ref().and_then(Value::as_u64) {
        Some(id) => Heard::Answer { id, result },
        None => Heard::Nothing,
    }
}

/// The same with nothing in it that steers a terminal, in names and in texts.
pub(super) fn neutral(value: Value) -> Value {
    match value {
        Value::String(text) => sanitize::line(&text).into_owned().into(),
        Value::Array(items) => items.into_iter().map(neutral).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (sanitize::line(&name).into_owned(), neutral(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Reads what another server answers, as tools and as results. What would be shown of it.
#[cfg(any(fuzzing, test))]
pub fn fuzz(bytes: &[u8]) -> Vec<String> {
    use crate::mcp::jump::{Given, Said, Tools, arguments};
    let mut shown = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Heard::Answer { result: Ok(mut result), .. } = parse(line) else { continue };
        if let Some(Value::Array(tools)) = result.remove("tools") {
            let mut all = Tools::default();
            all.add(tools);
            shown.extend(all.lines());
            shown.push(all.json().to_string());
            for tool in all.all() {
                let words = ["a", "--b", "c", "--", "d"].map(str::to_owned).to_vec();
                let _ = arguments(tool, Given::Words(words));
            }
        }
        let _ = Said::of("tool", &result, Vec::new(), Vec::new()).json();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn messages_are_told_apart() {
        let heard = |text: &str| parse(text.as_bytes());
        for bad in
            ["{", "[]", "7", "{}", r#"{"jsonrpc":"2.0"}"#, r#"{"id":1,"result":{}}"#, "{\"a\":\"\u{0}\"}"]
        {
            assert_eq!(heard(bad), Heard::Bad, "{bad}");
        }
        assert_eq!(parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\"}}"), Heard::Bad);
        let answer = |id, result| Heard::Answer { id, result };
        assert_eq!(heard(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), answer(1, Ok(Map::new())));
        let refused = heard(r#"{"jsonrpc":"2.0","id":1,"error":{"message":"no"}}"#);
        assert_eq!(refused, answer(1, Err("no".to_owned())));
        assert_eq!(heard(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#), Heard::Nothing);
        let ping = heard(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#);
        assert_eq!(ping, Heard::Request { id: json!("a"), method: "ping".to_owned() });
        assert_eq!(heard(r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}"#), Heard::Nothing);
        let told = heard(r#"{"jsonrpc":"2.0","method":"x","params":[]}"#);
        assert_eq!(told, Heard::Notification { method: "x".to_owned(), params: Map::new() });
    }

    #[test]
    fn values_are_counted_before_they_are_read() {
        let line = |text: &str| format!(r#"{{"jsonrpc":"2.0","method":"x","params":{{"t":{text}}}}}"#);
        let commas = ",".repeat(VALUES + 1);
        assert_eq!(parse(line(&format!("[1{}]", ",1".repeat(VALUES))).as_bytes()), Heard::Crowded);
        assert_eq!(parse(line(&"[".repeat(VALUES + 1)).as_bytes()), Heard::Crowded);
        for text in [format!("{commas:?}"), format!(r#""\\\"{commas}""#)] {
            assert!(matches!(parse(line(&text).as_bytes()), Heard::Notification { .. }), "{}", &text[..8]);
        }
    }

    #[test]
    fn names_and_texts_are_neutral() {
        let value = neutral(json!({ "a\u{1b}": ["\u{202e}", { "b": "c\nd" }], "n": 1 }));
        assert_eq!(value, json!({ "a\u{fffd}": ["\u{fffd}", { "b": "c\u{fffd}d" }], "n": 1 }));
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read(text in ".{0,80}", number in any::<i64>()) {
            let schema = json!({ "type": "object", "properties": { &text: { "type": &text, "enum": [number], "x-position": number } } });
            let tools = json!([{ "name": &text, "inputSchema": schema }, { "name": number }, text.clone()]);
            let line = json!({ "jsonrpc": "2.0", "id": 2, "result": {
                "tools": tools, "content": [{ "type": "text", "text": &text }, &text], "isError": true,
                "_meta": { "runspec": { "exit_code": number } } } });
            for shown in fuzz(line.to_string().as_bytes()) {
                prop_assert!(!shown.chars().any(sanitize::is_steering));
            }
        }
    }
}
