//! Hosts: machines whose sshd trusts our certificates.

use serde_json::json;
use ssh_key::PublicKey;

use super::audit::{Actor, Done, act};
use super::mint::Mint;
use super::words;
use super::workspaces::{self, New, Workspace};
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random;
use crate::store::{Row, Step, Store, within};
use crate::values;

/// How long an enrolment code is good, in seconds.
const CODE: i64 = 15 * 60;

/// What a host says of itself when it enrols.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// The one-time code.
    pub code: String,
    /// Its public keys, one a line.
    pub host_keys: String,
    /// What its sshd is.
    pub sshd_version: String,
    /// The account that enrols without root; empty for root.
    pub account: String,
    /// The home folder of the account that sessions are in.
    pub home: String,
    /// The port of its sshd.
    pub port: u16,
    /// A key for a certificate of a minute, with which the host tries the new configuration.
    pub trial_key: String,
    /// The token of an earlier enrolment of the same host; empty for none.
    pub token: String,
    /// Whether it only wants to know.
    pub dry_run: bool,
}

/// What a host is told.
pub(crate) struct Enrolled {
    /// Its token; empty for one that only wanted to know.
    pub token: String,
    /// The workspace.
    pub workspace: Workspace,
    /// The certificate of a minute.
    pub trial: String,
}

/// A workspace for a new host, and the code that enrols it.
///
/// # Errors
/// As [`workspaces::insert`].
pub(crate) fn add(store: &dyn Store, actor: &Actor, new: &New) -> Result<(Workspace, String)> {
    act(store, actor, "host.add", &words::remark(&new.title), |step| {
        let workspace = workspaces::insert(step, new)?;
        let code = new_code(step, workspace.id)?;
        let detail = json!({ "account": workspace.account, "owner": new.owner });
        Ok(Done::on(workspace.title.clone(), (workspace, code)).saying(detail))
    })
}

/// Another code for a workspace whose host is not enrolled.
///
/// # Errors
/// When there is none of that title, or its host is enrolled.
pub(crate) fn another_code(store: &dyn Store, actor: &Actor, title: &str) -> Result<(Workspace, String)> {
    act(store, actor, "host.code", title, |step| {
        let workspace = workspaces::by_title(step, title)?;
        if matches!(workspace.host.as_deref(), Some("enrolled" | "changed")) {
            return Err(Failure::new(
                Kind::Taken,
                format!(
                    "The host of {title} is enrolled; remove it first: `runcode-server host remove {title}`."
                ),
            ));
        }
        step.run("DELETE FROM enrolment WHERE workspace = $1", values![workspace.id])?;
        let code = new_code(step, workspace.id)?;
        Ok(Done::on(title, (workspace, code)))
    })
}

fn new_code(step: &mut Step<'_>, workspace: i64) -> Result<String> {
    let code = random::link();
    let insert = "INSERT INTO enrolment VALUES ($1, $2, $3, NULL, NULL)";
    step.run(insert, values![random::hash(&code), workspace, clock::now() + CODE])?;
    Ok(code)
}

/// Enrols a host. It counts from [`ready`] on; until then the same code works again, from the same host.
///
/// # Errors
/// [`Kind::NotFound`] for a code that there is not, [`Kind::Spent`] for one that was used or is over or belongs to another
/// host, and what is wrong with the report.
pub(crate) fn enrol(store: &dyn Store, mint: &Mint, actor: &Actor, report: &Report) -> Result<Enrolled> {
    if report.dry_run {
        return within(store, |step| {
            let (workspace, _) = of_code(step, report)?;
            Ok(Enrolled { token: String::new(), workspace, trial: String::new() })
        });
    }
    act(store, actor, "host.enrol", "-", |step| {
        let (workspace, keys) = of_code(step, report)?;
        let key = words::session_key(&report.trial_key)?;
        let bind = "UPDATE enrolment SET host_keys = $2 WHERE hash = $1";
        step.run(bind, values![random::hash(&report.code), &keys])?;
        // A second workspace of the same host keeps the token of the first one.
        let known = of_token(step, &report.token).is_ok_and(|host| host.host_keys == keys);
        let token = if known { report.token.clone() } else { random::host_token() };
        step.run("DELETE FROM host WHERE workspace = $1", values![workspace.id])?;
        let is_user = !report.account.is_empty();
        let sshd = words::remark(&report.sshd_version);
        let insert = "INSERT INTO host VALUES ($1, $2, 'pending', $3, NULL, $4, $5, $6, NULL)";
        let values = values![workspace.id, random::hash(&token), &keys, is_user, &sshd, clock::now()];
        step.run(insert, values)?;
        let reached = "UPDATE workspace SET address = COALESCE(address, $2), port = COALESCE(port, $3),
             workdir = COALESCE(workdir, $4) WHERE id = $1";
        let home = words::workdir(&report.home).ok();
        let address = words::host(&actor.address)?;
        step.run(reached, values![workspace.id, address, i64::from(report.port), home])?;
        let trial = mint.trial(&workspace, &key)?;
        let detail = json!({ "host_keys": fingerprints(&keys), "sshd": sshd, "user_only": is_user, "port": report.port });
        Ok(Done::on(workspace.title.clone(), Enrolled { token, workspace, trial }).saying(detail))
    })
}

