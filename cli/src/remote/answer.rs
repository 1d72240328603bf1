//! A command of ours and what it says.

use std::io::{Read as _, Write as _};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::session::audit::Action;
use crate::session::{Session, Sessions};
use crate::transport::{Ended, Limits, RemoteCommand, Stream, Streams};

/// The most that is read of what it says, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// Runs `command` without stdin; its stdout, whatever its status.
pub(super) fn answer(
    sessions: &Sessions<'_>,
    session: &Session,
    command: &RemoteCommand,
    patience: Duration,
) -> Result<String> {
    answer_once_begun(sessions, session, command, patience, &mut None)
}

/// As [`answer`], for an action that has another name in the audit log.
pub(super) fn answer_as(
    sessions: &Sessions<'_>,
    session: &Session,
    command: &RemoteCommand,
    patience: Duration,
    action: impl FnOnce() -> Action,
) -> Result<String> {
    answered(sessions, session, command, patience, &mut None, action)
}

/// As [`answer`]; `begun` becomes the time at which the workspace was asked, whatever comes of it.
pub(super) fn answer_once_begun(
    sessions: &Sessions<'_>,
    session: &Session,
    command: &RemoteCommand,
    patience: Duration,
    begun: &mut Option<Instant>,
) -> Result<String> {
    answered(sessions, session, command, patience, begun, || Action::named("query"))
}

fn answered(
    sessions: &Sessions<'_>,
    session: &Session,
    command: &RemoteCommand,
    patience: Duration,
    begun: &mut Option<Instant>,
    action: impl FnOnce() -> Action,
) -> Result<String> {
    let (answer, stdout) = Answer::piped()?;
    let streams = Streams { stdin: Stream::Null, stdout, stderr: Stream::Null };
    let running = sessions.start_as(session, command, &streams, action)?;
    *begun = Some(Instant::now());
    drop(streams);
    let ended = running.wait(&Limits { timeout: Some(patience), interruptible: true })?;
    let lost = |why: &str| Error::new(Code::Transport, format!("the workspace did not answer: {why}"));
    match ended {
        Ended::Status(_) => {}
        Ended::Interrupted { .. } => return Err(Error::interrupted()),
        Ended::TimedOut { .. } => return Err(lost("it took too long")),
        Ended::NoStatus => return Err(lost("the connection was lost")),
    }
    answer.text().ok_or_else(|| lost("its answer was lost"))
}

/// What a command says, read while it runs.
pub(super) struct Answer(JoinHandle<Option<Vec<u8>>>);

impl Answer {
    /// The reader, and the stdout that it reads. Made before the command: what cannot be read is not asked for.
    pub(super) fn piped() -> Result<(Answer, Stream)> {
        let (answer, stdout) = std::io::pipe()?;
        let read = move || {
            let mut text = Vec::new();
            answer.take(MAX_ANSWER).read_to_end(&mut text).is_ok().then_some(text)
        };
        Ok((Answer(spawn(read)?), stdout.into()))
    }

    /// All of it, once its streams were dropped here; `None` where it could not be read.
    pub(super) fn text(self) -> Option<String> {
        let text = self.0.join().ok().flatten()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A stdin that brings `text`. Whoever does not read it fails, and says so.
pub(super) fn stdin_of(text: Vec<u8>) -> Result<Stream> {
    let (stdin, mut input) = std::io::pipe()?;
    spawn(move || input.write_all(&text))?;
    Ok(stdin.into())
}

fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().spawn(run).map_err(|error| Error::io("start a thread", error))
}
