//! `runcode stop`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::origin::{Origins as _, Target};
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::Attachment;
use crate::session::resolve::word_for;

/// Power a workspace down.
///
/// Compute billing pauses; the disk stays. Without a name, it stops the attached workspace. A stopped workspace is
/// detached and its session removed; `runcode connect <workspace> --start` boots it again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode stop                  the attached workspace
  runcode stop my-ws --json     another one, for programs")]
pub struct Args {
    /// The workspace: its id, title or display name [default: the attached one]
    workspace: Option<String>,
    /// Keep the session's files
    #[arg(long)]
    keep: bool,
}

/// Asks the control plane to stop the workspace, then ends what leads to it.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let target = match &args.workspace {
        Some(name) => app.resolve(name)?,
        None => Target { key: sessions.attached_key()?, row: None },
    };
    let key = &target.key;
    let origin = app.origin(key.origin())?;
    let row = match target.row {
        // Only for people, who are told what there was to do; that it cannot be had is no reason not to stop.
        None if !app.is_json() => {
            origin.list().ok().and_then(|all| all.into_iter().find(|row| row.key == *key))
        }
        row => row,
    };
    let word = word_for(key, &sessions);
    origin.stop(key)?;
    let detached = Attachment::clear(app.paths()?, Some(key))?;
    if args.keep {
        sessions.end_connection(key)?;
    } else {
        sessions.drop_session(key)?;
    }
    let json = json!({ "stopped": true, "workspace_id": key.workspace_id(), "detached": detached });
    let name = key.shown(row.as_ref().map(|row| &row.title));
    let was_stopped = row.as_ref().is_some_and(|row| row.is_in("stopped"));
    let how = if was_stopped { "was stopped already" } else { "is stopping" };
    let again = args.workspace.unwrap_or(word);
    let lines = vec![
        format!("✓ {name} {how}{}", if detached { ", and is detached" } else { "" }),
        format!("  boot it again with: runcode connect {again} --start"),
    ];
    Ok(Simple { json, lines }.into())
}
