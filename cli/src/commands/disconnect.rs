//! `runcode disconnect`.

use serde_json::json;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::OriginId;
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::Attachment;
use crate::session::resolve::{resolve_here, shown, word_for};

/// Detach from the workspace and drop the session.
///
/// The workspace keeps running; `runcode stop` powers it down. Sessions of workspaces that are not attached are
/// dropped by `runcode clean <workspace>`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode disconnect            end the session, its key and its connection
  runcode disconnect --keep     detach only: the next connect is instant")]
pub struct Args {
    /// The workspace; fails if another one is attached [default: the attached one]
    workspace: Option<String>,
    /// Only detach: keep the session for later
    #[arg(long)]
    keep: bool,
}

/// Detaches; fine when nothing is attached.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let attachment = sessions.store().attachment()?;
    if let Some(name) = &args.workspace {
        let key = resolve_here(name, &sessions)?;
        if attachment.as_ref().is_none_or(|attachment| attachment.key != key) {
            let what = match &attachment {
                Some(attachment) => shown(&attachment.key, &sessions),
                None => "nothing".to_owned(),
            };
            return Err(Error::new(Code::NotFound, format!("`{name}` is not attached ({what} is attached)"))
                .hint(format!("`runcode clean {name}` drops a session that is not attached")));
        }
    }
    let Some(attachment) = attachment else {
        Attachment::clear(app.paths()?, None)?;
        let json = json!({ "disconnected": false, "workspace_id": null, "kept": false });
        return Ok(Simple { json, lines: vec!["no workspace was attached".to_owned()] }.into());
    };
    let key = attachment.key;
    let name = shown(&key, &sessions);
    let word = word_for(&key, &sessions);
    Attachment::clear(app.paths()?, Some(&key))?;
    if !args.keep {
        sessions.drop_session(&key)?;
    }
    let json = json!({ "disconnected": true, "workspace_id": key.workspace_id(), "kept": args.keep });
    let mut lines = vec![format!("✓ Detached from {name}; it keeps running")];
    if *key.origin() != OriginId::Ssh {
        lines.push(format!("  power it down with: runcode stop {}", args.workspace.unwrap_or(word)));
    }
    Ok(Simple { json, lines }.into())
}
