//! `runcode get`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::output::report::Outcome;
use crate::transport::files::{self, Place, RemotePath};

/// Fetch files and folders from the attached workspace.
///
/// One file goes to stdout, as it is; folders and several files need --out. What arrives is verified and takes its place
/// by renaming; modes, times and links are kept. No link that comes is ever followed, no device is made.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode get logs/app.log | grep ERROR
  runcode get logs/app.log --out app.log
  runcode get build dist --out artifacts/      several, into a folder")]
pub struct Args {
    /// The files and folders on the workspace; a relative path starts in the project folder
    #[arg(value_name = "REMOTE", required = true, num_args = 1..)]
    remote: Vec<OsString>,
    /// The place on this machine: a name, or a folder when it ends in `/`
    #[arg(long, short, value_name = "LOCAL")]
    out: Option<PathBuf>,
}

/// Fetches them.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let several = args.remote.len() > 1;
    let place = match &args.out {
        Some(path) => Place::parse(path, several),
        None if several => {
            return Err(Error::new(Code::Usage, "only one file at a time can go to stdout")
                .hint("say where to put them: --out FOLDER/"));
        }
        None => Place::Stdout,
    };
    let sessions = app.sessions()?;
    let session = sessions.attached(app.given_api_base().is_some())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let remotes = args.remote.iter().map(|path| RemotePath::parse(path, &session.meta.workdir));
    let remotes = remotes.collect::<Result<Vec<_>>>()?;
    let summary = files::get(&start, &remotes, &place)?;
    Ok(if matches!(place, Place::Stdout) { Outcome::Status(0) } else { summary.into() })
}
