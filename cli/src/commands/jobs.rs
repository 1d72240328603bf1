//! `runcode jobs`.

mod act;
mod list;
mod output;

use crate::app::App;
use crate::commands::args::Which;
use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::output::report::Outcome;
use crate::remote::jobs::is_name;

pub use act::signalled;
pub use list::json;
pub use output::read;

/// List the jobs of a workspace, read their output, wait for them, end them.
///
/// A job is a command that `runcode exec --detach` started. It outlives the connection, `disconnect` and the sleep of this machine; whoever
/// logs in as the same user sees the same jobs. Nothing is installed for it: the workspace keeps each job's output and status in files, 16 MiB
/// of each stream at most. A job goes by its id, or by its name if no other job has that name.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode exec --detach --name build -- make all
                                     start one; it prints the id
  runcode jobs                       all of them, and what became of each
  runcode jobs output build          what it has written to stdout until now
  runcode jobs output build --stderr --follow
                                     its errors, until it ends
  runcode jobs wait build            wait, and end with the job's status
  runcode jobs kill build            send TERM to its process group
  runcode jobs clean                 remove all jobs that have ended")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    which: Which,
}

impl Args {
    /// Whether the exit status is the job's.
    pub fn passes_status(&self) -> bool {
        matches!(self.action, Some(Action::Wait(_)))
    }
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print what a job has written
    Output(output::Args),
    /// Wait until a job ends, and end with its status
    Wait(act::WaitArgs),
    /// Send a signal to a job's process group
    Kill(act::KillArgs),
    /// Remove the jobs that have ended, with their output
    Clean(act::CleanArgs),
}

impl Action {
    fn which(&mut self) -> &mut Which {
        match self {
            Action::Output(args) => &mut args.which,
            Action::Wait(args) => &mut args.which,
            Action::Kill(args) => &mut args.which,
            Action::Clean(args) => &mut args.which,
        }
    }
}

/// Does what the action says.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let Some(mut action) = args.action else { return list::run(&args.which, app) };
    action.which().take(args.which)?;
    match action {
        Action::Output(args) => output::run(&args, app),
        Action::Wait(args) => act::wait(&args, app),
        Action::Kill(args) => act::kill(&args, app),
        Action::Clean(args) => act::clean(&args, app),
    }
}

/// Refuses words that no job goes by.
pub fn named(words: &str) -> Result<()> {
    if is_name(words) {
        return Ok(());
    }
    let what = format!("{} is neither the id nor the name of a job", foreign::word(words));
    Err(Error::new(Code::Usage, what).hint("`runcode jobs` lists them").for_tools("jobs lists them"))
}
