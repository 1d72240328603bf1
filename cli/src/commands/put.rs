//! `runcode put`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::App;
use crate::commands::args::Which;
use crate::commands::host_path::{refuse_local, refuse_remote};
use crate::commands::transferred::Transferred;
use crate::error::{Code, Error, Result};
use crate::files::{self, Exchanges, Git, RemotePath, Selection};
use crate::output::report::Outcome;
use crate::session::audit::Action;

/// Send files and folders to the attached workspace.
///
/// REMOTE is the destination. If it ends in `/`, is an existing folder, or there are several sources, files go inside it.
/// A folder is merged into an existing folder; entries with the same type, size, mode and time are not sent again
/// (--checksum compares their content too).
/// Everything is verified and appears whole or not at all. Modes, times and links are kept, and so are the
/// owner, group and access list of a file that is replaced; the report names what could not be.
#[derive(clap::Args)]
#[command(override_usage = "runcode put [OPTIONS] <LOCAL>... <REMOTE>")]
#[command(after_help = "\
Examples:
  runcode put local.py src/app.py             one file, under a new name
  runcode put a.txt b.txt logs/ backup/       several, into a folder
  runcode put . app --git                     a project without what git ignores
  runcode put site www --exclude node_modules --exclude '*.log'")]
pub struct Args {
    /// The local files and folders, then the destination on the workspace
    #[arg(value_name = "PATH", required = true, num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<OsString>,
    /// Leave out what matches, as in .gitignore; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Send only what `git ls-files -co --exclude-standard` lists: no ignored files, and no `.git` folder
    #[arg(long)]
    git: bool,
    /// Compare files with the same size and time by their content too; both sides read all of it
    #[arg(short, long)]
    checksum: bool,
    #[command(flatten)]
    which: Which,
}

/// Sends them.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let (remote, local) = match args.paths.split_last() {
        Some((remote, local @ [_, ..])) => (remote, local.iter().map(PathBuf::from).collect::<Vec<_>>()),
        _ => {
            return Err(Error::new(Code::Usage, "put needs at least one local path and a destination")
                .hint("runcode put LOCAL... REMOTE"));
        }
    };
    let sessions = app.sessions()?;
    refuse_remote(remote, "put LOCAL PATH", &sessions)?;
    local.iter().try_for_each(|local| refuse_local(local, "get PATH --out LOCAL", &sessions))?;
    let session = app.session(&sessions, args.which.words())?;
    let remote = RemotePath::parse(remote, session.meta.workdir.as_ref())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let exchanges = Exchanges::new(&start, app.env());
    let selection = Selection {
        exclude: args.exclude,
        git: args.git.then(|| Git::from_env(app.env())),
        checksum: args.checksum,
    };
    let action = || Action::of("put", &args.paths);
    let send = || files::put(&exchanges, &local, &remote, &selection);
    let summary = sessions.audited(&session.meta.key, action, send)?;
    Ok(Transferred::sent(session, summary).into())
}
