//! `runcode connect` to a server that a certificate opens for one profile at a time: it is attached, and nothing is connected to.

use serde_json::{Value, json};

use super::patience::Patience;
use super::{Args, boot};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::SshUser;
use crate::origin::{Target, Terms};
use crate::output::foreign::Name;
use crate::output::report::{Outcome, Report, Text};
use crate::session::Titles;
use crate::session::attachment::{Routing, attach_key};
use crate::sys::location::Location;

struct Attached {
    terms: Terms,
    folder: Location,
    started: bool,
    routing: bool,
}

impl Report for Attached {
    fn json(&self) -> Value {
        let server = &self.terms.server;
        json!({
            "origin": "server",
            "name": server.name,
            "alias": null,
            "environment": server.environment,
            "config": null,
            "command": null,
            "host": server.method.host(),
            "port": server.port_number(),
            "user": server.user.as_ref().map(SshUser::as_str),
            "web_url": null,
            "workdir": null,
            "expires_at": null,
            "started": self.started,
            "reused": false,
            "workspace_id": null,
            "statusline_installed": null,
            "folder": self.folder.real().to_str(),
            "mode": "restricted",
            "routing": self.routing,
        })
    }

    fn text(&self, text: &mut Text) {
        let server = &self.terms.server;
        text.line(format!("✓ Attached {}: for its profiles, without a connection", server.name));
        if let Some(environment) = &server.environment {
            text.line(format!("  environment: {environment}"));
        }
        text.line(format!("  {}", self.terms.summary()));
        text.line(format!("  next: {}", self.terms.next_step()));
    }
}

/// Starts the machine when asked, and attaches the server.
pub(super) fn connect(
    args: &Args,
    app: &App,
    target: &Target,
    folder: Location,
    patience: &Patience,
    terms: &Terms,
) -> Result<Outcome> {
    terms.refuse()?;
    let option =
        if args.interactive { Some("--interactive") } else { args.workdir.as_ref().map(|_| "--workdir") };
    if let Some(option) = option {
        let what = format!(
            "`{}` has no use for {option}: each run of a profile logs in by itself",
            terms.server.name
        );
        return Err(Error::new(Code::Usage, what).hint("leave it out"));
    }
    let started = args.start && boot(app, target, patience)?;
    let title = Name::from(terms.server.name.as_str());
    let titles = Titles { title: Some(&title), custom: None };
    let routing = attach_key(&target.key, titles, &folder, app.attachments()?, Routing::OFF)?.is_on;
    Ok(Attached { terms: terms.clone(), folder, started, routing }.into())
}
