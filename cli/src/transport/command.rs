//! The text that the box's login shell is given to run a command.
//!
//! sshd hands one string to the user's login shell, whichever that is. So the text around the user's own command is
//! written in what POSIX shells, zsh, fish and csh have in common. One line enters the folder and holds the command, so
//! that operators in the command bind to it alone; the last line is `exit`, which keeps the shell in place, for two ends:
//!
//! - its arguments show the command's random [`RemoteCommand::token`] while it runs, by which
//!   `remote_end` finds the process group;
//! - a command that a signal killed has the status 128+n instead of none.

use std::ffi::OsStr;
use std::fmt;

use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::sys::random;
use crate::transport::quote;

/// The longest text that Linux takes as one argument of a program (`MAX_ARG_STRLEN`, execve(2)), less its end mark.
pub const MAX_TEXT: usize = 131_071;

/// csh alone has `$shell`, and alone forgets the status at a bare `exit`: there, an alias puts that right.
const CSH_EXIT: &str = r#"test "$shell" = '' || alias exit 'set _=(\!* $status);exec sh -c "exit $_[1]"'; "#;

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*` (POSIX, 8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvName(String);

impl EnvName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<EnvName, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !text.is_empty() && text.bytes().all(allowed) && !text.as_bytes()[0].is_ascii_digit() {
            Ok(EnvName(text.to_owned()))
        } else {
            Err("is not a name of letters, digits and `_` that begins with no digit")
        }
    }
}

/// A command, as the text that the login shell gets.
#[derive(Clone)]
pub struct RemoteCommand {
    text: Vec<u8>,
    token: String,
    private: Option<String>,
}

impl RemoteCommand {
    /// A piece of shell, run by the login shell in `workdir` (in the home folder when `None`).
    pub fn snippet(
        workdir: Option<&Workdir>,
        env: &[(EnvName, String)],
        snippet: impl AsRef<OsStr>,
    ) -> Result<RemoteCommand> {
        let snippet = bytes(snippet.as_ref())?;
        let token = token();
        let mut text = opening(&token, workdir);
        if !env.is_empty() || replaces_its_shell(snippet) {
            let mut command = with_env(env);
            command.extend_from_slice(b"\"$SHELL\" -c ");
            quote::word(&mut command, snippet);
            text.append(&mut quote::on_one_line(command, &token));
        } else if runs_on(snippet) {
            text.extend_from_slice(b"eval ");
            quote::word(&mut text, snippet);
        } else {
            text.extend_from_slice(snippet);
        }
        text.extend_from_slice(b"\nexit");
        RemoteCommand::checked(text, token)
    }

    /// A program and its exact arguments, in `workdir` (in the home folder when `None`).
    pub fn arguments<A: AsRef<OsStr>>(
        workdir: Option<&Workdir>,
        env: &[(EnvName, String)],
        arguments: &[A],
    ) -> Result<RemoteCommand> {
        let token = token();
        let mut text = opening(&token, workdir);
        let mut command = with_env(env);
        for (position, argument) in arguments.iter().enumerate() {
            if position > 0 {
                command.push(b' ');
            }
            quote::word(&mut command, bytes(argument.as_ref())?);
        }
        text.append(&mut quote::on_one_line(command, &token));
        text.extend_from_slice(b"\nexit");
        RemoteCommand::checked(text, token)
    }

    /// A script of ours and its arguments (`$1`…), run by the box's `sh` in the home folder, whatever the login shell is.
    /// A line feed in either is fine; each costs less than a fork.
    pub fn script(script: &str, arguments: &[&[u8]]) -> Result<RemoteCommand> {
        let token = token();
        let mut command = b"sh -c ".to_vec();
        quote::word(&mut command, script.as_bytes());
        command.push(b' ');
        command.extend_from_slice(token.as_bytes());
        for argument in arguments {
            command.push(b' ');
            quote::word(&mut command, argument);
        }
        let mut text = b"exec ".to_vec();
        text.append(&mut quote::on_one_line(command, &token));
        RemoteCommand::checked(text, token)
    }

    fn checked(text: Vec<u8>, token: String) -> Result<RemoteCommand> {
        if text.contains(&0) {
            return Err(Error::new(Code::Usage, "the command contains a NUL byte"));
        }
        if text.len() > MAX_TEXT {
            let over = text.len() - MAX_TEXT;
            return Err(Error::new(
                Code::Usage,
                format!("the command is {over} bytes longer than a box takes ({MAX_TEXT} in all)"),
            )
            .hint(
                "send it as input instead: runcode exec -- sh < script, or runcode exec -- xargs < arguments",
            ));
        }
        Ok(RemoteCommand { text, token, private: None })
    }

    /// The same with what no other user may see: unlike its arguments, a process's environment is for its user alone. Where
    /// the box does not take it, it is not there. Without NUL bytes.
    pub fn with_private(mut self, private: String) -> RemoteCommand {
        self.private = Some(private);
        self
    }

    /// What is private to it, for the variable [`crate::openssh::config::PRIVATE`].
    pub fn private(&self) -> Option<&str> {
        self.private.as_deref()
    }

    /// What the login shell gets.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// A random word that is among the arguments of the command's outermost process for as long as it runs.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteCommand({:?})", String::from_utf8_lossy(&self.text))
    }
}

fn token() -> String {
    format!("runcode-{}", random::word())
}

/// The bytes of an argument. On Windows it has to be Unicode: there is no other way to tell the box what is meant.
fn bytes(text: &OsStr) -> Result<&[u8]> {
    if cfg!(unix) {
        return Ok(text.as_encoded_bytes());
    }
    let text = text.to_str().ok_or_else(|| Error::new(Code::Usage, "an argument is not valid Unicode"))?;
    Ok(text.as_bytes())
}

/// The token, and the way into `workdir`. `test` comes first because csh gives up where its own `cd` fails.
fn opening(token: &str, workdir: Option<&Workdir>) -> Vec<u8> {
    let mut text = format!(": {token}; {CSH_EXIT}");
    if let Some(workdir) = workdir {
        text += &format!(
            "test -x '{workdir}/.' && cd '{workdir}' >/dev/null || exec sh -c '\
             echo \"runcode: cannot enter {workdir} on the workspace: it is no folder, or not ours to enter\" >&2; \
             echo \"runcode: to run in the home folder, say --home\" >&2; exit 255'; "
        );
    }
    text.into_bytes()
}

fn with_env(env: &[(EnvName, String)]) -> Vec<u8> {
    let mut text = Vec::new();
    if !env.is_empty() {
        text.extend_from_slice(b"env ");
    }
    for (name, value) in env {
        quote::word(&mut text, format!("{}={value}", name.0).as_bytes());
        text.push(b' ');
    }
    text
}

/// Whether a snippet would swallow the line after it: it ends in a backslash or an operator, or a here-document in it
/// is never ended. Such a one is evaluated as a word of its own.
fn runs_on(snippet: &[u8]) -> bool {
    let end = snippet.trim_ascii_end().last();
    matches!(end, Some(b'\\' | b'&' | b'|')) || has_open_heredoc(snippet)
}

/// Whether a snippet may have its shell become another program (`cd a && exec make`). That shell is then not the outermost
/// one, whose arguments bear the token.
fn replaces_its_shell(snippet: &[u8]) -> bool {
    let passed = |word: &&[u8]| matches!(*word, b"then" | b"do" | b"else" | b"!") || word.contains(&b'=');
    snippet.split(|byte| b";&|(){}\n".contains(byte)).any(|command| {
        let mut words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.find(|word| !passed(word)) == Some(b"exec")
    })
}

fn has_open_heredoc(snippet: &[u8]) -> bool {
    let lines: Vec<&[u8]> = snippet.split(|&byte| byte == b'\n').collect();
    lines.iter().enumerate().any(|(number, line)| {
        let starts = line.windows(2).enumerate().filter(|(_, two)| two == b"<<");
        starts.map(|(at, _)| &line[at + 2..]).any(|rest| {
            let (tabs, rest) = rest.strip_prefix(b"-").map_or((false, rest), |rest| (true, rest));
            let quotes = |byte: &u8| !matches!(byte, b'\'' | b'"' | b'\\');
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b";|&<>()".contains(byte);
            let word = rest.trim_ascii_start().split(ends).next().unwrap_or_default();
            let word: Vec<u8> = word.iter().copied().filter(quotes).collect();
            let closes = |line: &&[u8]| {
                let start = if tabs { line.iter().take_while(|&&byte| byte == b'\t').count() } else { 0 };
                line[start..] == word
            };
            !lines[number + 1..].iter().any(closes)
        })
    })
}

#[cfg(all(test, unix))]
#[path = "command_tests.rs"]
mod tests;