/// The workspace that a code is for, if it is good for the host that reports; and that host's keys.
fn of_code(step: &mut Step<'_>, report: &Report) -> Result<(Workspace, String)> {
    let unknown = || {
        Failure::new(Kind::NotFound, "There is no such code. Ask for another one: `runcode-server host add`.")
    };
    let spent = || {
        Failure::new(
            Kind::Spent,
            "The code was used, or its time is over. Ask for another one: `runcode-server host code TITLE`.",
        )
    };
    if !random::is_link(&report.code) {
        return Err(unknown());
    }
    let keys = words::host_keys(&report.host_keys)?.join("\n");
    let query = "SELECT workspace, expires, host_keys, used FROM enrolment WHERE hash = $1";
    let row = step.row(query, values![random::hash(&report.code)])?.ok_or_else(unknown)?;
    let is_others = row.optional_text(2).is_some_and(|bound| bound != keys);
    if row.int(1) <= clock::now() || row.optional_int(3).is_some() || is_others {
        return Err(spent());
    }
    let workspace = workspaces::by_id(step, row.int(0))?.ok_or_else(unknown)?;
    if !report.account.is_empty() && report.account != workspace.account {
        return Err(Failure::bad(format!(
            "The code is for the account {}; run the script as that user.",
            workspace.account
        )));
    }
    if report.port == 0 {
        return Err(Failure::bad("`port` is missing."));
    }
    Ok((workspace, keys))
}

/// A host that showed its token.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The hash of its token, which its workspaces share.
    pub token: String,
    /// The title of one of its workspaces.
    pub title: String,
    /// The keys that are pinned, one a line.
    pub host_keys: String,
}

/// The host that a token belongs to.
///
/// # Errors
/// [`Kind::Unauthorized`] when there is none.
pub(crate) fn of_token(step: &mut Step<'_>, token: &str) -> Result<Host> {
    let unknown = || {
        Failure::new(Kind::Unauthorized, "The host's token is missing or not valid; enrol the host again.")
    };
    if token.len() != 67 || !token.starts_with("rh_") {
        return Err(unknown());
    }
    let query = "SELECT h.token, w.title, h.host_keys FROM host h JOIN workspace w ON w.id = h.workspace WHERE h.token = $1
        ORDER BY w.id";
    let row = step.row(query, values![random::hash(token)])?.ok_or_else(unknown)?;
    Ok(Host { token: row.text(0), title: row.text(1), host_keys: row.text(2) })
}

/// A host says that it lets certificates in: its workspaces can be used, and their codes are spent.
///
/// # Errors
/// When the database fails.
pub(crate) fn ready(store: &dyn Store, actor: &Actor, host: &Host) -> Result<()> {
    act(store, actor, "host.ready", &host.title, |step| {
        step.run(
            "UPDATE enrolment SET used = $2 WHERE used IS NULL AND workspace IN
             (SELECT workspace FROM host WHERE token = $1 AND state = 'pending')",
            values![&host.token, clock::now()],
        )?;
        step.run(
            "UPDATE host SET state = 'enrolled' WHERE token = $1 AND state = 'pending'",
            values![&host.token],
        )?;
        Ok(Done::on(host.title.clone(), ()))
    })
}

/// A host says that it trusts us no more. One whose enrolment failed keeps its code.
///
/// # Errors
/// When the database fails.
pub(crate) fn leave(store: &dyn Store, actor: &Actor, host: &Host, pending_only: bool) -> Result<()> {
    act(store, actor, "host.leave", &host.title, |step| {
        let also = if pending_only { "AND state = 'pending'" } else { "" };
        step.run(&format!("DELETE FROM host WHERE token = $1 {also}"), values![&host.token])?;
        Ok(Done::on(host.title.clone(), ()))
    })
}

