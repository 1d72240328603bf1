//! The tables, as steps from one version to the next.

use crate::failure::Result;
use crate::store::{Step, within};
use crate::store::{Store, broken};
use crate::values;

/// The version of the tables that this program works on.
pub(crate) const SCHEMA_VERSION: i64 = 1;

/// Each step, in the SQL that all stores share.
const STEPS: &[&[&str]] = &[&[
    "CREATE TABLE counter (name TEXT PRIMARY KEY, last BIGINT NOT NULL)",
    "CREATE TABLE secret (name TEXT PRIMARY KEY, sealed TEXT NOT NULL)",
    "CREATE TABLE person (id BIGINT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL,
        disabled BIGINT NOT NULL, created BIGINT NOT NULL)",
    "CREATE TABLE team (id BIGINT PRIMARY KEY, title TEXT NOT NULL UNIQUE)",
    "CREATE TABLE member (team BIGINT NOT NULL, person BIGINT NOT NULL, PRIMARY KEY (team, person))",
    "CREATE INDEX member_person ON member (person)",
    "CREATE TABLE token (id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, person BIGINT NOT NULL, name TEXT NOT NULL,
        scopes TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL, used BIGINT, used_from TEXT)",
    "CREATE INDEX token_person ON token (person)",
    "CREATE TABLE link (hash TEXT PRIMARY KEY, purpose TEXT NOT NULL, person BIGINT, expires BIGINT NOT NULL, used BIGINT)",
    "CREATE TABLE page_session (hash TEXT PRIMARY KEY, person BIGINT NOT NULL, form TEXT NOT NULL, signed_in BIGINT NOT NULL,
        expires BIGINT NOT NULL)",
    "CREATE TABLE login_code (hash TEXT PRIMARY KEY, person BIGINT NOT NULL, challenge TEXT NOT NULL, expires BIGINT NOT NULL)",
    "CREATE TABLE workspace (id BIGINT PRIMARY KEY, title TEXT NOT NULL UNIQUE, principal TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL, workdir TEXT, address TEXT, port BIGINT, max_ttl BIGINT, created BIGINT NOT NULL)",
    "CREATE TABLE access (workspace BIGINT NOT NULL, kind TEXT NOT NULL, who BIGINT NOT NULL, role BIGINT NOT NULL,
        PRIMARY KEY (workspace, kind, who))",
    "CREATE INDEX access_who ON access (kind, who)",
    "CREATE TABLE enrolment (hash TEXT PRIMARY KEY, workspace BIGINT NOT NULL, expires BIGINT NOT NULL, host_keys TEXT,
        used BIGINT)",
    "CREATE TABLE host (workspace BIGINT PRIMARY KEY, token TEXT NOT NULL, state TEXT NOT NULL, host_keys TEXT NOT NULL,
        reported TEXT, user_only BIGINT NOT NULL, sshd TEXT NOT NULL, enrolled BIGINT NOT NULL, synced BIGINT)",
    "CREATE INDEX host_token ON host (token)",
    "CREATE TABLE session (serial BIGINT PRIMARY KEY, workspace BIGINT NOT NULL, person BIGINT NOT NULL, token TEXT NOT NULL,
        client TEXT NOT NULL, fingerprint TEXT NOT NULL, issued BIGINT NOT NULL, expires BIGINT NOT NULL, revoked BIGINT)",
    "CREATE INDEX session_workspace ON session (workspace, expires)",
    "CREATE INDEX session_person ON session (person, expires)",
    "CREATE TABLE attempt (purpose TEXT NOT NULL, address TEXT NOT NULL, minute BIGINT NOT NULL, failed BIGINT NOT NULL,
        PRIMARY KEY (purpose, address, minute))",
    "CREATE TABLE audit (id TEXT PRIMARY KEY, at BIGINT NOT NULL, actor TEXT NOT NULL, way TEXT NOT NULL, address TEXT NOT NULL,
        request TEXT NOT NULL, act TEXT NOT NULL, object TEXT NOT NULL, result TEXT NOT NULL, detail TEXT NOT NULL, block BIGINT)",
    "CREATE INDEX audit_block ON audit (block, at)",
    "CREATE TABLE block (number BIGINT PRIMARY KEY, at BIGINT NOT NULL, rows BIGINT NOT NULL, hash TEXT NOT NULL,
        signature TEXT NOT NULL)",
]];

/// The version that the tables are of; 0 where there are none.
///
/// # Errors
/// When the database fails.
pub(crate) fn version(step: &mut Step<'_>) -> Result<i64> {
    step.run("CREATE TABLE IF NOT EXISTS schema (version BIGINT NOT NULL)", &[])?;
    Ok(step.row("SELECT MAX(version) FROM schema", &[])?.map_or(0, |row| row.int(0)))
}

/// Brings the tables to this program's version; says from which.
///
/// # Errors
/// When they are of a later version, or the database fails.
pub(super) fn migrate(store: &dyn Store) -> Result<i64> {
    within(store, |step| {
        let found = version(step)?;
        if found > SCHEMA_VERSION {
            return Err(broken(format!(
                "its tables are of version {found}, this runcode-server knows {SCHEMA_VERSION}; install a newer one"
            )));
        }
        for (done, statements) in STEPS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
            for statement in *statements {
                step.run(statement, &[])?;
            }
            step.run("INSERT INTO schema VALUES ($1)", values![i64::try_from(done).unwrap_or(0) + 1])?;
        }
        Ok(found)
    })
}
