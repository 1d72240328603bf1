//! The result of a call.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::mcp::serve::process::{Ended, Kept};
use crate::mcp::serve::tool::Tool;
use crate::mcp::serve::values::Wrong;
use crate::output::sanitize;

/// A call that ran nothing: the code for programs, what they may branch on, and the lines for people.
fn failed(text: &str, error: &Value) -> Map<String, Value> {
    Map::from_iter([
        ("content".to_owned(), json!([{ "type": "text", "text": text }])),
        ("isError".to_owned(), true.into()),
        ("_meta".to_owned(), json!({ "io.runcode/error": error })),
    ])
}

/// There is no room for it.
pub(super) fn busy() -> Map<String, Value> {
    failed("too many calls are running or waiting: try again later", &json!({ "error": "busy" }))
}

/// Its arguments are not the tool's.
pub(super) fn invalid(wrong: &[Wrong]) -> Map<String, Value> {
    let line = |wrong: &Wrong| match wrong.argument.as_str() {
        "" => sanitize::line(&wrong.message).into_owned(),
        name => format!("{}: {}", sanitize::short(name), sanitize::line(&wrong.message)),
    };
    let text = wrong.iter().map(line).collect::<Vec<_>>().join("\n");
    let issues = wrong.iter().map(Wrong::json).collect::<Vec<_>>();
    failed(&text, &json!({ "error": "invalid_arguments", "issues": issues }))
}

/// A person has to do it.
pub(super) fn needs_a_human(tool: &Tool) -> Map<String, Value> {
    let text = format!("only a person may run {}: ask the user", tool.name);
    failed(&text, &json!({ "error": "needs_a_human" }))
}

/// Its program did not start.
pub(super) fn cannot_start(tool: &Tool, error: &std::io::Error) -> Map<String, Value> {
    let why = crate::error::reason(error);
    let text = format!("{} cannot start: {}", tool.name, sanitize::line(&why));
    failed(&text, &json!({ "error": "cannot_start", "message": sanitize::line(&why) }))
}

/// It ran.
pub(super) fn ran(tool: &Tool, ended: &Ended, took: Duration, is_live: bool) -> Map<String, Value> {
    let signal = ended.status.and_then(|status| status.signal());
    let code = ended.status.and_then(|status| status.code());
    // One that could not be ended was sent SIGKILL last.
    let exit_code = code.unwrap_or_else(|| 128 + signal.unwrap_or(9));
    let is_error = exit_code != 0 || ended.is_timed_out;
    let (stdout, mut stderr) = (Shown::of(&ended.stdout), Shown::of(&ended.stderr));
    if let Some(timeout) = tool.timeout.filter(|_| ended.is_timed_out) {
        let line = format!("runcode: ended after its timeout of {} s\n", timeout.as_secs());
        stderr.text = format!("{}{line}", with_line_end(&stderr.text));
    }
    let content = if is_live {
        json!([])
    } else if is_error {
        let mut text = format!("exit_code: {exit_code}");
        for (name, part) in [("stdout", &stdout), ("stderr", &stderr)] {
            if !part.text.is_empty() {
                text += &format!("\n{name}:\n{}", part.text.trim_end());
            }
        }
        json!([{ "type": "text", "text": text }])
    } else {
        json!([{ "type": "text", "text": &stdout.text }])
    };
    let duration = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let facts = json!({
        "exit_code": exit_code,
        "signal": signal,
        "timed_out": ended.is_timed_out,
        "may_still_run": ended.may_still_run,
        "stdout_bytes": ended.stdout.total,
        "stderr_bytes": ended.stderr.total,
        "omitted_bytes": if is_live { 0 } else { stdout.omitted + stderr.omitted },
        "lossy": stdout.is_lossy || stderr.is_lossy,
        "run_as": tool.escalation.as_ref().map(|escalation| &escalation.user),
    });
    let theirs = json!({ "tool": tool.name, "duration_ms": duration, "exit_code": exit_code });
    Map::from_iter([
        ("content".to_owned(), content),
        ("isError".to_owned(), is_error.into()),
        ("_meta".to_owned(), json!({ "runspec": theirs, "io.runcode/result": facts })),
    ])
}

fn with_line_end(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// A stream as text.
struct Shown {
    text: String,
    omitted: u64,
    is_lossy: bool,
}

impl Shown {
    fn of(kept: &Kept) -> Shown {
        let mut head = kept.head.clone();
        let mut tail = kept.tail.iter().copied().collect::<Vec<_>>();
        let missing = kept.total - (head.len() + tail.len()) as u64;
        if missing == 0 || kept.head.len() + kept.tail.len() == 0 {
            head.append(&mut tail);
            let text = String::from_utf8_lossy(&head).into_owned();
            return Shown { is_lossy: text.as_bytes() != head, text, omitted: missing };
        }
        // The cut is between characters, so that it makes none that was not there.
        if let Err(error) = std::str::from_utf8(&head)
            && error.error_len().is_none()
        {
            head.truncate(error.valid_up_to());
        }
        let torn = tail.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        tail.drain(..torn);
        let omitted = kept.total - (head.len() + tail.len()) as u64;
        let (first, last) = (String::from_utf8_lossy(&head), String::from_utf8_lossy(&tail));
        let is_lossy = first.as_bytes() != head || last.as_bytes() != tail;
        let text = format!("{}[{omitted} bytes left out]\n{last}", with_line_end(&first));
        Shown { text, omitted, is_lossy }
    }
}
