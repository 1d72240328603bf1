//! What kind of machine a workspace is and what is in it, asked in one round trip.
//!
//! The box answers in lines that begin with a random mark. What a program there prints is the value of the fact that it
//! was run for, cut at its first line, and can name no other (hostile output: CWE-93).

mod facts;

use std::io::Read as _;
use std::time::Duration;

pub use facts::{Context, Git, Port, Space};

use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::session::{Session, Sessions};
use crate::sys::random;
use crate::transport::{Ended, Limits, RemoteCommand, Stream, Streams};

const PROBE: &str = include_str!("probe.sh");

/// How long the box may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_ANSWER: u64 = 1024 * 1024;

/// Looks around on the session's box.
pub fn look(sessions: &Sessions<'_>, session: &Session) -> Result<Context> {
    let mark = random::word();
    let (first, second) = mark.split_at(mark.len() / 2);
    let workdir = session.meta.workdir.as_ref().map_or(".", Workdir::as_str); // it starts in the login folder
    let command = RemoteCommand::script(PROBE, &[first.as_bytes(), second.as_bytes(), workdir.as_bytes()])?;
    let (answer, writer) = std::io::pipe()?;
    let streams = Streams { stdin: Stream::Null, stdout: writer.into(), stderr: Stream::Null };
    let running = sessions.start(session, &command, &streams)?;
    drop(streams);
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        answer.take(MAX_ANSWER).read_to_end(&mut text).map(|_| text)
    });
    let ended = running.wait(&Limits { timeout: Some(PATIENCE), interruptible: true })?;
    let lost =
        |why: &str| Error::new(Code::Transport, format!("the workspace did not say what it is: {why}"));
    match ended {
        Ended::Status(_) => {}
        Ended::Interrupted { .. } => return Err(Error::new(Code::Interrupted, "interrupted")),
        Ended::TimedOut { .. } => return Err(lost("it took too long")),
        Ended::NoStatus => return Err(lost("the connection was lost")),
    }
    let text = reader.join().map_err(|_| lost("its answer was lost"))??;
    Context::parse(&String::from_utf8_lossy(&text), &mark).ok_or_else(|| lost("its shell gave up"))
}
