//! Who may do what on a workspace.

use serde_json::json;

use super::audit::{Actor, Done, act};
use super::{people, teams, workspaces};
use crate::failure::{Failure, Result};
use crate::store::{Step, Store};
use crate::values;

/// A role on a workspace; a higher one includes the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Sees it.
    See = 1,
    /// Runs named profiles.
    Run = 2,
    /// Starts, stops, connects.
    Use = 3,
    /// Everything, grants included.
    Owner = 4,
}

impl Level {
    /// A role by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn parse(text: &str) -> Result<Level> {
        match text {
            "see" => Ok(Level::See),
            "run" => Ok(Level::Run),
            "use" => Ok(Level::Use),
            "owner" => Ok(Level::Owner),
            _ => Err(Failure::bad("A workspace's role is `owner`, `use`, `run` or `see`.")),
        }
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Level::See => "see",
            Level::Run => "run",
            Level::Use => "use",
            Level::Owner => "owner",
        }
    }

    pub(super) fn of_number(number: i64) -> Option<Level> {
        [Level::See, Level::Run, Level::Use, Level::Owner].into_iter().find(|level| *level as i64 == number)
    }
}

/// A person or a team, as `EMAIL` or `team:NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A person's number.
    Person(i64),
    /// A team's number.
    Team(i64),
}

impl Who {
    /// Finds whom a word means.
    ///
    /// # Errors
    /// When there is nobody.
    pub(crate) fn find(step: &mut Step<'_>, text: &str) -> Result<Who> {
        match text.strip_prefix("team:") {
            Some(title) => Ok(Who::Team(teams::id_of(step, title)?)),
            None => Ok(Who::Person(people::by_email(step, text)?.id)),
        }
    }

    fn columns(self) -> (&'static str, i64) {
        match self {
            Who::Person(id) => ("person", id),
            Who::Team(id) => ("team", id),
        }
    }
}

/// The rows of `access` that count for the person `$1`.
pub(super) const OF_PERSON: &str = "((a.kind = 'person' AND a.who = $1) OR (a.kind = 'team' AND a.who IN
    (SELECT team FROM member WHERE person = $1)))";

/// The highest role of a person on a workspace.
///
/// # Errors
/// When the database fails.
pub(crate) fn level(step: &mut Step<'_>, person: i64, workspace: i64) -> Result<Option<Level>> {
    let query = format!("SELECT MAX(a.role) FROM access a WHERE a.workspace = $2 AND {OF_PERSON}");
    let row = step.row(&query, values![person, workspace])?;
    Ok(row.and_then(|row| row.optional_int(0)).and_then(Level::of_number))
}

/// Grants in a step that is under way, in the place of an earlier grant.
///
/// # Errors
/// When the database fails.
pub(crate) fn grant(step: &mut Step<'_>, workspace: i64, who: Who, level: Level) -> Result<()> {
    let (kind, id) = who.columns();
    let insert = "INSERT INTO access VALUES ($1, $2, $3, $4)
        ON CONFLICT (workspace, kind, who) DO UPDATE SET role = EXCLUDED.role";
    step.run(insert, values![workspace, kind, id, level as i64]).map(drop)
}

/// Grants a role.
///
/// # Errors
/// When the workspace or whoever is meant is not there.
pub(crate) fn add(store: &dyn Store, actor: &Actor, title: &str, who: &str, level: Level) -> Result<()> {
    act(store, actor, "grant.add", title, |step| {
        let workspace = workspaces::by_title(step, title)?;
        let found = Who::find(step, who)?;
        grant(step, workspace.id, found, level)?;
        super::sessions::revoke_lost(step, None, Some(workspace.id))?;
        Ok(Done::on(title, ()).saying(json!({ "who": who, "role": level.as_str() })))
    })
}

/// Takes a grant back, and with it the sessions that nothing else allows.
///
/// # Errors
/// When there is none.
pub(crate) fn remove(store: &dyn Store, actor: &Actor, title: &str, who: &str) -> Result<usize> {
    act(store, actor, "grant.remove", title, |step| {
        let workspace = workspaces::by_title(step, title)?;
        let (kind, id) = Who::find(step, who)?.columns();
        let delete = "DELETE FROM access WHERE workspace = $1 AND kind = $2 AND who = $3";
        if step.run(delete, values![workspace.id, kind, id])? == 0 {
            return Err(Failure::missing(format!("grant of {title} to {who}")));
        }
        let ended = super::sessions::revoke_lost(step, None, Some(workspace.id))?;
        Ok(Done::on(title, ended).saying(json!({ "who": who, "sessions_revoked": ended })))
    })
}

/// Who has what on a workspace, or on all: title, who, role.
///
/// # Errors
/// When the database fails.
pub(crate) fn all(step: &mut Step<'_>, workspace: Option<i64>) -> Result<Vec<(String, String, Level)>> {
    let query = "SELECT w.title, CASE WHEN a.kind = 'team' THEN 'team:' || t.title ELSE p.email END, a.role FROM access a
        JOIN workspace w ON w.id = a.workspace LEFT JOIN team t ON a.kind = 'team' AND t.id = a.who
        LEFT JOIN person p ON a.kind = 'person' AND p.id = a.who
        WHERE $1 = 0 OR a.workspace = $1 ORDER BY w.title, a.role DESC, a.kind, a.who";
    let rows = step.rows(query, values![workspace.unwrap_or(0)])?;
    Ok(rows
        .iter()
        .filter_map(|row| Some((row.text(0), row.text(1), Level::of_number(row.int(2))?)))
        .collect())
}
