//! What a call came to: its streams, its status, its content.

use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Result};
use crate::mcp::jump::heard::neutral;
use crate::output::sanitize;

/// How much of each stream a document holds, in bytes.
pub(super) const STREAM_MAX: usize = 16 << 20;

/// The result of a call.
#[derive(Debug)]
pub struct Said {
    tool: String,
    /// The status to end with.
    pub status: u8,
    signal: Value,
    is_error: bool,
    /// What went, or goes, to stdout.
    pub stdout: Vec<u8>,
    /// What went, or goes, to stderr.
    pub stderr: Vec<u8>,
    /// The kind of content that cannot be shown as text.
    unshown: Option<String>,
    content: Value,
    structured: Value,
    duration_ms: Value,
    is_truncated: bool,
    /// What else people should know about its end.
    pub note: Option<&'static str>,
}

impl Said {
    /// What a result says; `stdout` and `stderr` came before it.
    pub(super) fn of(tool: &str, result: &Map<String, Value>, stdout: Vec<u8>, stderr: Vec<u8>) -> Said {
        let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
        let meta = |name: &str| result.get("_meta").and_then(|meta| meta.get(name));
        let (ours, theirs) = (meta("io.runcode/result"), meta("runspec"));
        let code = |meta: Option<&Value>| meta?.get("exit_code")?.as_i64();
        let number = code(ours).or_else(|| code(theirs)).unwrap_or(i64::from(is_error));
        let content = result.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
        let field =
            |meta: Option<&Value>, name: &str| meta.and_then(|it| it.get(name)).cloned().unwrap_or_default();
        let is_so = |name: &str| field(ours, name) == true;
        let omitted = field(ours, "omitted_bytes").as_u64().unwrap_or(0);
        let mut said = Said {
            tool: tool.to_owned(),
            status: status(number),
            signal: neutral(field(ours, "signal")),
            is_error,
            stdout,
            stderr,
            unshown: None,
            content: Value::Null,
            structured: result.get("structuredContent").cloned().map(neutral).unwrap_or_default(),
            duration_ms: field(theirs, "duration_ms"),
            is_truncated: omitted > 0,
            note: match (is_so("timed_out"), is_so("may_still_run")) {
                (true, true) => {
                    Some("the tool reached its own timeout, but may still be running on the workspace")
                }
                (true, false) => Some("the tool was ended: it reached its own timeout"),
                (false, true) => Some("the tool may still be running on the workspace"),
                (false, false) => None,
            },
        };
        let is_refusal = is_error && meta("io.runcode/error").is_some();
        for block in &content {
            said.take(block, is_error && theirs.is_some(), is_refusal);
        }
        said.content = content.into_iter().map(neutral).collect();
        said
    }

    /// Takes a block of content in.
    fn take(&mut self, block: &Value, is_failure_of_theirs: bool, is_refusal: bool) {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let resource = || block.get("resource");
        let kind = text(block, "type").unwrap_or_default();
        let shown = match kind.as_str() {
            "text" => text(block, "text"),
            "resource_link" => text(block, "uri"),
            "resource" => resource().and_then(|it| text(it, "text").or_else(|| text(it, "uri"))),
            _ => None,
        };
        match shown {
            None => self.unshown = Some(kind),
            Some(text) => match taken_apart(&text).filter(|_| is_failure_of_theirs && kind == "text") {
                Some([out, err]) => {
                    add(&mut self.stdout, out);
                    add(&mut self.stderr, err);
                }
                None if is_refusal => add(&mut self.stderr, &text),
                None => add(&mut self.stdout, &text),
            },
        }
    }

    /// Refuses a result that cannot be shown as text.
    pub fn shown(&self) -> Result<()> {
        let Some(kind) = &self.unshown else { return Ok(()) };
        let what = format!(
            "the tool ran, but returned {}, which cannot be shown as text",
            crate::output::foreign::name(kind)
        );
        Err(Error::new(Code::Usage, what).hint("add --json to get such content"))
    }

