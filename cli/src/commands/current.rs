//! `runcode current`.

use serde_json::{Value, json};

use crate::app::{App, Named};
use crate::commands::args::Which;
use crate::error::Result;
use crate::grant::WebUrl;
use crate::origin::{Origin as _, OriginId, SessionKey};
use crate::output::foreign::{self, Name};
use crate::output::report::{Outcome, Report, Text};
use crate::output::sanitize::short;
use crate::session::Session;
use crate::session::approved::{self, Found};
use crate::session::attachment::{Applying, Attachment};
use crate::session::resolve::known_here;
use crate::sys::clock;

/// Show the workspace that commands in this folder mean.
///
/// That is the one that RUNCODE_WORKSPACE names, else the one attached to the nearest folder, else the only one that is
/// attached anywhere. This does not use the network.
#[derive(clap::Args, Default)]
#[command(after_help = "\
Examples:
  runcode current --json | jq .workspace_id")]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

impl Args {
    /// Of this workspace, or of the one that is meant without a name.
    pub fn of(workspace: Option<String>) -> Args {
        Args { which: Which::of(workspace) }
    }
}

struct Current {
    named: Option<Named>,
    key: Option<SessionKey>,
    attachment: Option<Attachment>,
    /// Whether the attachment's folder is this one, or holds it.
    is_near: bool,
    session: Option<Session>,
    /// For a server without a session: what may run there, and why the last session ended.
    without: Option<String>,
}

impl Report for Current {
    fn json(&self) -> Value {
        let meta = self.session.as_ref().map(|session| &session.meta);
        let key = self.key.as_ref();
        let name = meta.map(|meta| &meta.title);
        let name = name.or(self.attachment.as_ref().and_then(|attachment| attachment.title.as_ref()));
        json!({
            "attached": self.attachment.is_some(),
            "near": self.is_near,
            "routing": self.is_near && self.attachment.as_ref().is_some_and(|attachment| attachment.routing),
            "named": self.named.as_ref().map(|named| short(&named.words)),
            "origin": key.map(|key| key.origin().word()),
            "name": name.map(Name::json),
            "workspace_id": key.and_then(SessionKey::workspace_id),
            "folder": self.attachment.as_ref().and_then(|attachment| attachment.folder.clone()),
            "api_base": key.and_then(SessionKey::api_base).map(ToString::to_string),
            "alias": meta.map(|meta| &meta.alias),
            "workdir": meta.map(|meta| &meta.workdir),
            "web_url": meta.and_then(|meta| meta.web_url.as_ref()).map(WebUrl::text),
            "mode": match meta.and_then(|meta| meta.approved.as_ref()) {
                Some(_) => Some("unrestricted"),
                None => self.without.as_ref().map(|_| "restricted"),
            },
            "expires_at": meta.and_then(|meta| meta.lifetime.expires_at()).map(|end| end.to_string()),
        })
    }

    fn text(&self, text: &mut Text) {
        match (&self.session, &self.key) {
            (Some(session), _) => {
                let meta = &session.meta;
                let until = meta.lifetime.expires_at().filter(|_| meta.approved.is_some());
                let left = match meta.lifetime.seconds_left(clock::now()) {
                    _ if until.is_some() => until
                        .map(|end| format!(", approved until {}", end.strftime("%H:%M:%S UTC")))
                        .unwrap_or_default(),
                    Some(0) => ", renewed at next use".to_owned(),
                    Some(seconds) => format!(", {} min left", seconds.div_ceil(60)),
                    None => String::new(),
                };
                let works_in = meta.workdir.as_ref().map(|workdir| format!(", works in {workdir}"));
                text.line(format!("{}{left}{}", session.shown(), works_in.unwrap_or_default()));
            }
            (None, Some(key)) => {
                let title = self.attachment.as_ref().and_then(|attachment| attachment.title.as_ref());
                let what = self.without.as_deref().unwrap_or("session made at next use");
                text.line(format!("{}, {what}", key.shown(title)));
            }
            (None, None) => match &self.named {
                Some(named) => text.line(format!("{}, no session here yet", foreign::word(&named.words))),
                None => {
                    text.line("no attached workspace (attach one with `runcode connect <workspace>`)");
                }
            },
        }
        match (&self.named, &self.attachment) {
            (Some(named), _) if named.is_variable => text.line("  named by RUNCODE_WORKSPACE"),
            (None, Some(attachment)) => {
                let only = if self.is_near { "" } else { ", the only attachment there is" };
                text.line(format!("  attached to {}{only}", attachment.shown_folder()));
            }
            _ => {}
        }
    }
}

/// Reads the attachments and the session that they lead to.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let named = app.named(args.which.words());
    let applying = sessions.applying()?;
    let is_near = matches!(applying, Applying::Near(_));
    let (key, attachment) = match &named {
        Some(named) => {
            let key = known_here(&named.words, &sessions).map_err(|error| named.explain(error))?;
            let attachment = applying.one().ok().flatten();
            (key.clone(), attachment.filter(|attachment| Some(&attachment.key) == key.as_ref()))
        }
        None => {
            let attachment = applying.one()?;
            (attachment.as_ref().map(|attachment| attachment.key.clone()), attachment)
        }
    };
    let session = match &key {
        Some(key) => sessions.store().read(key)?,
        None => None,
    };
    // A session that is over does not count.
    let (mut session, mut over) = (session, None);
    if let Some(key) = &key
        && session.as_ref().is_none_or(|session| session.meta.approved.is_some())
    {
        match approved::look(&sessions, key)? {
            Found::Standing(standing) => session = Some(*standing),
            Found::Over(error) => (session, over) = (None, Some(error.message().to_owned())),
            Found::None => session = None,
        }
    }
    let without = key.as_ref().filter(|_| session.is_none()).and_then(|key| without(app, key, over));
    let is_near = is_near && attachment.is_some();
    Ok(Current { named, key, attachment, is_near, session, without }.into())
}

/// What may run without a session on a server that runs only profiles. `over`: why the last approved session ended.
fn without(app: &App, key: &SessionKey, over: Option<String>) -> Option<String> {
    if *key.origin() != OriginId::Server {
        return None;
    }
    let terms = app.servers().ok()?.terms(key).ok().flatten()?;
    terms.is_restricted().then(|| match over {
        Some(over) => format!("{}; {over}", terms.summary()),
        None => terms.summary(),
    })
}
