//! SSH sessions: one row a certificate.

use serde_json::json;

use super::access::{self, Level};
use super::audit::{Actor, Done, act};
use crate::clock;
use crate::failure::{Failure, Result};
use crate::store::{Step, Store, Value};
use crate::values;

/// A session as lists show it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// The serial number of its certificate.
    pub serial: i64,
    /// Its workspace's title.
    pub workspace: String,
    /// Its person's address.
    pub person: String,
    /// The agent that asked.
    pub client: String,
    /// When it began.
    pub issued: i64,
    /// When its certificate ends.
    pub expires: i64,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// Whether the host learns of revocations: not where only a user enrolled.
    pub is_revocable: bool,
}

/// The sessions whose certificates are still valid, the newest first.
///
/// # Errors
/// When the database fails.
pub(crate) fn live(step: &mut Step<'_>) -> Result<Vec<Listed>> {
    let query = "SELECT s.serial, COALESCE(w.title, '-'), p.email, s.client, s.issued, s.expires, s.revoked, COALESCE(h.user_only, 1)
        FROM session s LEFT JOIN workspace w ON w.id = s.workspace JOIN person p ON p.id = s.person
        LEFT JOIN host h ON h.workspace = s.workspace WHERE s.expires > $1 ORDER BY s.serial DESC LIMIT 1000";
    let rows = step.rows(query, values![clock::now()])?;
    let listed = |row: &crate::store::Row| Listed {
        serial: row.int(0),
        workspace: row.text(1),
        person: row.text(2),
        client: row.text(3),
        issued: row.int(4),
        expires: row.int(5),
        revoked: row.optional_int(6),
        is_revocable: row.int(7) == 0,
    };
    Ok(rows.iter().map(listed).collect())
}

/// Revokes a session; whether its host will hear of it.
///
/// # Errors
/// When there is no live one with that serial number.
pub(crate) fn revoke(store: &dyn Store, actor: &Actor, serial: i64) -> Result<bool> {
    act(store, actor, "session.revoke", &serial.to_string(), |step| {
        let listed = live(step)?.into_iter().find(|session| session.serial == serial);
        let found = listed.ok_or_else(|| Failure::missing("live session with that number"))?;
        revoke_where(step, "serial = $1", values![serial])?;
        let detail = json!({ "workspace": found.workspace, "person": found.person });
        Ok(Done::on(serial.to_string(), found.is_revocable).saying(detail))
    })
}

/// Revokes the live sessions that a condition on `$1` is true of; how many.
pub(super) fn revoke_where(step: &mut Step<'_>, condition: &str, values: &[Value]) -> Result<usize> {
    let mut values = values.to_vec();
    values.push(clock::now().into());
    let now = values.len();
    step.run(
        &format!(
            "UPDATE session SET revoked = ${now} WHERE {condition} AND revoked IS NULL AND expires > ${now}"
        ),
        &values,
    )
}

/// Revokes the live sessions of people who may not open them any more: of one person, of one workspace, or of all.
pub(super) fn revoke_lost(step: &mut Step<'_>, person: Option<i64>, workspace: Option<i64>) -> Result<usize> {
    let query = "SELECT DISTINCT person, workspace FROM session WHERE revoked IS NULL AND expires > $3
        AND ($1 = 0 OR person = $1) AND ($2 = 0 OR workspace = $2)";
    let pairs = step.rows(query, values![person.unwrap_or(0), workspace.unwrap_or(0), clock::now()])?;
    let mut revoked = 0;
    for pair in pairs {
        if access::level(step, pair.int(0), pair.int(1))? < Some(Level::Use) {
            revoked +=
                revoke_where(step, "person = $1 AND workspace = $2", values![pair.int(0), pair.int(1)])?;
        }
    }
    Ok(revoked)
}
