//! A command of ours and what it says.

use std::io::Read as _;
use std::time::Duration;

use crate::error::{Code, Error, Result};
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
    let (answer, writer) = std::io::pipe()?;
    let streams = Streams { stdin: Stream::Null, stdout: writer.into(), stderr: Stream::Null };
    let running = sessions.start(session, command, &streams)?;
    drop(streams);
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        answer.take(MAX_ANSWER).read_to_end(&mut text).map(|_| text)
    });
    let ended = running.wait(&Limits { timeout: Some(patience), interruptible: true })?;
    let lost = |why: &str| Error::new(Code::Transport, format!("the workspace did not answer: {why}"));
    match ended {
        Ended::Status(_) => {}
        Ended::Interrupted { .. } => return Err(Error::interrupted()),
        Ended::TimedOut { .. } => return Err(lost("it took too long")),
        Ended::NoStatus => return Err(lost("the connection was lost")),
    }
    let text = reader.join().map_err(|_| lost("its answer was lost"))??;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
