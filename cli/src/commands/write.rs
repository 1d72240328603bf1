//! `runcode write`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use crate::app::App;
use crate::commands::args::Which;
use crate::commands::host_path::{refuse_local, refuse_remote};
use crate::commands::transferred::Transferred;
use crate::error::{Code, Error, Result};
use crate::files::{self, Exchanges, RemotePath};
use crate::output::foreign;
use crate::output::progress;
use crate::output::report::Outcome;
use crate::session::audit::Action;

/// Write a file on the attached workspace, from stdin or a local file.
///
/// Any bytes will do. They are verified and replace the old file in one step; a failure leaves the old file. A relative
/// path starts in the workdir, and missing folders are created. The old file's mode stays; with --file, mode and
/// time are those of that file.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode write src/app.py < app.py
  make-config | runcode write /etc/app/config.toml
  runcode write notes.md --file ~/notes.md")]
pub struct Args {
    /// The file on the workspace
    #[arg(value_name = "PATH")]
    path: OsString,
    /// Take the content from this file instead of stdin
    #[arg(long, value_name = "LOCAL")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Sends the content.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if args.path.as_encoded_bytes().ends_with(b"/") {
        let folder = args.path.to_string_lossy();
        let word = Some(foreign::argument(&folder)).filter(|word| *word == folder).unwrap_or("FOLDER/");
        return Err(Error::new(
            Code::Usage,
            format!("{} names a folder, and write makes a file", foreign::file(&folder)),
        )
        .hint(format!("name the file: {word}NAME; or send files into it with `runcode put FILE {word}`")));
    }
    let sessions = app.sessions()?;
    refuse_remote(&args.path, "write PATH", &sessions)?;
    args.file.iter().try_for_each(|file| refuse_local(file, "get PATH --out LOCAL", &sessions))?;
    let session = app.session(&sessions, args.which.words())?;
    let remote = RemotePath::parse(&args.path, session.meta.workdir.as_ref())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let exchanges = Exchanges::new(&start, app.env());
    let action = || Action::of("write", [&args.path]);
    let send = || match args.file {
        Some(file) => files::put_as(&exchanges, &file, &remote),
        None => {
            if io::stdin().is_terminal() {
                progress::note("reading stdin, Ctrl-D ends");
            }
            files::write(&exchanges, io::stdin(), &remote)
        }
    };
    let summary = sessions.audited(&session.meta.key, action, send)?;
    Ok(Transferred::sent(session, summary).into())
}
