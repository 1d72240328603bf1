//! `runcode disconnect`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::Attachment;

/// Detach from the workspace and drop the session. The workspace keeps running; `stop` powers it down.
#[derive(clap::Args)]
pub struct Args {
    /// Only detach: keep the session for later
    #[arg(long)]
    keep: bool,
}

/// Detaches; fine when nothing is attached.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let Some(attachment) = sessions.store().attachment()? else {
        Attachment::clear(app.paths()?, None)?;
        let json = json!({ "disconnected": false, "workspace_id": null });
        return Ok(Simple { json, lines: vec!["no workspace was attached".to_owned()] }.into());
    };
    let id = attachment.workspace_id;
    Attachment::clear(app.paths()?, Some(id))?;
    if !args.keep {
        sessions.drop_session(id)?;
    }
    let json = json!({ "disconnected": true, "workspace_id": id, "kept": args.keep });
    let line =
        format!("✓ Detached from workspace #{id}; it keeps running (`runcode stop {id}` powers it down)");
    Ok(Simple { json, lines: vec![line] }.into())
}