/// What a host must not let in: the serial numbers of revoked certificates that could still be used.
///
/// # Errors
/// When the database fails.
pub(crate) fn revoked(step: &mut Step<'_>, host: &Host) -> Result<Vec<u64>> {
    let query = "SELECT serial FROM session WHERE revoked IS NOT NULL AND expires > $2 AND workspace IN
        (SELECT workspace FROM host WHERE token = $1)";
    let rows = step.rows(query, values![&host.token, clock::now() - 300])?;
    Ok(rows.iter().map(|row| row.int(0).cast_unsigned()).collect())
}

/// Notes that a host asked for what is new, and which keys it shows now. Other keys than the pinned ones close its workspaces
/// until somebody accepts them.
///
/// # Errors
/// When the keys are no keys.
pub(crate) fn synced(store: &dyn Store, actor: &Actor, host: &Host, host_keys: &str) -> Result<()> {
    let shown = words::host_keys(host_keys)?.join("\n");
    within(store, |step| {
        step.run("UPDATE host SET synced = $2 WHERE token = $1", values![&host.token, clock::now()])?;
        if shown == host.host_keys {
            return Ok(());
        }
        let update = "UPDATE host SET state = 'changed', reported = $2 WHERE token = $1
            AND (state = 'enrolled' OR state = 'changed' AND reported <> $2)";
        if step.run(update, values![&host.token, &shown])? > 0 {
            let detail = json!({ "host_keys": fingerprints(&shown) });
            super::audit::write(step, actor, "host.changed", &host.title, "ok", &detail)?;
        }
        Ok(())
    })
}

/// Accepts the keys that a host shows now in the place of the pinned ones.
///
/// # Errors
/// When it shows no others.
pub(crate) fn accept(store: &dyn Store, actor: &Actor, title: &str) -> Result<Vec<String>> {
    act(store, actor, "host.accept", title, |step| {
        let workspace = workspaces::by_title(step, title)?;
        let query = "SELECT reported FROM host WHERE workspace = $1 AND state = 'changed'";
        let row = step.row(query, values![workspace.id])?;
        let keys = row.and_then(|row| row.optional_text(0));
        let keys = keys
            .ok_or_else(|| Failure::bad(format!("The host of {title} shows no other keys than before.")))?;
        let update =
            "UPDATE host SET state = 'enrolled', host_keys = $2, reported = NULL WHERE workspace = $1";
        step.run(update, values![workspace.id, &keys])?;
        let shown = fingerprints(&keys);
        Ok(Done::on(title, shown.clone()).saying(json!({ "host_keys": shown })))
    })
}

/// Removes a host: its token ends, its live sessions are revoked, and the workspace stays.
///
/// # Errors
/// When there is none.
pub(crate) fn remove(store: &dyn Store, actor: &Actor, title: &str) -> Result<()> {
    act(store, actor, "host.remove", title, |step| {
        let workspace = workspaces::by_title(step, title)?;
        if step.run("DELETE FROM host WHERE workspace = $1", values![workspace.id])? == 0 {
            return Err(Failure::missing(format!("host of {title}")));
        }
        super::sessions::revoke_where(step, "workspace = $1", values![workspace.id])?;
        Ok(Done::on(title, ()))
    })
}

/// A host as lists show it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its workspace's title.
    pub title: String,
    /// How clients reach it.
    pub address: String,
    /// `pending`, `enrolled` or `changed`.
    pub state: String,
    /// Whether only a user enrolled: then it does not hear of revocations.
    pub user_only: bool,
    /// What its sshd is.
    pub sshd: String,
    /// When it last asked for what is new.
    pub synced: Option<i64>,
    /// The fingerprints of the keys that are pinned.
    pub host_keys: Vec<String>,
}

/// All hosts, by their workspaces' titles.
///
/// # Errors
/// When the database fails.
pub(crate) fn all(step: &mut Step<'_>) -> Result<Vec<Listed>> {
    let query =
        "SELECT w.title, w.address, w.port, h.state, h.user_only, h.sshd, h.synced, h.host_keys FROM host h
        JOIN workspace w ON w.id = h.workspace ORDER BY w.title";
    let listed = |row: &Row| Listed {
        title: row.text(0),
        address: format!("{}:{}", row.text(1), row.int(2)),
        state: row.text(3),
        user_only: row.int(4) != 0,
        sshd: row.text(5),
        synced: row.optional_int(6),
        host_keys: fingerprints(&row.text(7)),
    };
    Ok(step.rows(query, &[])?.iter().map(listed).collect())
}

fn fingerprints(keys: &str) -> Vec<String> {
    let keys = keys.lines().filter_map(|line| PublicKey::from_openssh(line).ok());
    keys.map(|key| format!("{} {}", key.algorithm(), key.fingerprint(ssh_key::HashAlg::Sha256))).collect()
}
