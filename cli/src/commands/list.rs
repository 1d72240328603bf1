//! `runcode list`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::openssh::SshBinary;
use crate::origin::names::few;
use crate::origin::{Origin as _, OriginId, SshHosts, Workspace};
use crate::output::foreign::Name;
use crate::output::progress::note;
use crate::output::report::{Outcome, Report, Text};
use crate::output::table::table;
use crate::session::approved::{Found, look};
use crate::session::attachment::Applying;

/// List your servers, your workspaces, and those shared with you.
///
/// You can name a workspace by its ID, TITLE or NAME.
#[derive(clap::Args, Default)]
#[command(after_help = "\
Examples:
  runcode list                            those that SSH can reach
  runcode list --state                    also which of your servers are up
  runcode list --json | jq '.[].title'    for programs: an array of workspaces")]
pub struct Args {
    /// Also list workspaces without SSH
    #[arg(long)]
    all: bool,
    /// Also ask the servers that say it for their state, all of them side by side
    #[arg(long)]
    state: bool,
}

struct List {
    rows: Vec<Workspace>,
    /// Until when the approved sessions stand, by the names of their servers.
    approved: BTreeMap<String, Timestamp>,
    /// Whether there are others, which SSH cannot reach.
    has_others: bool,
    is_logged_in: bool,
}

/// What to do where there is no workspace.
const NONE_YET: &str = if cfg!(feature = "dev") {
    "no workspaces yet: create one on the web, or serve a folder with `runcode dev`"
} else {
    "no workspaces yet: create one on the web"
};

impl List {
    fn approved_until(&self, workspace: &Workspace) -> Option<Timestamp> {
        self.approved.get(workspace.title.raw()).copied().filter(|_| is_server(workspace))
    }
}

impl Report for List {
    fn json(&self) -> Value {
        let row = |workspace: &Workspace| {
            json!({
                "origin": workspace.key.origin().word(),
                "name": workspace.title.json(),
                "id": workspace.key.workspace_id(),
                "title": workspace.title.json(),
                "environment": workspace.environment.as_ref().map(Name::json),
                "custom_title": workspace.custom_title.as_ref().map(Name::json),
                "state": workspace.state.as_ref().map(Name::json),
                "shared": workspace.shared,
                "connectable": workspace.is_connectable(),
                "approved_until": self.approved_until(workspace).map(|end| end.to_string()),
            })
        };
        self.rows.iter().map(row).collect()
    }

    fn text(&self, text: &mut Text) {
        if self.rows.is_empty() {
            return text.line(match (self.has_others, self.is_logged_in) {
                (true, _) => "no workspaces with SSH (`runcode list --all` shows the others)",
                (_, true) => NONE_YET,
                (_, false) => "no servers yet: `runcode servers init` writes an example servers.toml",
            });
        }
        let rows = self.rows.iter().map(|it| row(it, self.approved_until(it))).collect::<Vec<_>>();
        table(text, &["ID", "TITLE", "NAME", "STATE", "CONNECT"], &rows);
    }
}

fn row(workspace: &Workspace, approved_until: Option<Timestamp>) -> Vec<String> {
    let words = workspace.key.words();
    let connect = match (workspace.ssh_capable, workspace.is_connectable()) {
        (true, true) => match approved_until {
            Some(end) => format!("approved until {}", end.strftime("%H:%M:%S UTC")),
            None => format!("runcode connect {words}"),
        },
        (true, false) => format!("runcode connect {words} --start"),
        (false, _) if is_server(workspace) => "(see runcode servers list)".to_owned(),
        (false, _) => "(no SSH)".to_owned(),
    };
    let name = workspace.custom_title.as_ref().or(workspace.environment.as_ref());
    let name = name.map(Name::to_string).unwrap_or_default();
    let name = if workspace.shared { format!("{name} (shared)") } else { name };
    vec![
        workspace.key.workspace_id().map_or_else(|| "-".to_owned(), |id| id.to_string()),
        workspace.title.to_string(),
        name.trim().to_owned(),
        workspace.state.as_ref().map_or_else(|| "-".to_owned(), Name::to_string),
        connect,
    ]
}

fn is_server(workspace: &Workspace) -> bool {
    *workspace.key.origin() == OriginId::Server
}

/// Lists the servers of servers.toml, and what the control plane lists. Without a login there is nothing to ask it for.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let mut rows = app.servers()?.list()?;
    let states = if args.state { app.servers()?.states()? } else { BTreeMap::new() };
    for row in &mut rows {
        row.state = states.get(row.title.raw()).map(|state| state.word().into());
    }
    let approved = approved(app)?;
    if !app.has_login()? {
        note("note: you are not logged in, so no control plane was asked (`runcode login`)");
        note_own_hosts(app)?;
        return Ok(List { rows, approved, has_others: false, is_logged_in: false }.into());
    }
    let workspaces = app.plane()?.workspaces()?;
    let count = workspaces.len();
    let before = rows.len();
    rows.extend(workspaces.into_iter().filter(|workspace| args.all || workspace.ssh_capable));
    let has_others = rows.len() < before + count;
    Ok(List { rows, approved, has_others, is_logged_in: true }.into())
}

/// Until when the approved sessions stand.
fn approved(app: &App) -> Result<BTreeMap<String, Timestamp>> {
    let sessions = app.sessions()?;
    let mut found = BTreeMap::new();
    for session in sessions.store().sessions()?.into_iter().filter(|it| it.meta.approved.is_some()) {
        if let Found::Standing(session) = look(&sessions, &session.meta.key)? {
            let end = session.meta.lifetime.expires_at();
            found.extend(end.map(|end| (session.meta.title.raw().to_owned(), end)));
        }
    }
    Ok(found)
}

/// Notes what works without a login: the attached workspace, and the hosts in the user's ssh config.
fn note_own_hosts(app: &App) -> Result<()> {
    let hosts = SshHosts::new(SshBinary::from_env(app.env())).names();
    let host = hosts.first().map_or("ssh:HOST", |host| host.as_str());
    note(format!("      you need no login for a host that ssh can reach: runcode connect {host}"));
    if !hosts.is_empty() {
        note(format!("      your ssh config has {}", few(hosts.iter().map(ToString::to_string))));
    }
    let sessions = app.sessions()?;
    // `current` reports several attachments, or one that it cannot read.
    if let Some(attached) = sessions.applying().and_then(Applying::one).ok().flatten() {
        note(format!("      attached here: {}", attached.key.shown(attached.title.as_ref())));
    }
    Ok(())
}
