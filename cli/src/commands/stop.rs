//! `runcode stop`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::output::report::{Outcome, Simple};
use crate::output::sanitize;
use crate::session::attachment::Attachment;
use crate::session::resolve::{Target, resolve, title_here};

/// Power a workspace down.
///
/// Compute billing pauses, the disk stays. Without a name it stops the attached workspace. A stopped workspace is
/// detached, its session dropped; `runcode connect <workspace> --start` boots it again.
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
        Some(name) => resolve(name, app.plane()?)?,
        None => Target { id: sessions.attachment_here()?.workspace_id, row: None },
    };
    let id = target.id;
    let row = match target.row {
        // Only for people, who are told what there was to do; that it cannot be had is no reason not to stop.
        None if !app.is_json() => {
            app.plane()?.workspaces().ok().and_then(|all| all.into_iter().find(|row| row.id == id))
        }
        row => row,
    };
    let title = title_here(id, &sessions).unwrap_or(id.to_string());
    app.plane()?.stop(id)?;
    let detached = Attachment::clear(app.paths()?, Some(id))?;
    if args.keep {
        sessions.end_connection(id)?;
    } else {
        sessions.drop_session(id)?;
    }
    let json = json!({ "stopped": true, "workspace_id": id, "detached": detached });
    let (name, was_stopped) = match &row {
        Some(row) => (format!("{} (#{id})", sanitize::short(&row.title)), row.state == "stopped"),
        None => (format!("#{id}"), false),
    };
    let how = if was_stopped { "was stopped already" } else { "is stopping" };
    let again = args.workspace.unwrap_or(title);
    let lines = vec![
        format!("✓ {name} {how}{}", if detached { ", and is detached" } else { "" }),
        format!("  boot it again with: runcode connect {again} --start"),
    ];
    Ok(Simple { json, lines }.into())
}
