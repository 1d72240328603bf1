//! `runcode run`.

use crate::app::App;
use crate::commands::args::Remote;
use crate::commands::profiled::{Profiled, neither};
use crate::error::Result;
use crate::origin::{Servers, SessionKey};
use crate::output::report::Outcome;
use crate::session::execution::{execute, execute_for_programs};
use crate::session::live::Want;

/// Run a command on a workspace by name.
///
/// Like `runcode exec`, but needs no `runcode connect` first and attaches nothing.
#[derive(clap::Args)]
#[command(
    override_usage = "runcode run [OPTIONS] <WORKSPACE> [--] <CMD>...\n       runcode run [OPTIONS] <WORKSPACE> --profile <PROFILE>",
    after_help = "\
Examples:
  runcode run my-ws -- uname -a
  runcode run 1234 --timeout 60 -- 'make lint && make test'
  runcode run prod --profile logs --arg unit=api
                                     what the owner of a server allows
  runcode run prod --profile logs --arg unit=api --plan
                                     what that would run"
)]
pub struct Args {
    /// The workspace: its id, title or custom title
    workspace: String,
    #[command(flatten)]
    pub(crate) profiled: Profiled,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Makes or reuses the session, runs the command.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    if args.profiled.is_meant() {
        let target = app.resolve(&args.workspace)?;
        return args.profiled.run(app, &target.key, args.remote.timeout, args.remote.no_stdin);
    }
    if args.remote.command.is_empty() {
        let usage = "runcode run [OPTIONS] <WORKSPACE> [--] <CMD>... (see `runcode run --help`)";
        let words = Servers::explicit(&args.workspace).unwrap_or(&args.workspace);
        return Err(neither(app, SessionKey::server(words).as_ref(), usage));
    }
    let execution = args.remote.execution()?;
    let target = app.resolve(&args.workspace)?;
    let session = sessions.obtain(&target.key, Want::Fresh)?.session;
    let execute = if app.is_json() { execute_for_programs } else { execute };
    execute(&sessions, &session, &execution).map(Outcome::Status)
}
