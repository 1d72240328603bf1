//! `runcode stop`.

use serde_json::json;

use crate::app::App;
use crate::commands::args::OneOf;
use crate::error::{Error, Result};
use crate::origin::{Origins as _, Target};
use crate::output::foreign::Name;
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::Applying;
use crate::session::audit::Action;
use crate::session::resolve::{meant_now, title_here};

/// Power a workspace down.
///
/// Compute billing pauses; the disk stays. Without a name, it stops the workspace attached to this folder. This folder is
/// detached from a stopped workspace, and its session removed; `runcode connect <workspace> --start` boots it again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode stop                  the attached workspace
  runcode stop my-ws --json     another one, for programs")]
pub struct Args {
    #[command(flatten)]
    which: OneOf,
    /// Keep the session's files
    #[arg(long)]
    keep: bool,
}

impl Args {
    /// Of this workspace, or of the one that is meant without a name.
    pub fn of(workspace: Option<String>) -> Args {
        Args { which: OneOf::of(workspace), keep: false }
    }
}

/// Asks the control plane to stop the workspace, then ends what leads to it.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let named = app.named(args.which.words());
    let target = match &named {
        Some(named) => app.resolve(&named.words).map_err(|error| named.explain(error))?,
        None => Target { key: sessions.key_here("stop")?, row: None },
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
    let title = row.as_ref().map(|row| row.title.clone()).or_else(|| title_here(key, &sessions));
    // Another folder that it is attached to must not come to mean another workspace by this.
    let attachment = sessions.applying().and_then(Applying::one).ok().flatten().filter(|it| it.key == *key);
    sessions.recorded(key, Action::named("stop"), || origin.stop(key))?;
    let ended = (|| {
        let detached = match &attachment {
            Some(attachment) => sessions.attachments().lock()?.remove(attachment)?,
            None => false,
        };
        match args.keep {
            true => sessions.end_connection(key)?,
            false => sessions.drop_session(key)?,
        }
        Ok(detached)
    })();
    let detached =
        ended.map_err(|error: Error| error.context(format!("{} is stopping", key.shown(title.as_ref()))))?;
    let json = json!({
        "stopped": true,
        "workspace_id": key.workspace_id(),
        "detached": detached,
        "name": title.as_ref().map(Name::json),
    });
    let name = key.shown(title.as_ref());
    let was_stopped = row.as_ref().is_some_and(|row| row.is_in("stopped"));
    let how = if was_stopped { "was stopped already" } else { "is stopping" };
    let again = named.map_or_else(|| key.words(), |named| named.words);
    let mut lines = vec![
        format!("✓ {name} {how}{}", if detached { ", and is detached" } else { "" }),
        format!("  boot it again with: runcode connect {again} --start"),
    ];
    lines.extend(meant_now(&sessions).filter(|_| detached));
    Ok(Simple { json, lines }.into())
}