    /// As a JSON document.
    pub fn json(&self) -> Value {
        let text = |bytes: &[u8]| {
            let cut = bytes.get(..STREAM_MAX).unwrap_or(bytes);
            String::from_utf8_lossy(cut).into_owned()
        };
        let is_cut = [&self.stdout, &self.stderr].iter().any(|stream| stream.len() > STREAM_MAX);
        json!({
            "tool": sanitize::line(&self.tool),
            "exit_code": self.status,
            "signal": self.signal,
            "is_error": self.is_error,
            "stdout": text(&self.stdout),
            "stderr": text(&self.stderr),
            "content": self.content,
            "structured": self.structured,
            "duration_ms": self.duration_ms,
            "truncated": self.is_truncated || is_cut,
        })
    }
}

/// The status to end with, as a shell counts it.
fn status(number: i64) -> u8 {
    let number =
        if number < 0 { number.checked_neg().and_then(|it| it.checked_add(128)) } else { Some(number) };
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(255)
}

fn add(stream: &mut Vec<u8>, text: &str) {
    stream.extend_from_slice(text.as_bytes());
    if !text.is_empty() && !text.ends_with('\n') {
        stream.push(b'\n');
    }
}

/// The two streams of a failed call of runspec's, which come in one text.
fn taken_apart(text: &str) -> Option<[&str; 2]> {
    let (number, rest) = text.strip_prefix("exit_code: ")?.split_once('\n').unwrap_or((text.get(11..)?, ""));
    number.trim().parse::<i64>().ok()?;
    const ERRORS: &str = "stderr:\n";
    if let Some(errors) = rest.strip_prefix(ERRORS) {
        return Some(["", errors]);
    }
    let output = if rest.is_empty() { "" } else { rest.strip_prefix("stdout:\n")? };
    match output.split_once("\nstderr:\n") {
        Some((output, errors)) => Some([output, errors]),
        None => Some(output.strip_prefix(ERRORS).map_or([output, ""], |errors| ["", errors])),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn said(result: Value) -> Said {
        Said::of("t", result.as_object().unwrap(), Vec::new(), Vec::new())
    }

    fn failed(text: &str) -> [String; 2] {
        let text = json!([{ "type": "text", "text": text }]);
        let said =
            said(json!({ "content": text, "isError": true, "_meta": { "runspec": { "exit_code": 1 } } }));
        [said.stdout, said.stderr].map(|stream| String::from_utf8(stream).unwrap())
    }

    #[test]
    fn a_failure_of_runspec_is_taken_apart() {
        for (text, [out, err]) in [
            ("exit_code: 1\nstdout:\na\nb\nstderr:\nc\nstderr:\nd", ["a\nb\n", "c\nstderr:\nd\n"]),
            ("exit_code: 1\nstderr:\nc", ["", "c\n"]),
            ("exit_code: -9\nstdout:\na", ["a\n", ""]),
            ("exit_code: 1", ["", ""]),
            ("exit_code: 1\nother", ["exit_code: 1\nother\n", ""]),
            ("something else", ["something else\n", ""]),
        ] {
            assert_eq!(failed(text), [out, err], "{text}");
        }
    }

    #[test]
    fn the_status_is_the_tools() {
        let of = |meta: Value, is_error| said(json!({ "_meta": meta, "isError": is_error })).status;
        let both = json!({ "runspec": { "exit_code": 1 }, "io.runcode/result": { "exit_code": 7 } });
        assert_eq!(of(both, true), 7);
        assert_eq!(of(json!({ "runspec": { "exit_code": -15 } }), true), 143);
        assert_eq!(of(json!({ "runspec": { "exit_code": i64::MIN } }), true), 255);
        assert_eq!(of(json!({ "runspec": { "exit_code": 4096 } }), true), 255);
        assert_eq!((of(json!({}), true), of(Value::Null, false)), (1, 0));
    }

    #[test]
    fn content_is_shown_where_it_is_text() {
        let all = said(json!({ "content": [
            { "type": "text", "text": "a" },
            { "type": "resource_link", "uri": "file:///x" },
            { "type": "resource", "resource": { "uri": "file:///y", "text": "whole\n" } },
        ] }));
        assert_eq!(all.stdout, b"a\nfile:///x\nwhole\n");
        assert!(all.shown().is_ok());
        let image = said(json!({ "content": [{ "type": "image", "data": "\u{1b}" }] }));
        assert_eq!(image.shown().unwrap_err().code(), Code::Usage);
        assert_eq!(image.json()["content"][0]["data"], "\u{fffd}");
    }
}
