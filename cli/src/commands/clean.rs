//! `runcode clean`.

use serde_json::json;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::Attachment;
use crate::session::resolve::resolve_here;

/// Remove sessions from this machine.
///
/// Their keys, their configs and their open connections. Workspaces keep running, the saved token stays (see `runcode
/// logout`).
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode clean            the attached workspace's session
  runcode clean my-ws      another one's
  runcode clean --all      every one; for a fresh start")]
pub struct Args {
    /// The workspace: its id, title or display name [default: the attached one]
    #[arg(conflicts_with = "all")]
    workspace: Option<String>,
    /// Every session
    #[arg(long)]
    all: bool,
}

/// Ends the connections, then removes the files.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let there = sessions.store().ids()?;
    let mut ids = match (&args.workspace, args.all) {
        (_, true) => there.clone(),
        (Some(name), _) => vec![resolve_here(name, &sessions, || app.plane())?],
        (None, _) => match sessions.store().attachment()? {
            Some(attachment) => vec![attachment.workspace_id],
            None => {
                return Err(Error::new(
                    Code::Usage,
                    "no workspace is attached, so it is not clear what to clean",
                )
                .hint("name a workspace, or use `runcode clean --all`"));
            }
        },
    };
    let there = there.into_iter().filter(|id| sessions.store().has_any(*id)).collect::<Vec<_>>();
    for id in &ids {
        Attachment::clear(app.paths()?, Some(*id))?;
        sessions.drop_session(*id)?;
    }
    if args.all {
        Attachment::clear(app.paths()?, None)?;
    }
    ids.retain(|id| there.contains(id));
    let line = match ids.len() {
        0 => "there was nothing to clean".to_owned(),
        1 => "✓ Removed 1 session".to_owned(),
        count => format!("✓ Removed {count} sessions"),
    };
    Ok(Simple { json: json!({ "cleaned": ids }), lines: vec![line] }.into())
}
