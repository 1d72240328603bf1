//! `runcode audit seal`.

use std::path::{Path, PathBuf};

use runcode_audit::{Entry, Outcome as Fate, Phase, SEAL};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::written;
use crate::app::App;
use crate::error::Result;
use crate::origin::Trail;
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Report, Text};
use crate::session::audit;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Continue the log although records were lost, and record the loss
    #[arg(long)]
    accept_loss: bool,
}

struct Done {
    log: PathBuf,
    key: Zeroizing<String>,
    id: String,
}

impl Report for Done {
    fn json(&self) -> Value {
        json!({ "log": self.log.to_string_lossy(), "verification_key": *self.key, "key_id": self.id })
    }

    fn text(&self, text: &mut Text) {
        text.line(format!("✓ Sealed: {}", self.log.named()));
        text.line(format!("  verification key: {}", *self.key));
        text.line("  It is shown only once. Keep it away from this machine: whoever has it can seal records of their own.");
        text.line("  later: runcode audit verify --key-stdin");
    }
}

/// Seals the log with a new key.
pub(super) fn run(args: &Args, other: Option<PathBuf>, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let trail = match other {
        // The anchor is that of the usual log: the heads of another one would contradict it.
        Some(other) => {
            let usual = app.server_trail()?;
            let is_usual = is_one_file(&other, &written(app, &usual)?);
            Trail { log: Some(other), anchor: usual.anchor.filter(|_| is_usual) }
        }
        None => app.server_trail()?,
    };
    let who = audit::who(&sessions, Entry::new(Phase::Event, SEAL, Fate::Succeeded));
    let log = audit::open(&sessions, &trail)?;
    let key = log.seal(&who, args.accept_loss).map_err(audit::failed)?;
    Ok(Done { log: log.path().to_owned(), key: key.to_text(), id: key.id() }.into())
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
