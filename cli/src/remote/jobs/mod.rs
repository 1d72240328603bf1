//! Jobs: commands on a workspace that outlive the connection. A folder there holds each of them; nothing of them is kept here.
//!
//! Each question is one script and its answer, in lines that begin with a random mark. A job has a supervisor, an `sh` of its
//! own session that keeps the output and notes the status; the command itself leads another session, whose process group is
//! signalled together.

mod facts;
mod follow;
mod patient;
mod start;

use std::time::{Duration, Instant};

pub use facts::{Facts, Job, JobId, Kept, Refusal, State};
pub use follow::{Piece, Want, output, read_pieces};
pub use start::{Begun, Start, start};

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::remote::answer::answer_once_begun;
use crate::session::{Session, Sessions};
use crate::sys::clock::Deadline;
use crate::sys::random;
use crate::transport::RemoteCommand;

const PROCESS: &str = include_str!("process.sh");
const FOLDER: &str = include_str!("folder.sh");
const JUDGE: &str = include_str!("judge.sh");
const LIST: &str = include_str!("list.sh");
const OUTPUT: &str = include_str!("output.sh");
const WAIT: &str = include_str!("wait.sh");
const KILL: &str = include_str!("kill.sh");
const CLEAN: &str = include_str!("clean.sh");
const SETTLE: &str = include_str!("settle.sh");

/// How long the workspace may take to answer at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to go on asking while no connection can be made.
const ABSENCE: Duration = Duration::from_secs(300);

/// A connection that lasted longer than this resets the time allowed by `ABSENCE`.
const SERVED: Duration = Duration::from_secs(30);

/// The longest name.
const MAX_NAME: usize = 64;

/// Signals that a job can be sent.
pub const SIGNALS: [&str; 11] =
    ["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT", "ALRM", "ABRT"];

/// Whether a job may have this name, which is a word for every shell.
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(is_plain)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// The jobs of the workspace, the newest first, and how many more there are.
pub fn list(sessions: &Sessions<'_>, session: &Session) -> Result<(Vec<Job>, usize)> {
    let facts = ask(sessions, session, LIST, &[], PATIENCE)?;
    Ok((facts.jobs, facts.more))
}

/// Waits for the end of the job with this id or name, also over new connections; the job as it is then. Its state says whether
/// the time was up before.
pub fn wait(
    sessions: &Sessions<'_>,
    session: &Session,
    words: &str,
    timeout: Option<Duration>,
) -> Result<Job> {
    let deadline = timeout.map(Deadline::after);
    let mut absence = Absence::default();
    loop {
        let left = deadline.map(|deadline| deadline.remaining().as_millis().div_ceil(1000));
        let seconds = left.map(|left| left.to_string()).unwrap_or_default();
        let patience = left.map_or(Duration::MAX, |left| {
            Duration::from_secs(u64::try_from(left).unwrap_or(u64::MAX)).saturating_add(PATIENCE)
        });
        let asked = &[words, &seconds];
        let failed = match ask_for_long(sessions, session, WAIT, asked, patience, &mut absence.begun) {
            Ok(facts) => return only(facts),
            Err(failed) => failed,
        };
        absence.endure(failed, deadline)?;
    }
}

/// Sends a signal to the job's process group; the job as it is a moment later.
pub fn kill(sessions: &Sessions<'_>, session: &Session, words: &str, signal: &str) -> Result<Job> {
    let facts = ask(sessions, session, KILL, &[words, signal], PATIENCE)?;
    if facts.is_unsent {
        let what = format!("the signal {signal} reached no process of the job");
        return Err(Error::new(Code::Error, what)
            .hint("`runcode jobs` shows what became of it")
            .for_tools("jobs shows what became of it"));
    }
    only(facts)
}

/// Removes one job, or all that have ended; those that were removed, and the one that still runs.
pub fn clean(
    sessions: &Sessions<'_>,
    session: &Session,
    words: Option<&str>,
) -> Result<(Vec<JobId>, Option<Job>)> {
    let facts = ask(sessions, session, CLEAN, &[words.unwrap_or_default()], PATIENCE)?;
    if !facts.kept.is_empty() {
        let what = format!("the workspace could not remove {}", shown(&facts.kept));
        return Err(Error::new(Code::Io, what).hint(
            "on the workspace, check whether the disk is read-only and who owns the files of these jobs",
        ));
    }
    Ok((facts.removed, facts.jobs.into_iter().next()))
}

/// Runs a script of ours and parses its answer. `arguments` begin with the job's words where it is about one.
fn ask(
    sessions: &Sessions<'_>,
    session: &Session,
    script: &str,
    arguments: &[&str],
    patience: Duration,
) -> Result<Facts> {
    ask_for_long(sessions, session, script, arguments, patience, &mut None)
}

/// As [`ask`]; `begun` becomes the time at which the workspace was asked.
fn ask_for_long(
    sessions: &Sessions<'_>,
    session: &Session,
    script: &str,
    arguments: &[&str],
    patience: Duration,
    begun: &mut Option<Instant>,
) -> Result<Facts> {
    let mark = random::word();
    let command = command(script, &mark, arguments)?;
    let text = answer_once_begun(sessions, session, &command, patience, begun)?;
    let facts = Facts::parse(&text, &mark).ok_or_else(gave_up)?;
    match &facts.refusal {
        Some(refusal) => Err(refused(refusal, arguments.first().copied().unwrap_or_default())),
        None => Ok(facts),
    }
}

