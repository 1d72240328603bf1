//! `runcode get`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::app::App;
use crate::commands::args::Which;
use crate::commands::host_path::{refuse_local, refuse_remote};
use crate::commands::transferred::Transferred;
use crate::error::{Code, Error, Result};
use crate::files::{self, Exchanges, Part, Place, RemotePath};
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::output::progress;
use crate::output::report::{Outcome, Report as _};
use crate::session::audit::Action;

/// Fetch files and folders from the attached workspace.
///
/// One file goes to stdout; folders and several files need --out. Everything is verified and appears whole or not at all.
/// Modes and times are kept.
///
/// --out may be a link of your own. Below it, runcode never follows a link, and replaces one that is in a file's way.
/// Links that lead out of a fetched folder are left out and reported, with exit status 1. Device files are
/// never created. When the file itself goes to stdout, the report of --json goes to stderr.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode get logs/app.log | grep ERROR
  runcode get logs/app.log --out app.log
  runcode get src/app.py --lines 20-80         lines of a file
  runcode get logs/app.log --offset -2000      its last 2000 bytes
  runcode get build dist --out artifacts/      several, into a folder")]
pub struct Args {
    /// The files and folders on the workspace; a relative path starts in the workdir
    #[arg(value_name = "REMOTE", required = true, num_args = 1..)]
    remote: Vec<OsString>,
    /// The local destination: a name, or a folder if it ends in `/`; `-` is stdout
    #[arg(long, short, value_name = "LOCAL")]
    out: Option<PathBuf>,
    /// Also keep links that lead out of a fetched folder; a program that follows one later goes where the workspace chose
    #[arg(long)]
    links: bool,
    /// Only what follows this many bytes; a negative number counts from the end
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, conflicts_with = "out")]
    offset: Option<i64>,
    /// No more than this many bytes
    #[arg(long, value_name = "BYTES", conflicts_with = "out")]
    limit: Option<u64>,
    /// Only these lines, such as 20-80, 20- or 20; the first is 1
    #[arg(long, value_name = "A-B", conflicts_with_all = ["out", "offset", "limit"])]
    lines: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Fetches them.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    args.remote.iter().try_for_each(|remote| refuse_remote(remote, "get PATH", &sessions))?;
    args.out.iter().try_for_each(|out| refuse_local(out, "put LOCAL PATH", &sessions))?;
    let place = match (&args.out, &args.remote[..]) {
        (Some(path), remotes) if path.as_os_str() != "-" => Place::parse(path, remotes.len() > 1),
        (_, [_]) => Place::Stdout,
        (_, remotes) => {
            let error = Error::new(Code::Usage, "only one file at a time can go to stdout");
            return Err(match remotes {
                [one, two] => error.hint(format!(
                    "{} as {} on this machine: --out {}; both into a folder: --out FOLDER/",
                    Path::new(one).named(),
                    Path::new(two).named(),
                    foreign::argument(&two.to_string_lossy())
                )),
                _ => error.hint("say where to put them: --out FOLDER/"),
            });
        }
    };
    let part = match (&args.lines, args.offset, args.limit) {
        (Some(lines), ..) => Part::lines(lines)?,
        (None, None, None) => Part::Whole,
        (None, offset, limit) => Part::Bytes { offset: offset.unwrap_or(0), limit },
    };
    let session = app.session(&sessions, args.which.words())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let exchanges = Exchanges::new(&start, app.env());
    let remotes = args.remote.iter().map(|path| RemotePath::parse(path, session.meta.workdir.as_ref()));
    let remotes = remotes.collect::<Result<Vec<_>>>()?;
    let fetch = || match &remotes[..] {
        [remote] if part != Part::Whole => files::get_part(&exchanges, remote, part),
        _ => files::get(&exchanges, &remotes, &place, args.links),
    };
    let summary = sessions.audited(&session.meta.key, || Action::of("get", &args.remote), fetch)?;
    let report = Transferred::fetched(session, summary);
    if !matches!(place, Place::Stdout) {
        return Ok(report.into());
    }
    if app.is_json() {
        progress::note(report.json().to_string());
    }
    Ok(Outcome::Status(0))
}
