//! `runcode stop`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::Attachment;
use crate::session::resolve::resolve;

/// Power a workspace down: compute billing pauses, the disk stays.
///
/// Without a name it stops the attached workspace. A stopped workspace is detached, its session dropped;
/// `runcode connect <workspace> --start` boots it again.
#[derive(clap::Args)]
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
    let id = match &args.workspace {
        Some(name) => resolve(name, app.plane()?)?.id,
        None => sessions.attachment_here()?.workspace_id,
    };
    app.plane()?.stop(id)?;
    let detached = Attachment::clear(app.paths()?, Some(id))?;
    if args.keep {
        sessions.end_connection(id)?;
    } else {
        sessions.drop_session(id)?;
    }
    let json = json!({ "stopped": true, "workspace_id": id, "detached": detached });
    let line = format!("✓ Workspace #{id} is stopping{}", if detached { ", and detached" } else { "" });
    Ok(Simple { json, lines: vec![line, format!("  boot it again with: runcode connect {id} --start")] }
        .into())
}
