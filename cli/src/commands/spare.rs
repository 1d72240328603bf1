//! `runcode spare`, which a session's first command starts for the next ones.

use std::path::PathBuf;

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;

/// Keep a spare channel for the next command of a session.
///
/// `exec` starts this; there is no need to run it yourself. `RUNCODE_SPARE=off` turns it off.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The socket of the session's master
    control_path: PathBuf,
    /// The session's folder
    folder: PathBuf,
    /// Forward the user's ssh-agent if the user's ssh config says so
    #[arg(long)]
    with_agent: bool,
}

/// Runs until a minute after the session's last command.
#[cfg(unix)]
pub fn run(args: Args, _: &App) -> Result<Outcome> {
    crate::transport::spare::keeper::keep(&args.control_path, &args.folder, args.with_agent)
        .map(|()| Outcome::Status(0))
}

/// On Windows, each command of a session connects by itself.
#[cfg(windows)]
pub fn run(Args { control_path: _, folder: _, with_agent: _ }: Args, _: &App) -> Result<Outcome> {
    use crate::error::{Code, Error};
    Err(Error::new(Code::Unavailable, "there are no spare channels on Windows"))
}
