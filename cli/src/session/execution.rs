//! Running the user's own command on a workspace: once, with its streams and its status as they are.

use std::ffi::OsString;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::origin::OriginId;
use crate::output::foreign;
use crate::output::progress::note;
use crate::output::stdout;
use crate::session::audit::Action;
#[cfg(unix)]
use crate::session::written::Written;
use crate::session::{Session, Sessions, approved};
use crate::transport::{Ended, Limits, RemoteCommand, Running, Stream, Streams, Variables};

/// How long the last output of a command that was ended may take to be written.
#[cfg(unix)]
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long a look at a folder may take.
const LOOK: Duration = Duration::from_secs(10);

/// The status with which the workspace says that the folder cannot be entered.
const OWN_FAILURE: u8 = 255;

/// A remote command and how to run it.
#[derive(Debug)]
pub struct Execution {
    /// Whether it starts in the home folder instead of the project folder.
    pub from_home: bool,
    /// The folder that it starts in instead: its path from there, or from the root.
    pub folder: Option<String>,
    /// Its environment, besides what it has anyway.
    pub env: Variables,
    /// Whether it gets no stdin.
    pub no_stdin: bool,
    /// How long it may take once it was started.
    pub timeout: Option<Duration>,
    /// The command: one word is a piece of shell, several are a program and its exact arguments.
    pub words: Vec<OsString>,
    /// Whether one word alone is a program as well.
    pub is_exact: bool,
}

/// Starts it in the session, with these streams.
pub fn begin(
    sessions: &Sessions<'_>,
    session: &Session,
    execution: &Execution,
    streams: &Streams,
) -> Result<Running> {
    let command = prepared(session, execution)?;
    sessions.start_as(session, &command, streams, || Action::exec(execution, session))
}

/// As [`begin`], on a terminal of this type (`TERM`) on the workspace.
pub fn begin_on_terminal(
    sessions: &Sessions<'_>,
    session: &Session,
    execution: &Execution,
    kind: &str,
    streams: &Streams,
) -> Result<Running> {
    let command = prepared(session, execution)?.on_terminal(kind);
    sessions.start_as(session, &command, streams, || Action::exec(execution, session))
}

/// What the login shell of the session's workspace gets to run it, unless that would show a secret.
pub fn prepared(session: &Session, execution: &Execution) -> Result<RemoteCommand> {
    refuse_shown_secrets(session, &execution.env)?;
    command(session, execution).map(RemoteCommand::may_use_spare)
}

/// Runs it in the session and returns the status to end with.
pub fn execute(sessions: &Sessions<'_>, session: &Session, execution: &Execution) -> Result<u8> {
    let mut streams = Streams::inherit();
    if execution.no_stdin {
        streams.stdin = Stream::Null;
    }
    let started = |streams: &Streams| begin(sessions, session, execution, streams);
    let is_warm = || sessions.transport(session).is_warm();
    let raise = "it was not run again; raise --timeout, or leave it out";
    let is_direct = !sessions.transport(session).is_through_ssh();
    let ended = pass_through(streams, execution.timeout, raise, started, is_warm, is_direct);
    let status = approved::explained(session, ended)?;
    if status != 0
        && let Some(program) = terminal_program(&execution.words)
    {
        note(format!(
            "runcode: `{program}` may want a terminal, which exec has not: open `runcode shell` and run it there"
        ));
    }
    Ok(status)
}

/// As [`execute`], for a caller that reads errors as JSON: the line by which the workspace says that the folder cannot be
/// entered is only for people.
pub fn execute_for_programs(sessions: &Sessions<'_>, session: &Session, execution: &Execution) -> Result<u8> {
    let status = execute(sessions, session, execution)?;
    let Some(folder) = folder(session, execution)?.filter(|_| status == OWN_FAILURE) else {
        return Ok(status);
    };
    let nothing = RemoteCommand::arguments(Some(&folder), &Variables::default(), &["true"])?;
    let streams = Streams { stdin: Stream::Null, stdout: Stream::Null, stderr: Stream::Null };
    let limits = Limits { timeout: Some(LOOK), interruptible: true };
    let looked =
        sessions.start_permitted(session, &nothing, &streams).and_then(|running| running.wait(&limits));
    if !matches!(looked, Ok(Ended::Status(OWN_FAILURE))) {
        return Ok(status); // it can be entered, so the status is the command's own
    }
    let what = format!(
        "cannot enter {} on the workspace: it is not a folder, or you may not enter it",
        foreign::path(&folder.brief())
    );
    Err(Error::new(Code::NotFound, what)
        .hint("name a folder that is there, or use --home alone to start in the home folder"))
}

