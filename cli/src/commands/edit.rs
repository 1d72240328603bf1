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
use crate::output::foreign::{self, FileName as _};
use crate::output::progress;
use crate::output::report::{Outcome, Report, Text};
use crate::session::Session;
use crate::session::audit::Action;

/// The longest change that is read.
const CHANGE_MAX: u64 = 8 << 20;

/// Replace a text in a file on the attached workspace.
///
/// The file must contain the old text exactly once, byte for byte; with --all, each occurrence is replaced. Give both texts on
/// stdin between the lines `<<<<<<<`, `=======` and `>>>>>>>`, or in two files. The line break before such a line belongs to
/// neither text.
///
/// Everything else in the file stays the same, and so do its mode and owner. If the file has changed since it was read, the
/// error is `conflict`, and nothing is written. Files up to 4 MiB can be edited.
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
    /// Read the old text from this file instead of stdin; every byte counts
    #[arg(long, value_name = "LOCAL", requires = "new")]
    old: Option<PathBuf>,
    /// Read the new text from this file
    #[arg(long, value_name = "LOCAL", requires = "old")]
    new: Option<PathBuf>,
    /// Replace each occurrence of the old text
    #[arg(long)]
    all: bool,
    /// Only edit the file if this is its SHA-256
    #[arg(long, value_name = "HEX")]
    expect_sha256: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl Args {
    /// Whether the change comes on stdin.
    pub fn reads_stdin(&self) -> bool {
        self.old.is_none()
    }
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
            Change::parse(&bounded(io::stdin(), "stdin")?)?
        }
    };
    let session = app.session(&sessions, args.which.words())?;
    let remote = RemotePath::parse(&args.path, session.meta.workdir.as_ref())?;
    let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
    let exchanges = Exchanges::new(&start, app.env());
    let expected = args.expect_sha256.as_deref();
    let edit = || files::edit(&exchanges, &remote, &change, args.all, expected);
    let edited = sessions.audited(&session.meta.key, || Action::of("edit", [&args.path]), edit)?;
    Ok(Done { session, edited }.into())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.named().to_string();
    let file = std::fs::File::open(path).map_err(|error| Error::io(format_args!("read {shown}"), error))?;
    bounded(file, &shown)
}

fn bounded(from: impl io::Read, shown: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(CHANGE_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| Error::io(format_args!("read {shown}"), error))?;
    if text.len() as u64 > CHANGE_MAX {
        return Err(Error::new(
            Code::Usage,
            format!("{shown} holds more than 8 MiB, which is no edit any more"),
        )
        .hint("send the whole file with `runcode put`"));
    }
    Ok(text)
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
        let times = match self.edited.replaced {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        let to = foreign::place(&self.edited.summary.to);
        text.line(format!("✓ {to} on {}: replaced {times}", self.session.shown()));
        self.edited.lines.iter().for_each(|(number, line)| text.line(format!("{number:>6}  {line}")));
        self.edited.summary.notes.text(text);
    }
}
