//! `runcode edit`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::App;
use crate::commands::args::Which;
use crate::commands::host_path::refuse_remote;
use crate::error::{Code, Error, Result};
use crate::files::{self, Change, Edited, Exchanges, RemotePath};
use crate::output::progress;
use crate::output::report::{Outcome, Report, Text};
use crate::session::Session;

/// The longest change that is read.
const CHANGE_MAX: u64 = 8 << 20;

/// Replace a text in a file on the attached workspace.
///
/// The old text must be in the file exactly once, byte for byte, or --all replaces each. It comes on stdin, between lines
/// `<<<<<<<`, `=======` and `>>>>>>>`, or from two files. The line end before such a line does not count.
///
/// Everything else in the file stays, as do its mode and owner. The file is written in one step, and only when it is still
/// what was read: otherwise the error is `conflict`, and nothing changes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode edit src/app.py <<'EOF'
  <<<<<<<
  retries = 3
  =======
  retries = 5
  >>>>>>>
  EOF
  runcode edit src/app.py --old old.txt --new new.txt --all")]
pub struct Args {
    /// The file on the workspace
    #[arg(value_name = "PATH")]
    path: OsString,
    /// The old text, from this file, without stdin; every byte counts
    #[arg(long, value_name = "LOCAL", requires = "new")]
    pub(crate) old: Option<PathBuf>,
    /// The new text, from this file
    #[arg(long, value_name = "LOCAL", requires = "old")]
    new: Option<PathBuf>,
    /// Replace the old text wherever it is
    #[arg(long)]
    all: bool,
    /// Only if the file has this SHA-256 now
    #[arg(long, value_name = "HEX")]
    expect_sha256: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Replaces the text.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if args
        .expect_sha256
        .as_ref()
        .is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(Error::new(Code::Usage, "--expect-sha256 takes 64 hexadecimal digits"));
    }
    let sessions = app.sessions()?;
    refuse_remote(&args.path, "edit PATH", &sessions)?;
    let change = match (&args.old, &args.new) {
        (Some(old), Some(new)) => Change::new(read(old)?, read(new)?)?,
        _ => {
            if io::stdin().is_terminal() {
                progress::note("reading the change from stdin, Ctrl-D ends");
            }
            let mut text = Vec::new();
            let read = io::stdin().take(CHANGE_MAX).read_to_end(&mut text);
            read.map_err(|error| Error::io("read stdin", error))?;
            Change::parse(&text)?
        }
    };
    let session = app.session(&sessions, args.which.words())?;
    let remote = RemotePath::parse(&args.path, session.meta.workdir.as_ref())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let exchanges = Exchanges::new(&start, app.env());
    let edited = files::edit(&exchanges, &remote, &change, args.all, args.expect_sha256.as_deref())?;
    Ok(Done { session, edited }.into())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io(format_args!("read `{}`", path.display()), error))
}

struct Done {
    session: Session,
    edited: Edited,
}

impl Report for Done {
    fn json(&self) -> Value {
        let lines = self.edited.lines.iter().map(|(number, line)| json!({ "line": number, "text": line }));
        let mut report = json!({
            "path": self.edited.summary.to,
            "replaced": self.edited.replaced,
            "sha256": self.edited.summary.sha256,
            "lines": lines.collect::<Vec<_>>(),
        });
        self.edited.summary.notes.name_in(&mut report);
        self.session.name_in(&mut report);
        report
    }

    fn text(&self, text: &mut Text) {
        let times = if self.edited.replaced == 1 { "once" } else { "times" };
        let count =
            if self.edited.replaced == 1 { String::new() } else { format!("{} ", self.edited.replaced) };
        text.line(format!(
            "✓ {} on {}: replaced {count}{times}",
            self.edited.summary.to,
            self.session.shown()
        ));
        self.edited.lines.iter().for_each(|(number, line)| text.line(format!("{number:>6}  {line}")));
        self.edited.summary.notes.text(text);
    }
}
