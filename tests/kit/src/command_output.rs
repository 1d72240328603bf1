//! What a command said and how it ended, and what a test asks of that.

use std::process::Output;

use serde_json::Value;

/// What a process said, and how it ended.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit status; -1 for a signal.
    pub status: i32,
    /// stdout.
    pub stdout: Vec<u8>,
    /// stderr.
    pub stderr: String,
}

impl CommandOutput {
    pub fn of(output: Output) -> CommandOutput {
        let status = output.status.code().unwrap_or(-1);
        let said = CommandOutput {
            status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!said.stderr.contains("panicked at"), "{said:?}");
        said
    }

    /// stdout as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// stdout as the one JSON document that it has to be.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts status 0.
    #[track_caller]
    pub fn succeeds(self) -> CommandOutput {
        self.ends_with(0)
    }

    /// Asserts a status.
    #[track_caller]
    pub fn ends_with(self, status: i32) -> CommandOutput {
        assert_eq!(self.status, status, "{} {}", String::from_utf8_lossy(&self.stdout), self.stderr);
        self
    }

    /// Asserts a failure of `--json` with this code and status.
    #[track_caller]
    pub fn fails_as(self, code: &str, status: i32) -> CommandOutput {
        assert_eq!(self.json()["error"], code, "{self:?}");
        assert!(!self.json()["message"].as_str().unwrap().is_empty());
        self.ends_with(status)
    }
}
