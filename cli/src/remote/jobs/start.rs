//! Starting a job: once, whatever becomes of the connection.
//!
//! Whoever makes the job's folder has claimed the job. It starts once its whole command has arrived, which is a second claim. If
//! the answer to a start is lost, the client asks about the folder; the workspace then takes whichever claim is left, so that a start that is still
//! on its way comes too late.

use crate::error::{Code, Error, Result};
use crate::remote::answer::{Answer, stdin_of};
use crate::remote::jobs::facts::{Facts, Job, JobId, State};
use crate::remote::jobs::{FOLDER, PATIENCE, PROCESS, SETTLE, ask, refused};
use crate::session::{Session, Sessions, approved};
use crate::sys::random;
use crate::transport::script::shorten;
use crate::transport::{Ended, Limits, RemoteCommand, Stream, Streams};

const START: &str = include_str!("start.sh");
const SUPERVISE: &str = include_str!("supervise.sh");
const LAUNCH: &str = include_str!("launch.sh");

/// The scripts that a start takes.
#[cfg(all(test, unix))]
pub(super) const SCRIPTS: [fn() -> String; 3] = [starting, supervising, launching];

/// What to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// What the login shell would get from `exec`.
    pub command: &'a RemoteCommand,
    /// The name that the user gives it.
    pub name: Option<&'a str>,
    /// The command as people read it, on one line.
    pub shown: &'a str,
}

/// A job that was started.
#[derive(Debug)]
pub struct Begun {
    /// Its id.
    pub id: JobId,
    /// Whether systemd ends it when its user logs out, and whether the user lingers then.
    pub killed_at_logout: Option<bool>,
    /// Whether another job has the name, too.
    pub is_reused: bool,
}

fn starting() -> String {
    [PROCESS, FOLDER, START].join("\n")
}

fn supervising() -> String {
    [PROCESS, SUPERVISE].join("\n")
}

fn launching() -> String {
    [PROCESS, LAUNCH].join("\n")
}

/// Starts it on the workspace.
pub fn start(sessions: &Sessions<'_>, session: &Session, what: &Start<'_>) -> Result<Begun> {
    approved::refuse_job(session)?;
    let id = JobId::new();
    let facts = match try_to_start(sessions, session, &id, what) {
        Ok(Some(facts)) => facts,
        Ok(None) => return settle(sessions, session, id),
        Err(error) if error.code() == Code::Interrupted && error.may_have_begun() => {
            let hint = format!("`runcode jobs` shows whether it was started, as {}", id.as_str());
            return Err(error.hint(hint));
        }
        Err(error) if error.may_have_begun() => return settle(sessions, session, id),
        Err(error) => return Err(error),
    };
    match (&facts.refusal, facts.started) {
        (Some(refusal), _) => Err(refused(refusal, id.as_str())),
        (None, Some(started)) if started == id => {
            let Facts { killed_at_logout, is_reused, .. } = facts;
            Ok(Begun { id, killed_at_logout, is_reused })
        }
        _ => settle(sessions, session, id),
    }
}

/// Asks for a start; `None` where the answer did not come whole. The process that answers is killed by the supervisor that it
/// started, so its status says nothing.
fn try_to_start(
    sessions: &Sessions<'_>,
    session: &Session,
    id: &JobId,
    what: &Start<'_>,
) -> Result<Option<Facts>> {
    let mark = random::word();
    let (first, second) = mark.split_at(mark.len() / 2);
    let (supervise, launch) = (shorten(&supervising()), shorten(&launching()));
    let arguments =
        [first, second, id.as_str(), what.name.unwrap_or_default(), what.shown, &supervise, &launch];
    let arguments = arguments.map(str::as_bytes);
    let mut command = RemoteCommand::script(&starting(), &arguments)?;
    if let Some(private) = what.command.private() {
        command = command.with_private(private.to_owned());
    }
    let text = [what.command.text(), b"\n", mark.as_bytes(), b"\n"].concat();
    let (answer, stdout) = Answer::piped()?;
    let streams = Streams { stdin: stdin_of(text)?, stdout, stderr: Stream::Null };
    let running = sessions.start(session, &command, &streams)?;
    drop(streams);
    let ended = match running.wait(&Limits { timeout: Some(PATIENCE), interruptible: true }) {
        Ok(Ended::Interrupted { .. }) => return Err(Error::interrupted().maybe_begun()),
        Ok(_) => answer.text(),
        Err(_) => None,
    };
    Ok(ended.and_then(|text| Facts::parse(&text, &mark)))
}

