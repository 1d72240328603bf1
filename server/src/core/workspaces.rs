//! Workspaces: an account on a host, under a title.

use super::access::{self, Level, OF_PERSON};
use super::audit::{Actor, Done, act};
use super::{next_id, words};
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random;
use crate::store::{Row, Step, Store};
use crate::values;

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workspace {
    /// The number that clients name it by.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// The one principal of its certificates: `runcode-ws-<id>.<8 hex digits>`.
    pub principal: String,
    /// The account on the host.
    pub account: String,
    /// The project folder there.
    pub workdir: Option<String>,
    /// How clients reach the host; none until it is known.
    pub address: Option<String>,
    /// Its SSH port.
    pub port: Option<u16>,
    /// How long a session lasts at most, in seconds; none for the server's default.
    pub max_ttl: Option<i64>,
    /// What its host is in: `pending`, `enrolled` or `changed`; none where none ever answered.
    pub host: Option<String>,
}

const COLUMNS: &str = "w.id, w.title, w.principal, w.account, w.workdir, w.address, w.port, w.max_ttl, h.state FROM workspace w LEFT JOIN host h ON h.workspace = w.id";

fn of_row(row: &Row) -> Workspace {
    Workspace {
        id: row.int(0),
        title: row.text(1),
        principal: row.text(2),
        account: row.text(3),
        workdir: row.optional_text(4),
        address: row.optional_text(5),
        port: row.optional_int(6).and_then(|port| u16::try_from(port).ok()),
        max_ttl: row.optional_int(7),
        host: row.optional_text(8),
    }
}

impl Workspace {
    /// Its state on the wire.
    pub(crate) fn state(&self) -> &'static str {
        match self.host.as_deref() {
            Some("enrolled") => "running",
            Some("changed") => "host changed",
            _ => "not enrolled",
        }
    }
}

/// What a new workspace is.
#[derive(Debug, Clone, Default)]
pub(crate) struct New {
    /// Its title.
    pub title: String,
    /// The account on the host.
    pub account: String,
    /// The project folder.
    pub workdir: Option<String>,
    /// How clients reach the host, as `HOST[:PORT]`.
    pub address: Option<String>,
    /// Who owns it, as `EMAIL` or `team:NAME`.
    pub owner: Option<String>,
}

/// Adds a workspace in a step that is under way.
///
/// # Errors
/// When a value cannot be used, or the title is in use.
pub(crate) fn insert(step: &mut Step<'_>, new: &New) -> Result<Workspace> {
    let (title, account) = (words::title(&new.title)?, words::account(&new.account)?);
    let workdir = new.workdir.as_deref().map(words::workdir).transpose()?;
    let (address, port) = match new.address.as_deref().map(words::host_and_port).transpose()? {
        Some((address, port)) => (Some(address), port),
        None => (None, None),
    };
    let id = next_id(step, "workspace")?;
    let principal = format!("runcode-ws-{id}.{}", random::eight());
    let insert = "INSERT INTO workspace VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)";
    let values = values![
        id,
        &title,
        &principal,
        &account,
        workdir.clone(),
        address.clone(),
        port.map(i64::from),
        clock::now()
    ];
    step.run(insert, values).map_err(|failure| match failure.kind {
        Kind::Taken => {
            Failure::new(Kind::Taken, format!("There is a workspace {title} already; choose another title."))
        }
        _ => failure,
    })?;
    if let Some(owner) = &new.owner {
        let who = access::Who::find(step, owner)?;
        access::grant(step, id, who, Level::Owner)?;
    }
    Ok(Workspace { id, title, principal, account, workdir, address, port, max_ttl: None, host: None })
}

/// The workspace with that title.
///
/// # Errors
/// When there is none.
pub(crate) fn by_title(step: &mut Step<'_>, title: &str) -> Result<Workspace> {
    let row = step.row(&format!("SELECT {COLUMNS} WHERE w.title = $1"), values![title])?;
    row.as_ref()
        .map(of_row)
        .ok_or_else(|| Failure::missing(format!("workspace with the title {}", words::remark(title))))
}

/// The workspace with that number.
///
/// # Errors
/// When the database fails.
pub(crate) fn by_id(step: &mut Step<'_>, id: i64) -> Result<Option<Workspace>> {
    Ok(step.row(&format!("SELECT {COLUMNS} WHERE w.id = $1"), values![id])?.as_ref().map(of_row))
}

/// All of them, by title.
///
/// # Errors
/// When the database fails.
pub(crate) fn all(step: &mut Step<'_>) -> Result<Vec<Workspace>> {
    Ok(step.rows(&format!("SELECT {COLUMNS} ORDER BY w.title"), &[])?.iter().map(of_row).collect())
}

/// Those that a person owns, or the others that they see.
///
/// # Errors
/// When the database fails.
pub(crate) fn seen_by(step: &mut Step<'_>, person: i64, owned: bool) -> Result<Vec<Workspace>> {
    let having = if owned { "= 4" } else { "< 4" };
    let query = format!(
        "SELECT {COLUMNS} JOIN (SELECT a.workspace AS id, MAX(a.role) AS role FROM access a WHERE {OF_PERSON}
         GROUP BY a.workspace) mine ON mine.id = w.id WHERE mine.role {having} ORDER BY w.id"
    );
    Ok(step.rows(&query, values![person])?.iter().map(of_row).collect())
}

/// Changes how long sessions last at most.
///
/// # Errors
/// When there is none of that title.
pub(crate) fn limit(store: &dyn Store, actor: &Actor, title: &str, seconds: u64) -> Result<()> {
    act(store, actor, "workspace.change", title, |step| {
        let workspace = by_title(step, title)?;
        step.run(
            "UPDATE workspace SET max_ttl = $2 WHERE id = $1",
            values![workspace.id, seconds.cast_signed()],
        )?;
        Ok(Done::on(title, ()).saying(serde_json::json!({ "max_ttl": seconds })))
    })
}

/// Removes a workspace: nobody opens a session on it any more, and its host's token ends. Its revoked sessions stay known
/// until they would have ended.
///
/// # Errors
/// When there is none of that title.
pub(crate) fn remove(store: &dyn Store, actor: &Actor, title: &str) -> Result<()> {
    act(store, actor, "workspace.remove", title, |step| {
        let workspace = by_title(step, title)?;
        for table in ["access", "enrolment", "host"] {
            step.run(&format!("DELETE FROM {table} WHERE workspace = $1"), values![workspace.id])?;
        }
        super::sessions::revoke_where(step, "workspace = $1", values![workspace.id])?;
        step.run("DELETE FROM workspace WHERE id = $1", values![workspace.id])?;
        Ok(Done::on(title, ()))
    })
}
