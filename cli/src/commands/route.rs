//! `runcode route`.

use serde_json::json;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::output::foreign::Name;
use crate::output::report::{Outcome, Simple};
use crate::session::attachment::{Applying, Attachment, Routing, linked};
use crate::session::policy;

/// Run Claude Code's own tools on the attached workspace.
///
/// In a routed folder and below, Claude Code's Bash and Monitor run on the workspace, also in subagents; so does what you type after `!`.
/// Read, Edit, Write and NotebookEdit are refused for files there. If anything is broken, nothing runs. Routing needs the plugin. It
/// belongs to the folder's attachment: `disconnect`, `stop` and `clean` end it. `connect --route` attaches and routes in one step.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode route on              route this folder
  runcode route on --sandboxes  also for agents in sandboxes
  runcode route status --json   for programs
  runcode route off             tools work on this machine again")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Clone, Copy)]
enum Verb {
    /// Route the attached folder
    On {
        /// Let agents in sandboxes reach the workspace, through a helper
        #[arg(long)]
        sandboxes: bool,
    },
    /// Stop routing; the folder stays attached
    Off,
    /// Say whether this folder is routed, and to which workspace
    Status,
}

/// Changes or reads the attachment of this folder.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let near = near(app)?;
    let attachments = app.attachments()?;
    let (is_routed, line) = match (args.verb, &near) {
        (Verb::Status, Some(near)) if near.routing => {
            let open = if near.sandboxes { "; agents in sandboxes reach it, too" } else { "" };
            (true, format!("routed: {}{open}", near.shown_with_folder()))
        }
        (Verb::Status, Some(near)) => (false, format!("not routed: {}", near.shown_with_folder())),
        (Verb::Status, None) => (false, "not routed: no workspace is attached to this folder".to_owned()),
        (Verb::On { sandboxes }, Some(near)) => {
            if let Some(terms) = policy::settle(&app.sessions()?, &near.key)? {
                let what =
                    format!("`{}` runs only its profiles, so no tool can be routed to it", terms.server.name);
                return Err(Error::new(Code::PolicyDenied, what).hint("use `runcode exec --profile …`"));
            }
            attachments.lock()?.route(near, Routing { is_on: true, sandboxes })?;
            let open = if sandboxes && app.start_helper() { "; so do agents in sandboxes" } else { "" };
            let near = near.shown_with_folder();
            (true, format!("✓ Routed to {near}: Claude Code sessions there run their commands on it{open}"))
        }
        (Verb::On { .. }, None) => {
            return Err(Error::new(Code::NotFound, "no workspace is attached to this folder")
                .hint("attach one and route this folder: runcode connect <workspace> --route"));
        }
        (Verb::Off, Some(near)) => {
            let was_routed = attachments.lock()?.route(near, Routing::OFF)?;
            let line = match was_routed {
                true => format!("✓ No longer routed: {} stays attached", near.shown_with_folder()),
                false => format!("was not routed: {}", near.shown_with_folder()),
            };
            (false, line)
        }
        (Verb::Off, None) => (false, "was not routed: no workspace is attached to this folder".to_owned()),
    };
    let near = near.as_ref();
    let json = json!({
        "routing": is_routed,
        "folder": near.and_then(|near| near.folder.as_ref()),
        "name": near.and_then(|near| near.title.as_ref()).map(Name::json),
        "workspace_id": near.and_then(|near| near.key.workspace_id()),
    });
    Ok(Simple { json, lines: vec![line] }.into())
}

/// The attachment of this folder, or of a folder above it, but of no other project.
fn near(app: &App) -> Result<Option<Attachment>> {
    match app.attachments()?.applying(Some(&app.folder()?))? {
        Applying::Near(near) => Ok(Some(*near)),
        Applying::Linked(all) => Err(linked(&all)),
        _ => Ok(None),
    }
}
