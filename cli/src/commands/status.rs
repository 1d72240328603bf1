//! `runcode status`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::output::report::{Outcome, Report, Text};
use crate::output::table::table;
use crate::session::store::Meta;
use crate::sys::clock;

/// Show the sessions on this machine and when they expire.
///
/// Nothing is asked of the network. The connection of a session that has expired takes no more
/// commands, and ends when those that run have ended.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode status --json | jq '.[] | select(.attached)'")]
pub struct Args {}

struct Status {
    rows: Vec<Row>,
    /// What is attached without a session that is valid.
    attached: Option<u64>,
}

struct Row {
    meta: Meta,
    seconds_left: u64,
    is_attached: bool,
    is_warm: bool,
}

impl Report for Status {
    fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "workspace_id": row.meta.workspace_id,
                "alias": row.meta.alias,
                "host": row.meta.endpoint.host,
                "port": row.meta.endpoint.port,
                "user": row.meta.endpoint.user,
                "workdir": row.meta.workdir,
                "expires_at": row.meta.expires_at.time().to_string(),
                "seconds_left": row.seconds_left,
                "attached": row.is_attached,
                "connected": row.is_warm,
                "api_base": row.meta.api_base,
            })
        };
        self.rows.iter().map(row).collect()
    }

    fn text(&self, text: &mut Text) {
        match (self.rows.is_empty(), self.attached) {
            (true, None) => {
                return text.line("no active sessions (open one with `runcode connect <workspace>`)");
            }
            (true, Some(id)) => {
                return text.line(format!(
                    "no active sessions; that of #{id}, which is attached, is renewed at its next use"
                ));
            }
            (false, _) => {}
        }
        let cells = |row: &Row| {
            vec![
                row.meta.workspace_id.to_string(),
                row.meta.endpoint.user.to_string(),
                format!("{} min", row.seconds_left.div_ceil(60)),
                if row.is_warm { "up" } else { "idle" }.to_owned(),
                if row.is_attached { "attached" } else { "" }.to_owned(),
            ]
        };
        table(
            text,
            &["ID", "WORKSPACE", "LEFT", "CONNECTION", ""],
            &self.rows.iter().map(cells).collect::<Vec<_>>(),
        );
    }
}

/// Reads every session that is there.
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let store = sessions.store();
    let attached = store.attachment()?.map(|attachment| attachment.workspace_id);
    let mut rows = Vec::new();
    for id in store.ids()? {
        let Some(session) = store.read(id)? else { continue };
        let seconds_left = session.meta.expires_at.seconds_left(clock::now());
        if seconds_left == 0 {
            sessions.retire_connection(id)?;
            continue;
        }
        let is_warm = sessions.transport(&session).is_warm();
        rows.push(Row { meta: session.meta, seconds_left, is_attached: attached == Some(id), is_warm });
    }
    let attached = attached.filter(|id| rows.iter().all(|row| row.meta.workspace_id != *id));
    Ok(Status { rows, attached }.into())
}
