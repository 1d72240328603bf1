//! `runcode put`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;
use crate::transport::files::{self, RemotePath, Selection};

/// Send files and folders to the attached workspace.
///
/// REMOTE is the name of what is sent; when it ends in `/`, and for several, it is the folder that they go into. Folders
/// are merged into those of the same name; what is unchanged (type, size, mode, time) does not travel again. Everything
/// is verified and takes its place by renaming; modes, times and links are kept.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode put local.py src/app.py             one file, under a new name
  runcode put a.txt b.txt logs/ backup/       several, into a folder
  runcode put . app --git                     a project without what git ignores
  runcode put site www --exclude node_modules --exclude '*.log'")]
pub struct Args {
    /// The files and folders of this machine
    #[arg(value_name = "LOCAL", required = true, num_args = 1..)]
    local: Vec<PathBuf>,
    /// The place on the workspace; a relative path starts in the project folder
    #[arg(value_name = "REMOTE")]
    remote: OsString,
    /// Leave out what matches, as in .gitignore; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave out what git ignores, and its own folder
    #[arg(long)]
    git: bool,
}

/// Sends them.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let session = sessions.attached(app.given_api_base().is_some())?;
    let remote = RemotePath::parse(&args.remote, &session.meta.workdir)?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let selection = Selection { exclude: args.exclude, git: args.git };
    Ok(files::put(&start, &args.local, &remote, &selection)?.into())
}
