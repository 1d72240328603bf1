//! `runcode put`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::files::{self, RemotePath, Selection};
use crate::output::report::Outcome;

/// Send files and folders to the attached workspace.
///
/// REMOTE is the name of what is sent; when it ends in `/`, and for several, it is the folder that they go into, as is a
/// folder that is there for a file. Folders are merged into those of the same name; what is unchanged (type, size, mode,
/// time) does not travel again. Everything is verified and takes its place by renaming; modes, times and links are kept.
#[derive(clap::Args)]
#[command(override_usage = "runcode put [OPTIONS] <LOCAL>... <REMOTE>")]
#[command(after_help = "\
Examples:
  runcode put local.py src/app.py             one file, under a new name
  runcode put a.txt b.txt logs/ backup/       several, into a folder
  runcode put . app --git                     a project without what git ignores
  runcode put site www --exclude node_modules --exclude '*.log'")]
pub struct Args {
    /// The files and folders of this machine, then the place on the workspace
    #[arg(value_name = "PATH", required = true, num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<OsString>,
    /// Leave out what matches, as in .gitignore; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave out what git ignores, and its own folder
    #[arg(long)]
    git: bool,
}

/// Sends them.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let (remote, local) = match args.paths.split_last() {
        Some((remote, local @ [_, ..])) => (remote, local.iter().map(PathBuf::from).collect::<Vec<_>>()),
        _ => {
            return Err(Error::new(Code::Usage, "put takes what to send, and where to")
                .hint("runcode put LOCAL... REMOTE"));
        }
    };
    let sessions = app.sessions()?;
    let session = sessions.attached()?;
    let remote = RemotePath::parse(remote, session.meta.workdir.as_ref())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let selection = Selection { exclude: args.exclude, git: args.git };
    Ok(files::put(&start, &local, &remote, &selection)?.into())
}
