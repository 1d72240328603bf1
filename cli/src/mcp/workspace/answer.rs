//! The result of a tool: text, never `structuredContent`, which one client shows a model instead of the text.

use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Result};
use crate::mcp::workspace::text;
use crate::output::report::{self, Outcome};
use crate::output::sanitize;

/// The longest text of a result, in characters: both clients show a model so much of it.
pub(super) const MAX: usize = 32_000;

/// The result of a tool.
#[derive(Debug, Default)]
pub(super) struct Answer {
    content: Vec<Value>,
    is_error: bool,
    meta: Map<String, Value>,
}

impl Answer {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Answer {
        Answer::block(json!({ "type": "text", "text": text.into() }))
    }

    /// A block of content.
    pub(super) fn block(block: Value) -> Answer {
        Answer { content: vec![block], ..Answer::default() }
    }

    /// The same, with another text after it.
    pub(super) fn and(mut self, text: impl Into<String>) -> Answer {
        self.content.push(json!({ "type": "text", "text": text.into() }));
        self
    }

    /// A JSON document, in one line of text.
    pub(super) fn json(document: &Value) -> Answer {
        Answer::text(text::json(document))
    }

    /// What a verb reports.
    pub(super) fn of(outcome: Outcome) -> Result<Answer> {
        match outcome {
            Outcome::Report(report) => {
                let answer = Answer::json(&report.json());
                Ok(if report.exit_status() == 0 { answer } else { answer.unsuccessful() })
            }
            Outcome::Raw(_) | Outcome::Status(_) => Err(Error::new(Code::Error, "there is no report")),
        }
    }

    /// A failure of ours.
    pub(super) fn failed(error: &Error) -> Answer {
        Answer::text(words(error)).unsuccessful().told(error)
    }

    /// The same, with what programs branch on.
    pub(super) fn told(mut self, error: &Error) -> Answer {
        let mut told = json!({ "error": error.code().as_str(), "message": sanitize::lines(error.message()) });
        if let Some(hint) = hint(error) {
            told["hint"] = sanitize::lines(&hint).into();
        }
        self.meta.insert("io.runcode/error".to_owned(), told);
        self
    }

    /// The same, as a failure of what was asked for.
    pub(super) fn unsuccessful(mut self) -> Answer {
        self.is_error = true;
        self
    }

    /// The same, with facts for programs.
    pub(super) fn with(mut self, facts: Value) -> Answer {
        self.meta.insert("io.runcode/result".to_owned(), facts);
        self
    }

    /// As the protocol has it.
    pub(super) fn result(self) -> Map<String, Value> {
        let mut result = Map::new();
        result.insert("content".to_owned(), self.content.into());
        result.insert("isError".to_owned(), self.is_error.into());
        if !self.meta.is_empty() {
            result.insert("_meta".to_owned(), self.meta.into());
        }
        result
    }
}

/// A failure in the words that the command line has for it.
pub(super) fn words(error: &Error) -> String {
    let mut text = format!("runcode: {}", sanitize::lines(error.message()));
    for issue in error.each_issue().iter().take(50) {
        text += &format!("\n  {}", sanitize::line(&report::issue_line(issue)));
    }
    if let Some(hint) = hint(error) {
        text += &format!("\nhint: {}", sanitize::lines(&hint));
    }
    text.chars().take(MAX).collect()
}

/// What to do next. A tool opens no browser and asks nobody.
fn hint(error: &Error) -> Option<String> {
    match error.code() {
        Code::NoToken => Some("ask the user to run `runcode login`".to_owned()),
        _ => error.next_step_with_tools().map(str::to_owned),
    }
}
