//! Running a profile on a server: once, supervised there, with its streams and its status as they are.

use crate::error::Result;
use crate::origin::OriginId;
use crate::session::Sessions;
use crate::session::execution::pass_through;
use crate::session::live::Want;
use crate::session::policy::Permit;
use crate::transport::{RemoteCommand, Stream, Streams};

/// What to do when the time of a profile is up.
const TIME_IS_UP: &str =
    "it was not run again; raise --timeout, up to the profile's own limit (timeout_seconds in servers.toml)";

/// Runs what was permitted, and returns the status to end with.
pub fn run(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    debug_assert_eq!(*permit.key.origin(), OriginId::Server);
    let begun = permit.begin()?;
    begun.end(over_a_session(sessions, permit))
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
    let ended = pass_through(streams, permit.timeout, TIME_IS_UP, start, is_warm);
    drop(lifeline);
    ended
}