/// The script as it is sent, for whatever asks about jobs.
fn command(script: &str, mark: &str, arguments: &[&str]) -> Result<RemoteCommand> {
    let (first, second) = mark.split_at(mark.len() / 2);
    let own = [first, second].into_iter().chain(arguments.iter().copied());
    let arguments = own.map(str::as_bytes).collect::<Vec<_>>();
    RemoteCommand::script(&[PROCESS, FOLDER, JUDGE, script].join("\n"), &arguments)
}

fn only(facts: Facts) -> Result<Job> {
    facts.jobs.into_iter().next().ok_or_else(gave_up)
}

fn gave_up() -> Error {
    Error::new(Code::Error, "the workspace's shell ended before it had answered about its jobs")
        .hint("`runcode doctor` checks the workspace's shell")
}

/// The first of these ids.
fn shown(ids: &[JobId]) -> String {
    let first = ids.iter().take(5).map(JobId::as_str).collect::<Vec<_>>().join(", ");
    if ids.len() > 5 { first + ", …" } else { first }
}

/// Why the workspace did nothing, for the one who named a job with `words`.
fn refused(refusal: &Refusal, words: &str) -> Error {
    match refusal {
        Refusal::None => {
            let what = format!("the workspace has no job {}", foreign::word(words));
            Error::new(Code::NotFound, what).hint("`runcode jobs` lists them").for_tools("jobs lists them")
        }
        Refusal::Several(ids) => {
            let what = format!("several jobs are called {}", foreign::word(words));
            Error::new(Code::Ambiguous, what).hint(format!("use an id instead of the name: {}", shown(ids)))
        }
        Refusal::Foreign(path) => {
            let what = format!("the workspace's folder of jobs is not safe to use: {}", foreign::path(path));
            Error::new(Code::Conflict, what).hint(
                "make it and the folder above it real folders, not links, that the login user owns and nobody else may write to",
            )
        }
        Refusal::NotMade(path) => {
            let what = format!("the workspace cannot keep a job in {}", foreign::path(path));
            Error::new(Code::Io, what)
                .hint("its disk may be full or read-only: make room, or set $XDG_STATE_HOME there to another folder")
        }
        Refusal::Cut => Error::new(
            Code::Transport,
            "the connection was cut before the whole command had arrived; it did not run",
        )
        .hint("run it again"),
        Refusal::NotBegun => {
            Error::new(Code::Error, "the workspace's `sh` cannot supervise a job; the command did not run")
                .hint("`runcode doctor` checks the workspace's shell")
        }
    }
}

/// A time without a connection, which whoever waits for a job endures.
#[derive(Debug, Default)]
struct Absence {
    /// Whether there was a connection at all: where there was none, nobody waits for the next one.
    was_there: bool,
    /// When the workspace was asked over the last connection.
    begun: Option<Instant>,
    until: Option<Deadline>,
    pause: Duration,
}

impl Absence {
    /// Takes account of the last connection, which is gone.
    fn lost(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        self.was_there = true;
        if begun.elapsed() > SERVED {
            self.end();
        }
    }

    /// The connection has served since.
    fn end(&mut self) {
        *self = Absence { was_there: self.was_there || self.begun.is_some(), ..Absence::default() };
    }

    /// Waits before another try, if there is any sense in one.
    fn endure(&mut self, failed: Error, deadline: Option<Deadline>) -> Result<()> {
        self.lost();
        let until = *self.until.get_or_insert_with(|| Deadline::after(ABSENCE));
        let may_pass =
            self.was_there && matches!(failed.code(), Code::Transport | Code::Network | Code::NotReady);
        if !may_pass || until.is_past() || deadline.is_some_and(Deadline::is_past) {
            return Err(failed);
        }
        self.pause = (self.pause * 2).clamp(Duration::from_millis(250), Duration::from_secs(10));
        until.pause(self.pause.min(deadline.map_or(Duration::MAX, Deadline::remaining)));
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_short_scripts_are_short() {
        for script in [LIST, OUTPUT, WAIT, KILL, CLEAN, SETTLE] {
            crate::transport::script::check(&[PROCESS, FOLDER, JUDGE, script].join("\n"), 3700);
        }
        for script in start::SCRIPTS {
            crate::transport::script::check(&script(), 2450);
        }
    }

    #[test]
    fn a_connection_that_served_ends_an_absence() {
        let mut absence = Absence { until: Some(Deadline::after(ABSENCE)), ..Absence::default() };
        absence.lost();
        assert!(!absence.was_there && absence.until.is_some(), "there was none");
        for (seconds, goes_on) in [(0, true), (31, false)] {
            absence.begun = Instant::now().checked_sub(Duration::from_secs(seconds));
            absence.lost();
            assert_eq!((absence.was_there, absence.until.is_some()), (true, goes_on), "{seconds}");
        }
    }

    #[test]
    fn a_name_is_a_word() {
        for name in ["build", "a", "web-1.2_x", "0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-x", ".x", "a b", "a/b", "a\n", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
