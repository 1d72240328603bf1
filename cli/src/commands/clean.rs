//! `runcode clean`.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::json;

use crate::app::App;
use crate::commands::args::OneOf;
use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Simple};
use crate::session::resolve::{meant_now, resolve_here, shown};
use crate::session::{Sessions, approved, once};
use crate::sys::atomic_file;

/// Remove sessions from this machine.
///
/// Removes their keys and configs, and closes their connections. Workspaces keep running, and the saved token stays (see
/// `runcode logout`). With --all, the output that the tools of `runcode mcp` keep goes too.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode clean            the attached workspace's session
  runcode clean my-ws      another one's
  runcode clean --all      every one; for a fresh start")]
pub struct Args {
    #[command(flatten)]
    which: OneOf,
    /// Every session
    #[arg(long, conflicts_with_all = ["workspace", "named"])]
    all: bool,
}

/// Ends the connections, then removes the files.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let store = sessions.store();
    let mut cleaned = Vec::new();
    once::sweep(store.cache())?;
    #[cfg(unix)]
    crate::session::password::sweep();
    if args.all {
        sessions.attachments().lock()?.remove_all()?;
        for remains in store.remains()? {
            if store.has_folder(&remains) {
                cleaned.push(remains.workspace_id.map_or_else(|| json!(remains.name()), |id| json!(id)));
            }
            sessions.drop_remains(&remains)?;
        }
        if atomic_file::is_own_dir(store.cache())? {
            remove_outputs(&app.paths()?.kept_outputs())?;
            approved::forget_all(store.cache());
        }
    } else {
        return one(&args, app, &sessions);
    }
    let line = match cleaned.len() {
        0 => "there was nothing to clean".to_owned(),
        1 => "✓ Removed 1 session".to_owned(),
        count => format!("✓ Removed {count} sessions"),
    };
    Ok(Simple { json: json!({ "cleaned": cleaned }), lines: vec![line] }.into())
}

/// Removes the session of the named workspace, or of the one attached to this folder.
fn one(args: &Args, app: &App, sessions: &Sessions<'_>) -> Result<Outcome> {
    let applying = sessions.applying()?;
    let named = app.named(args.which.words());
    let (key, attachment) = match &named {
        Some(named) => {
            let key = resolve_here(&named.words, sessions).map_err(|error| named.explain(error))?;
            (key, applying.one().ok().flatten())
        }
        None => match applying.here("clean")? {
            Some(attachment) => (attachment.key.clone(), Some(attachment)),
            None => {
                return Err(Error::new(
                    Code::Usage,
                    "no workspace is attached, so it is not clear what to clean",
                )
                .hint("name a workspace, or use `runcode clean --all`"));
            }
        },
    };
    let name = shown(&key, sessions);
    let is_there = sessions.store().has_any(&key);
    let cleaned = is_there.then(|| key.workspace_id().map_or_else(|| json!(key.id()), |id| json!(id)));
    // Another folder that it is attached to makes a new session at its next use.
    let detached = match attachment.filter(|attachment| attachment.key == key) {
        Some(attachment) => {
            sessions.attachments().lock()?.remove(&attachment)?.then(|| attachment.shown_folder())
        }
        None => None,
    };
    sessions.drop_session(&key)?;
    let mut lines = match (is_there, &detached) {
        (true, _) => vec![format!("✓ Removed the session of {name}")],
        (false, Some(_)) => Vec::new(),
        (false, None) => vec!["there was nothing to clean".to_owned()],
    };
    if let Some(folder) = detached {
        lines.push(format!("✓ Detached {folder} from {name}"));
        lines.extend(meant_now(sessions));
    }
    Ok(Simple { json: json!({ "cleaned": cleaned.as_slice() }), lines }.into())
}

/// Removes what the tools of `mcp` keep of what commands printed.
fn remove_outputs(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(format_args!("remove {}", folder.named()), error))
        }
        _ => Ok(()),
    }
}
