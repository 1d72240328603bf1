//! `runcode disconnect`.

use serde_json::json;

use crate::app::App;
use crate::commands::args::OneOf;
use crate::error::{Code, Error, Result};
use crate::origin::names::few;
use crate::origin::{OriginId, SessionKey};
use crate::output::foreign::{self, Name};
use crate::output::report::{Outcome, Simple};
use crate::session::Sessions;
use crate::session::attachment::{Applying, Attachment, ambiguous, elsewhere_only};
use crate::session::resolve::{meant_now, resolve_here, shown};

/// Detach this folder from its workspace and drop the session.
///
/// The workspace keeps running; `runcode stop` powers it down. A session that another folder is attached to stays. It fails if a
/// workspace is attached to other folders only, and with a name, unless that workspace is the one attached to this folder.
/// `runcode clean <workspace>` drops any session.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode disconnect            end the session, its key and its connection
  runcode disconnect --keep     detach only: the next connect is instant
  runcode disconnect --all      every folder, and their sessions")]
pub struct Args {
    #[command(flatten)]
    which: OneOf,
    /// Only detach: keep the session for later
    #[arg(long)]
    keep: bool,
    /// Detach every folder
    #[arg(long, conflicts_with_all = ["workspace", "named"])]
    all: bool,
}

impl Args {
    /// Of this workspace, or of the one that is meant without a name.
    pub fn of(workspace: Option<String>, keep: bool) -> Args {
        Args { which: OneOf::of(workspace), keep, all: false }
    }
}

/// Detaches; fine when nothing is attached.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    if args.all {
        return all(args.keep, &sessions);
    }
    let Some(attachment) = meant(&args, app, &sessions)? else {
        let json = json!({ "disconnected": false, "workspace_id": null, "kept": false });
        return Ok(Simple { json, lines: vec!["no workspace was attached".to_owned()] }.into());
    };
    let key = &attachment.key;
    let name = shown(key, &sessions);
    let locked = sessions.attachments().lock()?;
    locked.remove(&attachment)?;
    let others = locked.others(&attachment)?;
    // Still under the lock: who attaches it from now on makes a session anew.
    let is_kept = args.keep || !others.is_empty();
    if !is_kept {
        sessions.drop_session(key)?;
    }
    drop(locked);
    let json = json!({
        "disconnected": true,
        "workspace_id": key.workspace_id(),
        "kept": is_kept,
        "name": attachment.title.as_ref().map(Name::json),
        "folder": attachment.folder,
        "still_attached_to": others.iter().map(|other| &other.folder).collect::<Vec<_>>(),
    });
    let mut lines = vec![
        format!("✓ Detached from {name}; it keeps running"),
        format!("  it was attached to {}", attachment.shown_folder()),
    ];
    if !others.is_empty() {
        let folders = few(others.iter().map(Attachment::shown_folder));
        lines.push(format!("  its session stays: it is attached to {folders}, too"));
    } else if matches!(key.origin(), OriginId::Plane(_)) {
        lines.push(format!("  power it down with: runcode stop {}", key.words()));
    }
    lines.extend(meant_now(&sessions));
    Ok(Simple { json, lines }.into())
}

/// The attachment to end: the one that applies here, if it is the named workspace's where one is named.
fn meant(args: &Args, app: &App, sessions: &Sessions<'_>) -> Result<Option<Attachment>> {
    let named = app.named(args.which.words());
    let key = named
        .as_ref()
        .map(|named| resolve_here(&named.words, sessions).map_err(|error| named.explain(error)));
    let key = key.transpose()?;
    let applying = match sessions.applying()? {
        Applying::Near(near) => vec![*near],
        Applying::Linked(all) | Applying::Gone(all) => all,
        Applying::None => Vec::new(),
        // Those are other folders', whoever is named.
        Applying::Only(all) | Applying::Several(all) if named.is_some() => {
            return Err(unattached(named.as_ref().map_or("", |named| &named.words), &all));
        }
        Applying::Only(all) => {
            let only = |_: &str| "run it there; `runcode disconnect --all` detaches every folder".to_owned();
            return Err(elsewhere_only(&all, only).for_tools("it is another project's: leave it as it is"));
        }
        Applying::Several(all) => return Err(several(&all)),
    };
    let is_named = |attachment: &&Attachment| key.as_ref().is_none_or(|key| *key == attachment.key);
    match (&applying.iter().filter(is_named).collect::<Vec<_>>()[..], named) {
        ([attachment], _) => Ok(Some((*attachment).clone())),
        ([], None) => Ok(None),
        ([], Some(named)) => Err(unattached(&named.words, &applying)),
        _ => Err(several(&applying)),
    }
}

fn several(all: &[Attachment]) -> Error {
    ambiguous(all)
        .hint("run it in one of these folders, or use `runcode disconnect --all`")
        .for_tools("none of them is this project's: leave them as they are")
}

fn unattached(name: &str, applying: &[Attachment]) -> Error {
    let what = match applying {
        [] => "nothing is attached".to_owned(),
        [one] => format!("{} is attached to {}", one.shown(), one.shown_folder()),
        several => format!("attached are {}", few(several.iter().map(Attachment::shown_with_folder))),
    };
    Error::new(Code::NotFound, format!("{} is not attached to this folder ({what})", foreign::word(name)))
        .hint(format!(
            "run it in the folder that it is attached to; `runcode clean {}` drops its session",
            foreign::argument(name)
        ))
        .for_tools("`list` says what is attached to this project; only that can be disconnected")
}

/// Detaches every folder.
fn all(is_kept: bool, sessions: &Sessions<'_>) -> Result<Outcome> {
    let locked = sessions.attachments().lock()?;
    let all = locked.all().unwrap_or_default(); // what cannot be understood goes all the same
    locked.remove_all()?;
    let mut keys = Vec::<&SessionKey>::new();
    for attachment in &all {
        if !keys.contains(&&attachment.key) {
            keys.push(&attachment.key);
        }
    }
    if !is_kept {
        keys.iter().try_for_each(|key| sessions.drop_session(key))?;
    }
    let row = |attachment: &Attachment| {
        json!({
            "workspace_id": attachment.key.workspace_id(),
            "name": attachment.title.as_ref().map(Name::json),
            "folder": attachment.folder,
        })
    };
    let json = json!({
        "disconnected": !all.is_empty(),
        "workspace_id": null,
        "kept": is_kept && !all.is_empty(),
        "detached": all.iter().map(row).collect::<Vec<_>>(),
    });
    let mut lines = all.iter().map(|it| format!("✓ Detached {}", it.shown_with_folder())).collect::<Vec<_>>();
    if lines.is_empty() {
        lines.push("no workspace was attached".to_owned());
    }
    Ok(Simple { json, lines }.into())
}
