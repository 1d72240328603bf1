//! `runcode connect` to a server with an approval: a session in which any command may run, for a while.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::patience::Patience;
use super::{Args, Connected, attached, boot};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::origin::{Target, Terms};
use crate::output::report::{Outcome, Report, Text};
use crate::session::approved::{Asked, Wish, open};
use crate::sys::location::Location;

/// A request that was written.
struct Requested {
    file: PathBuf,
    text: String,
    again: String,
}

impl Report for Requested {
    fn json(&self) -> Value {
        json!({ "request": self.file.to_string_lossy(), "request_text": self.text })
    }

    fn text(&self, text: &mut Text) {
        for line in self.text.lines() {
            text.line(line);
        }
        let id = self.file.file_stem().unwrap_or_default().to_string_lossy();
        text.line(format!("written to {}", self.file.display()));
        text.line(format!("an approver runs: runcode servers approve {}", self.file.display()));
        text.line(format!("then: {} --approval {id}", self.again));
    }
}

/// Whether the arguments are about an approved session.
pub(super) fn is_meant(args: &Args) -> bool {
    args.approval.is_some() || args.request
}

/// Asks for an approval, or starts the machine if asked, opens the session and attaches it.
pub(super) fn connect(
    args: &Args,
    app: &App,
    target: &Target,
    folder: Location,
    patience: &Patience,
    terms: Option<&Terms>,
) -> Result<Outcome> {
    let Some(terms) = terms else {
        let what = format!("`{}` needs no approval", target.key.words());
        return Err(Error::new(Code::Usage, what).hint("leave out --approval, --request and --idle"));
    };
    let workdir = args.workdir.as_deref().map(Workdir::parse_own).transpose();
    let workdir = workdir.map_err(|why| {
        Error::new(Code::Usage, format!("--workdir {why}")).hint("give an absolute path, or ~/FOLDER")
    })?;
    let sessions = app.sessions()?;
    let wish = Wish { ttl: args.ttl, idle: args.idle, approval: args.approval.clone(), workdir };
    let asked = Asked::judge(&sessions, &target.key, terms, wish)?;
    if args.request {
        let (file, text) = asked.request(&sessions)?;
        return Ok(Requested { file, text, again: asked.asked_by() }.into());
    }
    let started = args.start && boot(app, target, patience)?;
    let session = open(&sessions, &asked)?;
    attached(
        app,
        Connected {
            session,
            folder,
            reused: false,
            started,
            statusline_installed: false,
            terms: None,
            routing: false,
            helper: false,
        },
    )
}
