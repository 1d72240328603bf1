//! People: an address, a name, a role. They are disabled, never deleted.

use serde_json::json;

use super::audit::{Actor, Done, act};
use super::{next_id, words};
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::store::{Row, Step, Store};
use crate::values;

/// What a person may do on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything but entering workspaces without a grant.
    Admin,
    /// Reads all lists and the audit.
    Auditor,
    /// What grants allow.
    Member,
}

impl Role {
    /// A role by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn parse(text: &str) -> Result<Role> {
        match text {
            "admin" => Ok(Role::Admin),
            "auditor" => Ok(Role::Auditor),
            "member" => Ok(Role::Member),
            _ => Err(Failure::bad("A role is `admin`, `auditor` or `member`.")),
        }
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Auditor => "auditor",
            Role::Member => "member",
        }
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// Their number.
    pub id: i64,
    /// Their address, lower case.
    pub email: String,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may do nothing any more.
    pub disabled: bool,
}

const COLUMNS: &str = "id, email, name, role, disabled";

fn of_row(row: &Row) -> Person {
    Person {
        id: row.int(0),
        email: row.text(1),
        name: row.text(2),
        // A role that is not known here gives nothing.
        role: Role::parse(&row.text(3)).unwrap_or(Role::Member),
        disabled: row.int(4) != 0,
    }
}

/// Everybody, by address.
///
/// # Errors
/// When the database fails.
pub(crate) fn all(step: &mut Step<'_>) -> Result<Vec<Person>> {
    let rows = step.rows(&format!("SELECT {COLUMNS} FROM person ORDER BY email"), &[])?;
    Ok(rows.iter().map(of_row).collect())
}

/// The person with that number.
///
/// # Errors
/// When there is none.
pub(crate) fn by_id(step: &mut Step<'_>, id: i64) -> Result<Person> {
    let row = step.row(&format!("SELECT {COLUMNS} FROM person WHERE id = $1"), values![id])?;
    row.as_ref().map(of_row).ok_or_else(|| Failure::missing("such person"))
}

/// The person with that address.
///
/// # Errors
/// When there is none.
pub(crate) fn by_email(step: &mut Step<'_>, text: &str) -> Result<Person> {
    let email = words::email(text)?;
    let row = step.row(&format!("SELECT {COLUMNS} FROM person WHERE email = $1"), values![&email])?;
    row.as_ref().map(of_row).ok_or_else(|| Failure::missing(format!("person with the address {email}")))
}

/// Adds a person in a step that is under way.
///
/// # Errors
/// When the address is no address, or in use.
pub(crate) fn insert(step: &mut Step<'_>, email: &str, name: &str, role: Role) -> Result<Person> {
    let (email, name) = (words::email(email)?, words::name(name)?);
    let id = next_id(step, "person")?;
    let insert = "INSERT INTO person VALUES ($1, $2, $3, $4, 0, $5)";
    step.run(insert, values![id, &email, &name, role.as_str(), clock::now()])?;
    Ok(Person { id, email, name, role, disabled: false })
}

/// Adds a person.
///
/// # Errors
/// As [`insert`].
pub(crate) fn add(store: &dyn Store, actor: &Actor, email: &str, name: &str, role: Role) -> Result<Person> {
    act(store, actor, "person.add", email, |step| {
        let person = insert(step, email, name, role)?;
        Ok(Done::on(person.email.clone(), person.clone()).saying(json!({ "role": role.as_str() })))
    })
}

/// Whether there is an administrator who can do anything.
///
/// # Errors
/// When the database fails.
pub(crate) fn has_admin(step: &mut Step<'_>) -> Result<bool> {
    Ok(step.row("SELECT id FROM person WHERE role = 'admin' AND disabled = 0", &[])?.is_some())
}

/// Changes a role, or disables or enables a person. Who is disabled loses tokens, page sessions and SSH sessions; a role that
/// changes ends page sessions.
///
/// # Errors
/// [`Kind::LastAdmin`], and when there is nobody with that address.
pub(crate) fn change(
    store: &dyn Store,
    actor: &Actor,
    email: &str,
    role: Option<Role>,
    disabled: Option<bool>,
) -> Result<Person> {
    act(store, actor, "person.change", email, |step| {
        let mut person = by_email(step, email)?;
        person.role = role.unwrap_or(person.role);
        person.disabled = disabled.unwrap_or(person.disabled);
        let update = "UPDATE person SET role = $2, disabled = $3 WHERE id = $1";
        step.run(update, values![person.id, person.role.as_str(), person.disabled])?;
        if !has_admin(step)? {
            return Err(Failure::new(
                Kind::LastAdmin,
                "This is the last administrator. Make somebody else one first: `runcode-server person change EMAIL --role admin`.",
            ));
        }
        step.run("DELETE FROM page_session WHERE person = $1", values![person.id])?;
        let mut ended = 0;
        if person.disabled {
            for table in ["token", "login_code"] {
                step.run(&format!("DELETE FROM {table} WHERE person = $1"), values![person.id])?;
            }
            step.run("DELETE FROM link WHERE person = $1", values![person.id])?;
            ended = super::sessions::revoke_where(step, "person = $1", values![person.id])?;
        }
        let detail =
            json!({ "role": person.role.as_str(), "disabled": person.disabled, "sessions_revoked": ended });
        Ok(Done::on(person.email.clone(), person).saying(detail))
    })
}
