//! `runcode current`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::output::report::{Outcome, Report, Text};
use crate::session::Session;
use crate::session::attachment::Attachment;
use crate::session::store::Store;
use crate::sys::clock;

/// Show the attached workspace.
///
/// It is the one that `exec` and the file verbs work on. Nothing is asked of the network.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode current --json | jq .workspace_id")]
pub struct Args {}

struct Current {
    attachment: Option<Attachment>,
    session: Option<Session>,
}

impl Report for Current {
    fn json(&self) -> Value {
        let meta = self.session.as_ref().map(|session| &session.meta);
        json!({
            "attached": self.attachment.is_some(),
            "workspace_id": self.attachment.as_ref().map(|attachment| attachment.workspace_id),
            "folder": self.attachment.as_ref().and_then(|attachment| attachment.folder.clone()),
            "api_base": self.attachment.as_ref().map(|attachment| attachment.api_base.clone()),
            "alias": meta.map(|meta| &meta.alias),
            "workdir": meta.map(|meta| &meta.workdir),
            "web_url": meta.and_then(|meta| meta.web_url.as_ref()).map(ToString::to_string),
            "expires_at": meta.map(|meta| meta.expires_at.time().to_string()),
        })
    }

    fn text(&self, text: &mut Text) {
        let Some(attachment) = &self.attachment else {
            return text.line("no attached workspace (attach one with `runcode connect <workspace>`)");
        };
        match &self.session {
            Some(session) => {
                let meta = &session.meta;
                let minutes = meta.expires_at.seconds_left(clock::now()).div_ceil(60);
                let left = if minutes > 0 {
                    format!("{minutes} min left")
                } else {
                    "renewed at next use".to_owned()
                };
                text.line(format!(
                    "{} (#{}), {left}, works in {}",
                    meta.endpoint.user, attachment.workspace_id, meta.workdir
                ));
            }
            None => text.line(format!("#{}, session made at next use", attachment.workspace_id)),
        }
        if let Some(folder) = &attachment.folder {
            text.line(format!("  attached from {folder}"));
        }
    }
}

/// Reads the pointer and the session it points to.
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    let store = Store::new(app.paths()?);
    let attachment = store.attachment()?;
    let session = match &attachment {
        Some(attachment) => store.read(attachment.workspace_id)?,
        None => None,
    };
    Ok(Current { attachment, session }.into())
}
