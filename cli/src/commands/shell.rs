//! `runcode shell`.

use crate::app::App;
use crate::commands::args::OneOf;
use crate::error::Result;
use crate::output::report::Outcome;
use crate::session::approved;
use crate::session::audit::Action;
use crate::transport::{RemoteCommand, Variables};

/// Open a terminal on a workspace.
///
/// Starts your login shell there, in the workdir. The exit status is the shell's.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode shell            on the attached workspace
  runcode shell my-ws      on another one, without attaching it")]
pub struct Args {
    #[command(flatten)]
    which: OneOf,
    /// Start in the home folder instead of the workdir
    #[arg(long)]
    home: bool,
}

/// Hands the terminal to ssh.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    sessions.refuse_unless_free(&session.meta.key, "shell")?;
    let session = sessions.revive(&session)?;
    let workdir = session.meta.workdir.as_ref().filter(|_| !args.home);
    let login_shell = RemoteCommand::snippet(workdir, &Variables::default(), "exec \"$SHELL\" -l")?;
    let run = || approved::explained(&session, sessions.transport(&session).exec_ssh(Some(&login_shell)));
    sessions.audited_status(&session.meta.key, || Action::named("shell"), run).map(Outcome::Status)
}
