//! `runcode current`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::grant::WebUrl;
use crate::origin::SessionKey;
use crate::output::foreign::Name;
use crate::output::report::{Outcome, Report, Text};
use crate::session::Session;
use crate::session::attachment::Attachment;
use crate::session::store::Store;
use crate::sys::clock;

/// Show the attached workspace.
///
/// `exec` and the file verbs work on it. This does not use the network.
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
        let key = self.attachment.as_ref().map(|attachment| &attachment.key);
        let name = meta.map(|meta| &meta.title);
        let name = name.or(self.attachment.as_ref().and_then(|attachment| attachment.title.as_ref()));
        json!({
            "attached": self.attachment.is_some(),
            "origin": key.map(|key| key.origin().word()),
            "name": name.map(Name::json),
            "workspace_id": key.and_then(SessionKey::workspace_id),
            "folder": self.attachment.as_ref().and_then(|attachment| attachment.folder.clone()),
            "api_base": key.and_then(SessionKey::api_base).map(ToString::to_string),
            "alias": meta.map(|meta| &meta.alias),
            "workdir": meta.map(|meta| &meta.workdir),
            "web_url": meta.and_then(|meta| meta.web_url.as_ref()).map(WebUrl::text),
            "expires_at": meta.and_then(|meta| meta.lifetime.expires_at()).map(|end| end.to_string()),
        })
    }

    fn text(&self, text: &mut Text) {
        let Some(attachment) = &self.attachment else {
            return text.line("no attached workspace (attach one with `runcode connect <workspace>`)");
        };
        match &self.session {
            Some(session) => {
                let meta = &session.meta;
                let left = match meta.lifetime.seconds_left(clock::now()) {
                    Some(0) => ", renewed at next use".to_owned(),
                    Some(seconds) => format!(", {} min left", seconds.div_ceil(60)),
                    None => String::new(),
                };
                let works_in = meta.workdir.as_ref().map(|workdir| format!(", works in {workdir}"));
                text.line(format!("{}{left}{}", session.shown(), works_in.unwrap_or_default()));
            }
            None => text.line(format!("{}, session made at next use", attachment.shown())),
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
        Some(attachment) => store.read(&attachment.key)?,
        None => None,
    };
    Ok(Current { attachment, session }.into())
}