/// Starts a command with these streams and waits for it; the status to end with. `raise`: what to do when its time is up.
/// `is_warm`: whether its connection stands. `is_direct`: whether a master has its streams, and no `ssh` of its own.
pub(super) fn pass_through(
    #[cfg_attr(windows, expect(unused_mut, reason = "nothing is passed on there"))] mut streams: Streams,
    timeout: Option<Duration>,
    raise: &str,
    start: impl FnOnce(&Streams) -> Result<Running>,
    is_warm: impl FnOnce() -> bool,
    #[cfg_attr(windows, expect(unused_variables, reason = "nothing is passed on there"))] is_direct: bool,
) -> Result<u8> {
    #[cfg(unix)]
    let written = Written::take_over(&mut streams, is_direct)?;
    let running = start(&streams)?;
    drop(streams); // a pipe ends when nobody holds its other end
    let ended = running.wait(&Limits { timeout, interruptible: true });
    #[cfg(unix)]
    match ended {
        Ok(Ended::Status(_) | Ended::NoStatus) => written.finish()?,
        Ok(Ended::Interrupted { .. } | Ended::TimedOut { .. }) | Err(_) => written.finish_within(LAST_WORDS),
    }
    status(ended?, timeout, raise, is_warm)
}

/// The status to end with after a command that ended so.
pub(super) fn status(
    ended: Ended,
    timeout: Option<Duration>,
    raise: &str,
    is_warm: impl FnOnce() -> bool,
) -> Result<u8> {
    match ended {
        Ended::Status(status) => Ok(status),
        // What it wrote to had no reader any more: the signal that ended it was SIGPIPE.
        Ended::NoStatus if stdout::has_no_reader() => Err(stdout::reader_gone()),
        Ended::NoStatus => Err(without_status(is_warm())),
        Ended::Interrupted { signal, remote_ended } => {
            if !remote_ended {
                note("runcode: interrupted; the command may still be running on the workspace");
            }
            Ok(u8::try_from(128 + signal).unwrap_or(Code::Interrupted.exit_status()))
        }
        Ended::TimedOut { remote_ended } => {
            let fate = if remote_ended { "it was ended" } else { "it may still be running" };
            let seconds = timeout.unwrap_or_default().as_secs();
            let error = format!("the command took longer than {seconds} s, and {fate}");
            Err(Error::new(Code::TimedOut, error).hint(raise))
        }
    }
}

/// Programs that do nothing without a terminal.
const FOR_TERMINALS: [&str; 18] = [
    "top", "htop", "btop", "atop", "vi", "vim", "nvim", "nano", "emacs", "mc", "tmux", "screen", "watch",
    "passwd", "su", "visudo", "dialog", "tig",
];

/// The program that these words start, when it is one that needs a terminal.
fn terminal_program(words: &[OsString]) -> Option<&'static str> {
    let first = words.first()?.to_str()?.split_whitespace().next()?;
    let name = first.rsplit('/').next()?;
    FOR_TERMINALS.into_iter().find(|known| *known == name)
}

/// On a machine that others may use too, a secret has no place in a command line. A control plane's workspace is its user's
/// alone.
fn refuse_shown_secrets(session: &Session, env: &Variables) -> Result<()> {
    if matches!(session.meta.key.origin(), OriginId::Plane(_)) {
        return Ok(());
    }
    let Some((name, _)) = env.plain.iter().find(|(name, _)| name.is_secret_like()) else { return Ok(()) };
    let name = name.as_str();
    let error = format!("--env {name} looks like a secret, which every user of the host could read");
    Err(Error::new(Code::Usage, error)
        .hint(format!("set it here and use --env-secret {name}, which keeps it out of the command line")))
}

/// Why there is no status. Without a session, the command had a connection of its own, which is gone.
pub fn unknown_end(sessions: &Sessions<'_>, session: Option<&Session>) -> Error {
    without_status(session.is_some_and(|session| sessions.transport(session).is_warm()))
}

/// A command whose status never came: on a connection that still stands, a signal took the whole shell.
fn without_status(is_warm: bool) -> Error {
    if is_warm {
        return Error::new(Code::Killed, "the command was killed by a signal on the workspace")
            .hint("it ran in part, and was not run again; too little memory is a common reason");
    }
    Error::new(Code::Transport, "the connection was lost before the command's status arrived")
        .hint("it may have run in part, and may still be running; it was not run again")
}

fn command(session: &Session, execution: &Execution) -> Result<RemoteCommand> {
    let workdir = folder(session, execution)?;
    match &execution.words[..] {
        [snippet] if !execution.is_exact => RemoteCommand::snippet(workdir.as_ref(), &execution.env, snippet),
        arguments => RemoteCommand::arguments(workdir.as_ref(), &execution.env, arguments),
    }
}

/// The folder that it starts in; `None` is the home folder.
fn folder(session: &Session, execution: &Execution) -> Result<Option<Workdir>> {
    let workdir = session.meta.workdir.as_ref().filter(|_| !execution.from_home);
    let named = execution.folder.as_ref().map(|folder| {
        Workdir::below(workdir, folder).map_err(|why| {
            Error::new(Code::Usage, format!("--cwd {why}")).hint("name a folder on the workspace: --cwd DIR")
        })
    });
    Ok(named.transpose()?.or_else(|| workdir.cloned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_terminals_are_known_by_name() {
        let found = |words: &[&str]| terminal_program(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for (words, program) in [
            (&["top"][..], Some("top")),
            (&["/usr/bin/htop", "-d", "1"], Some("htop")),
            (&["vim file && make"], Some("vim")),
            (&["make", "top"], None),
            (&["stop"], None),
            (&["top.sh"], None),
            (&["  "], None),
            (&[], None),
        ] {
            assert_eq!(found(words), program, "{words:?}");
        }
    }
}
