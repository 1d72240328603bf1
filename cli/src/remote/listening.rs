//! Whether something listens on a port of the workspace.

use std::time::Duration;

use crate::session::audit::Action;
use crate::session::{Session, Sessions};
use crate::transport::script::ABSOLUTE_PATH;
use crate::transport::{Ended, Limits, RemoteCommand, Streams};

/// Looks for a listening socket (state 0A, proc_pid_net(5)) with the port `$1`, in hexadecimal.
const SCRIPT: &str = r#"[ -r /proc/net/tcp ] || exit 2
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q "^ *[0-9]*: [0-9A-F]*:$1 [0-9A-F:]* 0A ""#;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the workspace; `None` when it does not say, since it is no Linux or does not answer.
pub fn is_listening(sessions: &Sessions<'_>, session: &Session, port: u16) -> Option<bool> {
    let script = [ABSOLUTE_PATH, SCRIPT].concat();
    let command = RemoteCommand::script(&script, &[format!("{port:04X}").as_bytes()]).ok()?;
    let action = || Action::named("query");
    let running = sessions.start_as(session, &command, &Streams::null(), action).ok()?;
    match running.wait(&Limits { timeout: Some(PATIENCE), interruptible: true }).ok()? {
        Ended::Status(0) => Some(true),
        Ended::Status(1) => Some(false),
        _ => None,
    }
}
