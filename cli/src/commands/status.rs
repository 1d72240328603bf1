//! `runcode status`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::origin::names::few;
use crate::output::foreign::Name;
use crate::output::report::{Outcome, Report, Text};
use crate::output::table::table;
use crate::session::Session;
use crate::session::approved::{self, Found};
use crate::session::attachment::Attachment;
use crate::sys::clock;
use crate::transport::Transport;

/// Show the sessions on this machine and when they expire.
///
/// This does not use the network. The connection of an expired session takes no new commands; it closes when the running
/// ones end.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode status --json | jq '.[] | select(.attached)'")]
pub struct Args {}

struct Status {
    rows: Vec<Row>,
    /// What is attached without a session that is valid.
    attached: Option<Attachment>,
}

struct Row {
    session: Session,
    /// The folders that it is attached to.
    folders: Vec<Attachment>,
    /// None where no end is known.
    seconds_left: Option<u64>,
    /// Whether commands in this folder mean it.
    is_attached: bool,
    is_warm: bool,
    /// Whether a spare waits for the next command: `ready`, `none`, or `off` if spares do not work on this connection.
    spare: &'static str,
}

impl Row {
    /// Until when a person's login serves if nothing uses it; asking whether it is up was a use.
    fn stands_until(&self) -> Option<Timestamp> {
        let keep = self.session.meta.personal_keep.filter(|_| self.is_warm)?;
        clock::now().checked_add(SignedDuration::from_secs(keep.into())).ok()
    }

    fn left(&self) -> String {
        if let (Some(_), Some(end)) = (&self.session.meta.approved, self.session.meta.lifetime.expires_at()) {
            return format!("until {}", end.strftime("%H:%M:%S UTC"));
        }
        match (self.seconds_left, self.stands_until(), self.session.meta.personal_keep) {
            (Some(left), ..) => format!("{} min", left.div_ceil(60)),
            (None, Some(end), _) => format!("until {} if unused", end.strftime("%H:%M UTC")),
            (None, None, Some(_)) => "needs your login".to_owned(),
            (None, None, None) => "-".to_owned(),
        }
    }

    fn attached(&self) -> String {
        match &self.folders[..] {
            _ if self.is_attached => "attached".to_owned(),
            [] => String::new(),
            folders => format!("attached to {}", few(folders.iter().map(Attachment::shown_folder))),
        }
    }
}

impl Report for Status {
    fn json(&self) -> Value {
        let row = |row: &Row| {
            let meta = &row.session.meta;
            json!({
                "origin": meta.key.origin().word(),
                "name": meta.title.json(),
                "workspace_id": meta.key.workspace_id(),
                "environment": meta.access.server().and_then(|it| it.environment.as_ref()).map(Name::json),
                "alias": meta.alias,
                "host": meta.access.host(),
                "port": meta.access.port(),
                "user": meta.access.user(),
                "workdir": meta.workdir,
                "expires_at": meta.lifetime.expires_at().map(|end| end.to_string()),
                "seconds_left": row.seconds_left,
                "attached": row.is_attached,
                "folders": row.folders.iter().map(|attachment| &attachment.folder).collect::<Vec<_>>(),
                "connected": row.is_warm,
                "spare": row.spare,
                "stands_until": row.stands_until().map(|end| end.to_string()),
                "mode": meta.approved.as_ref().map(|_| "unrestricted"),
                "session_id": meta.approved.as_ref().map(|approved| &approved.session_id),
                "idle_seconds": meta.approved.as_ref().map(|approved| approved.idle_seconds),
                "api_base": meta.key.api_base().map(ToString::to_string),
            })
        };
        self.rows.iter().map(row).collect()
    }

    fn text(&self, text: &mut Text) {
        match (self.rows.is_empty(), &self.attached) {
            (true, None) => {
                return text.line("no active sessions (open one with `runcode connect <workspace>`)");
            }
            (true, Some(attached)) => {
                return text.line(format!(
                    "no active sessions; the one of {}, which is attached, is renewed at its next use",
                    attached.key.shown(None)
                ));
            }
            (false, _) => {}
        }
        let cells = |row: &Row| {
            let meta = &row.session.meta;
            let environment = meta.access.server().and_then(|server| server.environment.as_ref());
            vec![
                meta.key.workspace_id().map_or_else(|| "-".to_owned(), |id| id.to_string()),
                environment.map_or_else(|| meta.title.to_string(), |it| format!("{} ({it})", meta.title)),
                row.left(),
                match (row.is_warm, row.spare) {
                    (true, "ready") => "up, spare ready",
                    (true, _) => "up",
                    (false, _) => "idle",
                }
                .to_owned(),
                row.attached(),
            ]
        };
        table(
            text,
            &["ID", "WORKSPACE", "LEFT", "CONNECTION", ""],
            &self.rows.iter().map(cells).collect::<Vec<_>>(),
        );
    }
}

#[cfg(unix)]
fn spare(transport: &Transport) -> &'static str {
    use crate::transport::spare::State;
    match transport.spare_state() {
        State::Ready => "ready",
        State::None | State::Waiting => "none",
        State::Off(_) => "off",
    }
}

#[cfg(windows)]
fn spare(_: &Transport) -> &'static str {
    "none"
}

/// Reads every session that is there.
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let store = sessions.store();
    let attached = sessions.applying()?.one().ok().flatten();
    let all = sessions.attachments().all()?;
    let mut rows = Vec::new();
    for session in store.sessions()? {
        let now = clock::now();
        let is_over = session.meta.approved.is_some()
            && !matches!(approved::look(&sessions, &session.meta.key)?, Found::Standing(_));
        if is_over || !session.is_valid(now) {
            sessions.retire_connection(&session.meta.key)?;
            continue;
        }
        let transport = sessions.transport(&session);
        rows.push(Row {
            spare: spare(&transport), // before the question, for which the connection may have to make room
            seconds_left: session.meta.lifetime.seconds_left(now),
            is_attached: attached.as_ref().is_some_and(|attached| attached.key == session.meta.key),
            is_warm: transport.is_answered(),
            folders: all.iter().filter(|it| it.key == session.meta.key).cloned().collect(),
            session,
        });
    }
    let attached = attached.filter(|_| rows.iter().all(|row| !row.is_attached));
    Ok(Status { rows, attached }.into())
}
