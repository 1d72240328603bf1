//! Our own scripts on the workspace, and how their arguments are written.
//!
//! How they are written and sent is said in [`crate::transport::script`].

use crate::error::Result;
use crate::transport::RemoteCommand;
use crate::transport::script::ABSOLUTE_PATH;

const PRELUDE: &str = include_str!("remote/prelude.sh");
const REPLACE: &str = include_str!("remote/replace.sh");

/// A script of ours.
#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    PutFile,
    PutFolder,
    Get,
    Search,
}

impl Script {
    fn source(self) -> &'static str {
        match self {
            Script::PutFile => include_str!("remote/put_file.sh"),
            Script::PutFolder => include_str!("remote/put_folder.sh"),
            Script::Get => include_str!("remote/get.sh"),
            Script::Search => include_str!("remote/search.sh"),
        }
    }

    /// As it is written.
    fn readable(self) -> String {
        let replace = if matches!(self, Script::Get | Script::Search) { "" } else { REPLACE };
        [ABSOLUTE_PATH, PRELUDE, replace, self.source()].concat()
    }

    /// The command that runs it; its own lines begin with `mark`, and so does what is private to it.
    pub(super) fn command(
        self,
        mark: &str,
        arguments: &[Vec<u8>],
        private: Option<&str>,
    ) -> Result<RemoteCommand> {
        let (first, second) = mark.split_at(mark.len() / 2);
        let mut all = vec![first.as_bytes(), second.as_bytes()];
        all.extend(arguments.iter().map(Vec::as_slice));
        let command = RemoteCommand::script(&self.readable(), &all)?;
        Ok(match private {
            Some(private) => command.with_private(format!("{mark} {private}")),
            None => command,
        })
    }
}

/// A text as an argument: `=` and the text, or `%` and the text with its odd bytes written for `printf %b`. What is not
/// printable ASCII is not trusted to pass through every login shell.
pub(super) fn argument(text: &[u8]) -> Vec<u8> {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        [b"=", text].concat()
    } else {
        [b"%".to_vec(), octal(text)].concat()
    }
}

/// `bytes` as `printf %b` (POSIX) takes them: what is not printable ASCII, and the backslash, as `\0ddd`.
pub(super) fn octal(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') && byte != b'\\' {
            text.push(byte);
        } else {
            text.extend_from_slice(format!("\\0{byte:03o}").as_bytes());
        }
    }
    text
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;

#[cfg(all(test, unix))]
#[path = "script_cost_tests.rs"]
mod cost_tests;
