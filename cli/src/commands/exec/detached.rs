//! `exec --detach`: the command becomes a job.

use std::ffi::OsString;

use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::output::progress::note;
use crate::output::report::{Report, Text};
use crate::output::sanitize;
use crate::remote::jobs::{self, Begun, Start};
use crate::session::audit::Action;
use crate::session::execution::{Execution, prepared};
use crate::session::{Session, Sessions};
use crate::sys::standard_input;

/// Whether it becomes a job, and which.
#[derive(clap::Args, Debug, Default)]
pub(super) struct Options {
    /// Start the command as a job that outlives the connection and reads no stdin, and print the job's id; see `runcode jobs`
    #[arg(long, conflicts_with_all = ["timeout", "profile"])]
    pub(super) detach: bool,
    /// Give the job a name that `runcode jobs` takes instead of its id
    #[arg(long, value_name = "NAME", requires = "detach")]
    name: Option<String>,
}

/// A job that was started.
pub struct Started {
    begun: Begun,
    name: Option<String>,
    command: String,
    workspace: Value,
}

impl Report for Started {
    fn json(&self) -> Value {
        json!({
            "id": self.begun.id.as_str(),
            "name": self.name,
            "command": self.command,
            "workspace": self.workspace,
        })
    }

    fn text(&self, text: &mut Text) {
        text.line(self.begun.id.as_str());
    }
}

impl Started {
    /// Its id.
    pub fn id(&self) -> &str {
        self.begun.id.as_str()
    }

    /// What may happen to it, and what to do about that.
    pub fn warning(&self) -> Option<[String; 2]> {
        let lingers = self.begun.killed_at_logout?;
        let linger = if lingers { "" } else { ", and lingering is off for you (Linger=no)" };
        let what = format!(
            "systemd may end this job when the connection closes: the workspace's logind.conf says KillUserProcesses=yes{linger}"
        );
        let hint = "its administrator can set KillUserProcesses=no, or add you to KillExcludeUsers";
        Some([what, hint.to_owned()])
    }
}

/// Starts it in the session, as the command line says it.
pub(super) fn start(
    options: &Options,
    sessions: &Sessions<'_>,
    session: &Session,
    execution: &Execution,
) -> Result<Started> {
    if let Some(name) = options.name.as_deref().filter(|name| !jobs::is_name(name)) {
        let what = format!("{} is not a name for a job", foreign::word(name));
        return Err(Error::new(Code::Usage, what).hint(
            "a name has up to 64 letters, digits, `.`, `_` and `-`, and begins with a letter or a digit",
        ));
    }
    if !execution.no_stdin && standard_input::is_file() {
        return Err(Error::new(Code::Usage, "a job reads no stdin, and stdin is a file here")
            .hint("send the file with `runcode put`, or add --no-stdin"));
    }
    let started = begin(options.name.as_deref(), sessions, session, execution)?;
    if let Some([what, hint]) = started.warning() {
        note(format!("note: {what}"));
        note(format!("  hint: {hint}"));
    }
    if let Some(name) = options.name.as_deref().filter(|_| started.begun.is_reused) {
        let id = started.begun.id.as_str();
        note(format!("note: another job is called {name}, too; refer to this one by its id: {id}"));
    }
    Ok(started)
}

/// Starts it in the session.
pub fn begin(
    name: Option<&str>,
    sessions: &Sessions<'_>,
    session: &Session,
    execution: &Execution,
) -> Result<Started> {
    let command = shown(&execution.words);
    let prepared = prepared(session, execution)?;
    let what = Start { command: &prepared, name, shown: &command };
    let begun = sessions.audited(
        &session.meta.key,
        || Action::job(execution, session),
        || jobs::start(sessions, session, &what),
    )?;
    let workspace = Value::from(session.meta.title.json());
    Ok(Started { begun, name: name.map(str::to_owned), command, workspace })
}

/// The command on one line: as it was typed where it is a piece of shell, else with the quotes that its words need.
fn shown(words: &[OsString]) -> String {
    let words = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>();
    let text = match &words[..] {
        [snippet] => snippet.to_string(),
        words => runcode_text::sh_words(words.iter().map(AsRef::as_ref)),
    };
    sanitize::short(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_on_one_line() {
        let shown = |words: &[&str]| shown(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(shown(&["cd a &&\n  make"]), "cd a && make");
        assert_eq!(
            shown(&["make", "-j4", "all targets", "it's", ""]),
            "make -j4 'all targets' 'it'\\''s' ''"
        );
        assert_eq!(shown(&["echo \u{1b}[2J"]), "echo \u{fffd}[2J");
        assert_eq!(shown(&[&"x".repeat(1000)]).chars().count(), 200);
    }
}
