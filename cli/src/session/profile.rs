//! Running a profile on a server: once, supervised there, with its streams and its status as they are.

use std::io::PipeWriter;

use crate::error::{Code, Error, Result};
use crate::origin::servers::AuthMethod;
use crate::session::execution::pass_through;
use crate::session::live::Want;
#[cfg(unix)]
use crate::session::password;
use crate::session::policy::{self, Begun, Permit};
use crate::session::{Session, Sessions, approved, once};
use crate::transport::{RemoteCommand, Running, Stream, Streams};

/// What to do when the time of a profile is up.
pub(super) const TIME_IS_UP: &str =
    "it was not run again; raise --timeout, up to the profile's own limit (timeout_seconds in servers.toml)";

/// Runs what was permitted, and returns the status to end with.
pub fn run(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let begun = permit.begin(sessions)?;
    begun.end(match permit.terms.server.method {
        _ if permit.in_session => over_a_session(sessions, permit),
        AuthMethod::Ssh(_) => over_a_session(sessions, permit),
        AuthMethod::Certificate(_) => once::run(sessions, permit),
        #[cfg(unix)]
        AuthMethod::LegacyPassword(_) => password::run(sessions, permit),
        #[cfg(windows)]
        AuthMethod::LegacyPassword(_) => Err(Error::new(
            Code::Unavailable,
            "on Windows, runcode cannot log in with a password from the keychain",
        )),
    })
}

/// Has one certificate signed that forces `true` on a server, and runs it; its status.
pub fn try_out(sessions: &Sessions<'_>, server: &str) -> Result<u8> {
    let permit = policy::probe(sessions.origins(), server)?;
    let begun = permit.begin(sessions)?;
    begun.end(once::try_out(sessions, &permit))
}

/// Gives the command the stdin that it is permitted to read: the caller's, or none. For one that reads none: a pipe that does not
/// end as long as what is returned lives, which the command's supervisor watches.
pub(super) fn feed(permit: &Permit, streams: &mut Streams) -> Result<Option<PipeWriter>> {
    if permit.call.reads_stdin() {
        if !permit.reads_stdin {
            streams.stdin = Stream::Null;
        } else if let Some(read) = permit.input.stream()? {
            streams.stdin = read;
        }
        return Ok(None);
    }
    let (reader, lifeline) = std::io::pipe()?;
    streams.stdin = reader.into();
    Ok(Some(lifeline))
}

/// What was permitted, as it runs for a caller with streams of its own.
pub struct Started<'a> {
    /// The session that it runs in; `None` if it has a certificate of its own.
    pub session: Option<Session>,
    /// To wait for.
    pub running: Running,
    /// To be told how it ended.
    pub begun: Begun<'a>,
    /// What it needs as long as it runs.
    pub held: Held,
}

/// What a command needs as long as it runs.
pub enum Held {
    /// The pipe that its supervisor reads, which stays open as long as this lives. A command that reads stdin has none.
    Lifeline(Option<PipeWriter>),
    /// The folder with its key and certificate, which is removed with this.
    Certified(Box<once::Opened>),
}

/// Starts what was permitted with these streams; stdin is only passed on where the profile reads it.
pub fn start<'a>(sessions: &Sessions<'_>, permit: &'a Permit, mut streams: Streams) -> Result<Started<'a>> {
    if matches!(permit.terms.server.method, AuthMethod::LegacyPassword(_)) && !permit.in_session {
        let what = format!("`{}` logs in with a password, which tools cannot do", permit.terms.server.name);
        return Err(Error::new(Code::Unavailable, what)
            .hint("run it with `runcode run … --profile …`")
            .for_tools("run `runcode run … --profile …` in your shell, or ask the user to"));
    }
    let begun = permit.begin(sessions)?;
    let started = (|| {
        if permit.terms.server.logs_in_per_run() && !permit.in_session {
            let (running, certified) = once::start(sessions, permit, &mut streams)?;
            return Ok((running, None, Held::Certified(Box::new(certified))));
        }
        let obtained = sessions.obtain(&permit.key, Want::Fresh);
        let session = obtained.map_err(|failure| failure.about(&permit.key.words()))?.session;
        let call = &permit.call;
        let command = RemoteCommand::supervised(call.rendered(), call.reads_stdin())?;
        let lifeline = feed(permit, &mut streams)?;
        let running = sessions.start_permitted(&session, &command, &streams)?;
        Ok((running, Some(session), Held::Lifeline(lifeline)))
    })();
    match started {
        Ok((running, session, held)) => Ok(Started { session, running, begun, held }),
        Err(error) => Err(begun.failed(error)),
    }
}

/// Over the connection that the user's own ssh makes.
fn over_a_session(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let obtained = sessions.obtain(&permit.key, Want::Fresh);
    let session = obtained.map_err(|failure| failure.about(&permit.key.words()))?.session;
    let call = &permit.call;
    let command = RemoteCommand::supervised(call.rendered(), call.reads_stdin())?;
    let mut streams = Streams::inherit();
    let lifeline = feed(permit, &mut streams)?;
    let start = |streams: &Streams| sessions.start_permitted(&session, &command, streams);
    let is_warm = || sessions.transport(&session).is_warm();
    let is_direct = !sessions.transport(&session).is_through_ssh();
    let ended = pass_through(streams, permit.timeout, TIME_IS_UP, start, is_warm, is_direct);
    drop(lifeline);
    approved::explained(&session, ended)
}
