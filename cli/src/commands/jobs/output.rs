//! `runcode jobs output`.

use crate::app::App;
use crate::commands::args::Which;
use crate::error::{Code, Error, Result};
use crate::output::progress::note;
use crate::output::report::Outcome;
use crate::output::stdout;
use crate::remote::jobs::{self, Piece, Want};
use crate::session::audit::Action;
use crate::session::{Session, Sessions};

/// Print what a job has written.
///
/// The bytes come as they are. A note on stderr says how many are no longer kept: of each stream, the workspace keeps 16 MiB at
/// most, and always the last 6 MiB.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode jobs output build                  all that is kept of its stdout
  runcode jobs output build --stderr         of its stderr
  runcode jobs output build --follow         until it ends
  runcode jobs output build --since 65536    without its first 64 KiB")]
pub(super) struct Args {
    /// The job: its id, or its name
    #[arg(value_name = "ID")]
    job: String,
    /// Go on until the job ends, also over a new connection if this one is lost
    #[arg(short = 'f', long)]
    follow: bool,
    /// Begin with this byte, counted from 0
    #[arg(long, value_name = "BYTE", default_value_t = 0)]
    since: u64,
    /// Print its stderr instead
    #[arg(long)]
    stderr: bool,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Does what reads the output of a job; the audit log is told of it.
pub fn read<T>(
    sessions: &Sessions<'_>,
    session: &Session,
    want: &Want<'_>,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let stream = want.is_stderr.then_some("--stderr");
    let action = || Action::of("job_output", [Some(want.words), stream].into_iter().flatten());
    sessions.audited(&session.meta.key, action, run)
}

/// Prints it.
pub(super) fn run(args: &Args, app: &App) -> Result<Outcome> {
    if app.is_json() {
        return Err(Error::new(Code::Usage, "--json is not supported here: the output is printed as it is")
            .hint("leave --json out; `runcode jobs --json` says how much there is"));
    }
    super::named(&args.job)?;
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    let want = Want { words: &args.job, is_stderr: args.stderr, since: args.since, follow: args.follow };
    let mut print = |piece: Piece<'_>| match piece {
        Piece::Bytes(bytes) => stdout::write(bytes),
        Piece::Lost(count) => {
            note(format!("runcode: lost {count} bytes of output: the workspace no longer keeps them"));
            Ok(())
        }
    };
    let job = read(&sessions, &session, &want, || jobs::output(&sessions, &session, &want, &mut print))?;
    let kept = if args.stderr { job.stderr } else { job.stdout };
    if !kept.is_whole {
        note(
            "runcode: some output is missing: the workspace could not write it, so its disk may have been full",
        );
    }
    Ok(Outcome::Status(0))
}