/// Asks whether the job was started, and sees to it that it will not be if it was not.
fn settle(sessions: &Sessions<'_>, session: &Session, id: JobId) -> Result<Begun> {
    let unknown = |error: Error| {
        let what =
            format!("it is not known whether the job {} was started: {}", id.as_str(), error.message());
        Error::new(Code::Transport, what)
            .hint("do not start it again before `runcode jobs` shows whether it is there")
    };
    let facts = ask(sessions, session, SETTLE, &[id.as_str()], PATIENCE).map_err(unknown)?;
    match facts.jobs.into_iter().next() {
        _ if facts.is_void => {
            let what = "the connection was lost before the job was started; it did not run, and will not";
            Err(Error::new(Code::Transport, what).hint("run it again"))
        }
        Some(Job { id: found, state, .. }) if found == id && state != State::Starting => {
            Ok(Begun { id, killed_at_logout: None, is_reused: false })
        }
        _ => Err(unknown(Error::new(Code::Transport, "the workspace does not say"))),
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::remote::jobs::JUDGE;
    use crate::sys::clock::Deadline;

    /// What a script tells a client, in a home of its own.
    fn told(home: &std::path::Path, script: &str, arguments: &[&str], input: &str) -> Facts {
        let mut sh = Command::new("sh");
        sh.args(["-c", script, "sh", "MA", "RK"]).args(arguments).env_remove("XDG_STATE_HOME");
        let sh = sh.env("HOME", home).current_dir(home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = sh.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Facts::parse(&String::from_utf8_lossy(&output.stdout), "MARK").unwrap()
    }

    #[test]
    fn what_is_settled_never_starts() {
        let home = tempfile::tempdir().unwrap();
        let id = JobId::new();
        let settle = [PROCESS, FOLDER, JUDGE, SETTLE].join("\n");
        assert!(told(home.path(), &settle, &[id.as_str()], "").is_void);
        let (supervise, launch) = (supervising(), launching());
        let arguments = [id.as_str(), "", "x", &supervise, &launch];
        let facts = told(home.path(), &starting(), &arguments, "touch ran\nexit\nMARK\n");
        assert!(facts.refusal.is_some() && facts.started.is_none(), "{facts:?}");
        assert!(!home.path().join("ran").exists());
    }

    /// The rest of the command may be on its way when the workspace is asked.
    #[test]
    fn what_is_settled_half_way_never_starts() {
        let home = tempfile::tempdir().unwrap();
        let id = JobId::new();
        let (starting, supervise, launch) = (starting(), supervising(), launching());
        let mut sh = Command::new("sh");
        sh.args(["-c", &starting, "sh", "MA", "RK", id.as_str(), "", "x", &supervise, &launch]);
        sh.env_remove("XDG_STATE_HOME").env("HOME", home.path()).current_dir(home.path());
        let mut child = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"touch ran\n").unwrap();
        let text = home.path().join(".local/state/runcode/jobs").join(id.as_str()).join("text");
        let patience = Deadline::after(PATIENCE);
        while !text.exists() && !patience.is_past() {
            patience.pause(std::time::Duration::from_millis(5));
        }
        let settle = [PROCESS, FOLDER, JUDGE, SETTLE].join("\n");
        assert!(told(home.path(), &settle, &[id.as_str()], "").is_void);
        input.write_all(b"exit\nMARK\n").unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let facts = Facts::parse(&String::from_utf8_lossy(&output.stdout), "MARK").unwrap();
        assert_eq!(facts.refusal, Some(crate::remote::jobs::Refusal::Cut));
        assert!(!home.path().join("ran").exists());
    }

    #[test]
    fn what_cannot_be_removed_is_told() {
        let home = tempfile::tempdir().unwrap();
        let id = JobId::new();
        let job = home.path().join(".local/state/runcode/jobs").join(id.as_str());
        std::fs::create_dir_all(&job).unwrap();
        let clean = [PROCESS, FOLDER, JUDGE, crate::remote::jobs::CLEAN].join("\n");
        let facts = told(home.path(), &format!("mv() {{ return 1; }}\n{clean}"), &[""], "");
        assert_eq!((facts.removed, facts.kept), (Vec::new(), vec![id.clone()]));
        let facts = told(home.path(), &clean, &[""], "");
        assert_eq!((facts.removed, facts.kept), (vec![id], Vec::new()));
        assert!(!job.exists());
    }

    #[test]
    fn a_command_that_is_cut_never_runs() {
        let home = tempfile::tempdir().unwrap();
        let (supervise, launch) = (supervising(), launching());
        for cut in ["", "touch ran", "touch ran\nexit\n", "touch ran\nexit\nMAR"] {
            let id = JobId::new();
            let arguments = [id.as_str(), "", "x", &supervise, &launch];
            let facts = told(home.path(), &starting(), &arguments, cut);
            assert_eq!(facts.refusal, Some(crate::remote::jobs::Refusal::Cut), "{cut}");
            assert!(!home.path().join(".local/state/runcode/jobs").join(id.as_str()).exists());
        }
        assert!(!home.path().join("ran").exists());
    }
}
