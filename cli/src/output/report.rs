//! What a command found, ready to be shown as text or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::error::Issue;
use crate::output::{foreign, sanitize};

/// The result of a command that ended well. It is rendered once, in `lib.rs`.
pub enum Outcome {
    /// A report: one JSON document under `--json`, else text.
    Report(Box<dyn Report>),
    /// Bytes for stdout exactly as they are, such as a completion script.
    Raw(Vec<u8>),
    /// Nothing to say; the process ends with this status. What a remote command returned passes through here.
    Status(u8),
}

/// The result of a command.
pub trait Report {
    /// The JSON document of `--json`.
    fn json(&self) -> Value;

    /// The text for people.
    fn text(&self, text: &mut Text);

    /// The exit status.
    fn exit_status(&self) -> u8 {
        0
    }
}

impl<R: Report + 'static> From<R> for Outcome {
    fn from(report: R) -> Outcome {
        Outcome::Report(Box::new(report))
    }
}

/// Lines for a terminal: whatever is added is filtered, so no caller can forget to.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Adds a line.
    pub fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.0, "{}", sanitize::line(line.as_ref()));
    }

    /// The lines so far.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An issue as an element of a JSON document.
pub fn issue(issue: &Issue) -> Value {
    json!({
        "at": sanitize::short(&issue.at),
        "message": sanitize::line(&issue.message),
        "file": sanitize::line(&issue.file),
        "line": (issue.line > 0).then_some(issue.line),
    })
}

/// An issue as a line for people: its file may have any name.
pub fn issue_line(issue: &Issue) -> String {
    Issue { file: foreign::place(&issue.file), ..issue.clone() }.to_string()
}

/// A report that is nothing but a JSON document and a few lines.
pub struct Simple {
    /// The document.
    pub json: Value,
    /// The lines.
    pub lines: Vec<String>,
}

impl Report for Simple {
    fn json(&self) -> Value {
        self.json.clone()
    }

    fn text(&self, text: &mut Text) {
        for line in &self.lines {
            text.line(line);
        }
    }
}
