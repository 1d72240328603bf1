//! Teams: people who are granted something together.

use serde_json::json;

use super::audit::{Actor, Done, act};
use super::{next_id, people, words};
use crate::failure::{Failure, Result};
use crate::store::{Step, Store};
use crate::values;

/// A team and its people's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Team {
    /// Its name.
    pub title: String,
    /// Its people.
    pub members: Vec<String>,
}

/// Adds a team.
///
/// # Errors
/// When the name is no name, or in use.
pub(crate) fn add(store: &dyn Store, actor: &Actor, title: &str) -> Result<()> {
    act(store, actor, "team.add", title, |step| {
        let title = words::title(title)?;
        let id = next_id(step, "team")?;
        step.run("INSERT INTO team VALUES ($1, $2)", values![id, &title])?;
        Ok(Done::on(title, ()))
    })
}

/// The number of a team.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn id_of(step: &mut Step<'_>, title: &str) -> Result<i64> {
    let row = step.row("SELECT id FROM team WHERE title = $1", values![words::title(title)?])?;
    row.map(|row| row.int(0)).ok_or_else(|| Failure::missing(format!("team {title}")))
}

/// Adds people to a team and takes people out.
///
/// # Errors
/// When the team or somebody is not there.
pub(crate) fn change(
    store: &dyn Store,
    actor: &Actor,
    title: &str,
    add: &[String],
    remove: &[String],
) -> Result<()> {
    act(store, actor, "team.change", title, |step| {
        let team = id_of(step, title)?;
        for email in add {
            let person = people::by_email(step, email)?;
            let insert = "INSERT INTO member VALUES ($1, $2) ON CONFLICT (team, person) DO NOTHING";
            step.run(insert, values![team, person.id])?;
        }
        for email in remove {
            let person = people::by_email(step, email)?;
            step.run("DELETE FROM member WHERE team = $1 AND person = $2", values![team, person.id])?;
            super::sessions::revoke_lost(step, Some(person.id), None)?;
        }
        Ok(Done::on(title, ()).saying(json!({ "added": add, "removed": remove })))
    })
}

/// Removes a team and what it was granted.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn remove(store: &dyn Store, actor: &Actor, title: &str) -> Result<()> {
    act(store, actor, "team.remove", title, |step| {
        let team = id_of(step, title)?;
        step.run("DELETE FROM access WHERE kind = 'team' AND who = $1", values![team])?;
        step.run("DELETE FROM member WHERE team = $1", values![team])?;
        step.run("DELETE FROM team WHERE id = $1", values![team])?;
        super::sessions::revoke_lost(step, None, None)?;
        Ok(Done::on(title, ()))
    })
}

/// All teams, by name.
///
/// # Errors
/// When the database fails.
pub(crate) fn all(step: &mut Step<'_>) -> Result<Vec<Team>> {
    let query = "SELECT t.title, p.email FROM team t LEFT JOIN member m ON m.team = t.id LEFT JOIN person p ON p.id = m.person
        ORDER BY t.title, p.email";
    let mut teams: Vec<Team> = Vec::new();
    for row in step.rows(query, &[])? {
        let title = row.text(0);
        if teams.last().is_none_or(|team| team.title != title) {
            teams.push(Team { title, members: Vec::new() });
        }
        if let (Some(team), Some(email)) = (teams.last_mut(), row.optional_text(1)) {
            team.members.push(email);
        }
    }
    Ok(teams)
}
