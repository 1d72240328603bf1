//! Running a profile on a server: once, supervised there, with its streams and its status as they are.

use std::io::PipeWriter;

use crate::error::{Code, Error, Result};
use crate::origin::servers::AuthMethod;
use crate::session::execution::pass_through;
use crate::session::live::Want;
use crate::session::policy::{self, Begun, Permit};
use crate::session::{Session, Sessions, once};
use crate::transport::{RemoteCommand, Running, Stream, Streams};

/// What to do when the time of a profile is up.
pub(super) const TIME_IS_UP: &str =
    "it was not run again; raise --timeout, up to the profile's own limit (timeout_seconds in servers.toml)";

/// Runs what was permitted, and returns the status to end with.
pub fn run(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let begun = permit.begin(sessions)?;
    begun.end(match permit.terms.server.method {
        AuthMethod::Ssh(_) => over_a_session(sessions, permit),
        AuthMethod::Certificate(_) | AuthMethod::LegacyPassword(_) => once::run(sessions, permit),
    })
}

/// Has one certificate signed that forces `true` on a server, and runs it; its status.
pub fn try_out(sessions: &Sessions<'_>, server: &str) -> Result<u8> {
    let permit = policy::probe(sessions.origins(), server)?;
    let begun = permit.begin(sessions)?;
    begun.end(once::run(sessions, &permit))
}

/// What was permitted, as it runs for a caller with streams of its own.
pub struct Started<'a> {
    /// The session that it runs in.
    pub session: Session,
    /// To wait for.
    pub running: Running,
    /// To be told how it ended.
    pub begun: Begun<'a>,
    /// While it lives, the command's supervisor reads a pipe that does not end.
    pub lifeline: PipeWriter,
}

/// Starts what was permitted with these streams; stdin is only passed on where the profile reads it.
pub fn start<'a>(sessions: &Sessions<'_>, permit: &'a Permit, mut streams: Streams) -> Result<Started<'a>> {
    if !matches!(permit.terms.server.method, AuthMethod::Ssh(_)) {
        let what = format!("`{}` certifies each run, which no tool can do yet", permit.terms.server.name);
        return Err(Error::new(Code::Unavailable, what).hint("run it with `runcode run … --profile …`"));
    }
    let begun = permit.begin(sessions)?;
    let started = (|| {
        let obtained = sessions.obtain(&permit.key, Want::Fresh);
        let session = obtained.map_err(|failure| failure.about(&permit.key.words()))?.session;
        let call = &permit.call;
        let command = RemoteCommand::supervised(call.rendered(), call.reads_stdin())?;
        let (reader, lifeline) = std::io::pipe()?;
        match (call.reads_stdin(), permit.reads_stdin) {
            (true, true) => {}
            (true, false) => streams.stdin = Stream::Null,
            (false, _) => streams.stdin = reader.into(),
        }
        Ok((sessions.start_permitted(&session, &command, &streams)?, session, lifeline))
    })();
    match started {
        Ok((running, session, lifeline)) => Ok(Started { session, running, begun, lifeline }),
        Err(error) => begun.end(Err(error)).and_then(|_| Err(Error::interrupted())),
    }
}

/// Over the connection that the user's own ssh makes.
fn over_a_session(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let obtained = sessions.obtain(&permit.key, Want::Fresh);
    let session = obtained.map_err(|failure| failure.about(&permit.key.words()))?.session;
    let call = &permit.call;
    let command = RemoteCommand::supervised(call.rendered(), call.reads_stdin())?;
    // While this process lives, the command's supervisor reads a pipe that does not end.
    let (reader, lifeline) = std::io::pipe()?;
    let mut streams = Streams::inherit();
    match (call.reads_stdin(), permit.reads_stdin) {
        (true, true) => {}
        (true, false) => streams.stdin = Stream::Null,
        (false, _) => streams.stdin = reader.into(),
    }
    let start = |streams: &Streams| sessions.start_permitted(&session, &command, streams);
    let is_warm = || sessions.transport(&session).is_warm();
    let is_direct = !sessions.transport(&session).is_through_ssh();
    let ended = pass_through(streams, permit.timeout, TIME_IS_UP, start, is_warm, is_direct);
    drop(lifeline);
    ended
}
