//! `put`, `get` and `forward`: what goes between the workspace and this machine.

use std::ffi::OsStr;

use serde_json::json;

use crate::commands::forward;
use crate::commands::transferred::Transferred;
use crate::error::{Code, Error, Result};
use crate::files::{self, Git, Place, Selection, is_git_name};
use crate::mcp::workspace::Context;
use crate::mcp::workspace::answer::Answer;
use crate::mcp::workspace::attach::document;
use crate::mcp::workspace::local::{self, Use};
use crate::output::report::Outcome;

/// Sends a file or folder.
pub(super) fn put(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let local = local::path(context, arguments.text("local").unwrap_or_default(), Use::Read)?;
    let git = arguments.flag("git").then(|| Git::from_env(context.app.env()));
    let report = context.with_files(|session, exchanges| {
        let remote = context.remote("remote", session)?;
        let selection = Selection { exclude: Vec::new(), git, checksum: false };
        let summary = files::put(exchanges, &[local], &remote, &selection)?;
        Ok(Transferred::sent(session.clone(), summary))
    })?;
    Answer::of(Outcome::from(report))
}

/// Fetches a file or folder.
pub(super) fn get(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let given = arguments.text("local").unwrap_or_default();
    let local = local::path(context, given, Use::Write)?;
    let place = match Place::parse(given.as_ref(), false) {
        Place::Into(_) => Place::Into(local),
        Place::As(_) | Place::Stdout => Place::As(local),
    };
    let report = context.with_files(|session, exchanges| {
        let remote = context.remote("remote", session)?;
        let mut names = arguments.text("remote").unwrap_or_default().split('/');
        if names.any(|name| is_git_name(OsStr::new(name))) {
            return Err(Error::new(Code::Usage, "get: git's own files are not fetched")
                .hint("clone it with git, or look at a file of it with read"));
        }
        let summary = files::get_carefully(exchanges, &remote, &place)?;
        Ok(Transferred::fetched(session.clone(), summary))
    })?;
    Answer::of(Outcome::from(report))
}

/// Forwards a port, ends that, or says what is forwarded.
pub(super) fn forward(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let port = arguments.number::<u16>("port");
    let args =
        forward::Args::of(port, arguments.number("local"), arguments.flag("cancel"), context.workspace());
    let report = document(forward::run(args, &context.app)?)?;
    if port.is_none() || arguments.flag("cancel") {
        return Ok(Answer::json(&report));
    }
    let row = &report["forwards"][0];
    let mut one = json!({ "url": row["url"], "port": row["port"], "local": row["local"], "listening": row["listening"] });
    for name in ["workspace_id", "workspace", "origin", "name"] {
        if let Some(value) = report.get(name) {
            one[name] = value.clone();
        }
    }
    Ok(Answer::json(&one))
}
