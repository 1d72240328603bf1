//! `runcode exec`.

pub mod detached;

use crate::app::App;
use crate::commands::args::{Remote, Which};
use crate::commands::profiled::{Profiled, neither};
use crate::error::Result;
use crate::origin::{Servers, SessionKey};
use crate::output::report::Outcome;
use crate::session::execution::{execute, execute_for_programs};

/// Run a command on the workspace.
///
/// It runs on the workspace that `-w` or RUNCODE_WORKSPACE names, else on the one attached to this folder, in its workdir. stdin, stdout and stderr stream as they come, and the exit status is the command's.
/// runcode's own failures end with 255 (with --detach, 1 or 2) and a line on stderr that begins with `runcode:`. A command is never run
/// twice. With --detach it becomes a job, which outlives the connection, and exec prints the job's id at once.
#[derive(clap::Args)]
#[command(
    override_usage = "runcode exec [OPTIONS] [--] <CMD>...\n       runcode exec [OPTIONS] --profile <PROFILE>",
    after_help = "\
Examples:
  runcode exec -- make test                  a program and its exact arguments
  runcode exec -- 'cd api && npm test'       one argument: a piece of shell
  runcode exec -- python3 - < local.py       stdin is passed on
  runcode exec --env CI=1 -- make            with an environment variable
  runcode exec --cwd api -- npm test         in a folder of the workdir
  runcode exec --timeout 600 -- make         no longer than ten minutes
  runcode exec -w my-ws -- uname -a          on another workspace
  runcode exec --detach -- make all          as a job; see `runcode jobs --help`
  runcode exec --profile logs --arg unit=api on a server that has profiles"
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    pub(crate) profiled: Profiled,
    #[command(flatten)]
    detached: detached::Options,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

impl Args {
    /// Whether the command becomes a job, which gets no stdin and whose status is not waited for.
    pub fn is_detached(&self) -> bool {
        self.detached.detach
    }
}

/// Runs the command in the attached workspace's session.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    if args.profiled.is_meant() {
        let (timeout, no_stdin) = (args.remote.timeout, args.remote.no_stdin);
        return args.profiled.run(app, &meant(&args.which, app)?, timeout, no_stdin);
    }
    if args.remote.command.is_empty() {
        let usage = "runcode exec [OPTIONS] [--] <CMD>... (see `runcode exec --help`)";
        let named = app.named(args.which.words()).map(|named| named.words);
        let key = match named.as_deref().map(|words| Servers::explicit(words).unwrap_or(words)) {
            Some(words) => SessionKey::server(words),
            None => sessions.attached_key().ok(),
        };
        return Err(neither(app, key.as_ref(), usage));
    }
    let execution = args.remote.execution()?;
    let session = app.session(&sessions, args.which.words())?;
    if args.detached.detach {
        return detached::start(&args.detached, &sessions, &session, &execution).map(Outcome::from);
    }
    let execute = if app.is_json() { execute_for_programs } else { execute };
    execute(&sessions, &session, &execution).map(Outcome::Status)
}

/// The workspace that is named, else the one that is attached here.
fn meant(which: &Which, app: &App) -> Result<SessionKey> {
    match app.named(which.words()) {
        Some(named) => Ok(app.resolve(&named.words).map_err(|error| named.explain(error))?.key),
        None => app.sessions()?.attached_key(),
    }
}
