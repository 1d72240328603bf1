//! `runcode run`.

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;
use crate::session::attachment::attach;
use crate::session::execution::{Remote, execute};
use crate::session::resolve::resolve;

/// Run a command on a workspace by name, and attach it.
///
/// As `runcode exec`, without `runcode connect` before it.
#[derive(clap::Args)]
#[command(
    override_usage = "runcode run [OPTIONS] <WORKSPACE> [--] <CMD>...",
    after_help = "\
Examples:
  runcode run my-ws -- uname -a
  runcode run 1234 --timeout 60 -- 'make lint && make test'"
)]
pub struct Args {
    /// The workspace: its id, title or display name
    workspace: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Makes or reuses the session, attaches it, runs the command.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let target = resolve(&args.workspace, app.plane()?)?;
    let session = sessions.obtain(target.id)?.session;
    attach(&session, app.paths()?)?;
    execute(&sessions, &session, &args.remote).map(Outcome::Status)
}
