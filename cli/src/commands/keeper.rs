//! `runcode keeper`, which an approved session starts for itself.

use std::path::PathBuf;

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;

/// End a session when its time is up.
///
/// `connect --approval` starts this; there is no need to run it yourself.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The session's folder
    folder: PathBuf,
    /// The session's id
    id: String,
}

/// Stays for as long as the session.
#[cfg(unix)]
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    use crate::output::stdout;
    use crate::session::keeper::{READY, keep};
    let ready = || stdout::write(READY.as_bytes());
    keep(&app.sessions()?, &args.folder, &args.id, ready).map(|()| Outcome::Status(0))
}

/// On Windows, each command of a session connects by itself.
#[cfg(windows)]
pub fn run(Args { folder: _, id: _ }: Args, _: &App) -> Result<Outcome> {
    use crate::error::{Code, Error};
    Err(Error::new(Code::Unavailable, "sessions have no keeper on Windows"))
}
