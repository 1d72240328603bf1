//! `runcode clean`.

use serde_json::json;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::output::report::{Outcome, Simple};
use crate::session::Sessions;
use crate::session::attachment::Attachment;
use crate::session::resolve;

/// Remove sessions from this machine: keys, configs and open connections.
///
/// Workspaces keep running, the saved token stays (see `runcode logout`).
#[derive(clap::Args)]
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
    let ids = match (&args.workspace, args.all) {
        (_, true) => sessions.store().ids()?,
        (Some(name), _) => vec![known_here(name, &sessions, app)?],
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
    for id in &ids {
        Attachment::clear(app.paths()?, Some(*id))?;
        sessions.drop_session(*id)?;
    }
    if args.all {
        Attachment::clear(app.paths()?, None)?;
    }
    let line = match ids.len() {
        0 => "there was nothing to clean".to_owned(),
        1 => "✓ Removed 1 session".to_owned(),
        count => format!("✓ Removed {count} sessions"),
    };
    Ok(Simple { json: json!({ "cleaned": ids }), lines: vec![line] }.into())
}

/// An id, or the title of a session that is here; only another name needs the control plane.
fn known_here(name: &str, sessions: &Sessions<'_>, app: &App) -> Result<u64> {
    if let Some(id) = resolve::numeric(name) {
        return Ok(id);
    }
    for id in sessions.store().ids()? {
        if let Some(session) = sessions.store().read(id)?
            && session.meta.endpoint.user.as_str().eq_ignore_ascii_case(name)
        {
            return Ok(id);
        }
    }
    resolve::resolve(name, app.plane()?).map(|target| target.id)
}
