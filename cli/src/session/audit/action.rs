//! What is about to be done, as the audit log shows it: without secrets, and not longer than it need be.

use std::ffi::OsStr;

use runcode_audit::{Entry, REDACTED, redact, redact_words};
use runcode_text::sh_words;

use crate::session::Session;
use crate::session::execution::Execution;
use crate::sys::digest::sha256;
use crate::transport::RemoteCommand;

/// How much of a command is recorded, in bytes. Its digest is that of all of it.
const MAX_COMMAND: usize = 64 * 1024;

/// What is about to be done.
#[derive(Debug)]
pub struct Action {
    pub(super) name: &'static str,
    command: Option<Command>,
    cwd: Option<String>,
}

/// A command as it may be shown.
#[derive(Debug)]
pub(in crate::session) struct Command {
    pub(in crate::session) shown: String,
    pub(in crate::session) sha256: Option<String>,
}

impl Command {
    /// `shown` is what may be shown of `whole`.
    pub(in crate::session) fn new(mut shown: String, whole: &str) -> Command {
        let sha256 = (shown == whole).then(|| sha256(whole.as_bytes()));
        if shown.len() > MAX_COMMAND {
            let end = (0..=MAX_COMMAND).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or_default();
            shown.truncate(end);
            shown.push('…');
        }
        Command { shown, sha256 }
    }

    fn of_words<'a>(words: impl Iterator<Item = &'a str> + Clone) -> Command {
        let (shown, _) = redact_words(words.clone());
        Command::new(sh_words(shown.iter().map(String::as_str)), &sh_words(words))
    }
}

impl Action {
    /// Something of this name, about which there is no more to say.
    pub fn named(name: &'static str) -> Action {
        Action { name, command: None, cwd: None }
    }

    /// Something of this name, with the words that it was asked for by.
    pub fn of<W: AsRef<OsStr>>(name: &'static str, words: impl IntoIterator<Item = W>) -> Action {
        let words =
            words.into_iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect::<Vec<_>>();
        let command = (!words.is_empty()).then(|| Command::of_words(words.iter().map(String::as_str)));
        Action { command, ..Action::named(name) }
    }

    /// The user's own command, as a job.
    pub fn job(execution: &Execution, session: &Session) -> Action {
        Action { name: "job_start", ..Action::exec(execution, session) }
    }

    /// A remote command as it is sent.
    pub(in crate::session) fn sent(command: &RemoteCommand) -> Action {
        let text = String::from_utf8_lossy(command.text());
        Action { command: Some(Command::new(redact(&text).text, &text)), ..Action::named("exec") }
    }

    /// The user's own command.
    pub(in crate::session) fn exec(execution: &Execution, session: &Session) -> Action {
        let words =
            execution.words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let plain = execution.env.plain.iter().map(|(name, value)| format!("{}={value}", name.as_str()));
        let secret = execution.env.secret.iter().map(|(name, _)| format!("{}={REDACTED}", name.as_str()));
        let env = plain.chain(secret).collect::<Vec<_>>();
        let command = match &words[..] {
            [snippet] if !execution.is_exact && env.is_empty() => Command::new(redact(snippet).text, snippet),
            [snippet] if !execution.is_exact => {
                let whole = format!("{} {snippet}", sh_words(env.iter().map(String::as_str)));
                let (shown, _) = redact_words(env.iter().map(String::as_str));
                let shown =
                    format!("{} {}", sh_words(shown.iter().map(String::as_str)), redact(snippet).text);
                Command::new(shown, &whole)
            }
            words => Command::of_words(env.iter().chain(words).map(String::as_str)),
        };
        let has_secret = !execution.env.secret.is_empty();
        let command = Command { sha256: command.sha256.filter(|_| !has_secret), ..command };
        let workdir = session.meta.workdir.as_ref().filter(|_| !execution.from_home);
        let cwd = execution.folder.clone().or_else(|| workdir.map(|it| it.as_str().to_owned()));
        Action { name: "exec", command: Some(command), cwd }
    }

    pub(super) fn entry(self, entry: Entry) -> Entry {
        let (rendered_command, command_sha256) =
            self.command.map_or((None, None), |command| (Some(command.shown), command.sha256));
        Entry { action: self.name.to_owned(), rendered_command, command_sha256, cwd: self.cwd, ..entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_without_secrets() {
        let whole = Command::of_words(["make", "two words", ""].into_iter());
        assert_eq!(whole.shown, "make 'two words' ''");
        assert_eq!(whole.sha256, Some(sha256(b"make 'two words' ''")));
        let secret = Command::of_words(["psql", "--password=hunter2"].into_iter());
        assert_eq!((secret.shown.as_str(), secret.sha256), ("psql --password=[redacted]", None));
        let long = "ä".repeat(MAX_COMMAND);
        let cut = Command::new(long.clone(), &long);
        assert!(cut.shown.len() <= MAX_COMMAND + 3 && cut.sha256 == Some(sha256(long.as_bytes())));
    }
}
