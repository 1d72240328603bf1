//! `runcode run`.

use crate::app::App;
use crate::commands::args::Remote;
use crate::error::Result;
use crate::output::report::Outcome;
use crate::session::execution::execute;
use crate::session::live::Want;

/// Run a command on a workspace by name.
///
/// Like `runcode exec`, but needs no `runcode connect` first and attaches nothing.
#[derive(clap::Args)]
#[command(
    override_usage = "runcode run [OPTIONS] <WORKSPACE> [--] <CMD>...",
    after_help = "\
Examples:
  runcode run my-ws -- uname -a
  runcode run 1234 --timeout 60 -- 'make lint && make test'"
)]
pub struct Args {
    /// The workspace: its id, title or custom title
    workspace: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Makes or reuses the session, runs the command.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let execution = args.remote.execution()?;
    let target = app.resolve(&args.workspace)?;
    let session = sessions.obtain(&target.key, Want::Fresh)?.session;
    execute(&sessions, &session, &execution).map(Outcome::Status)
}
