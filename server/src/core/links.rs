//! One-time links: for the first administrator, for invitations, and for signing in again.

use std::time::Duration;

use serde_json::json;

use super::audit::{Actor, Done, act};
use super::people::{self, Person, Role};
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random;
use crate::store::{Step, Store};
use crate::values;

/// How long a link for a new administrator is good.
const SETUP: Duration = Duration::from_secs(30 * 60);
/// How long a link for a person is good.
const INVITATION: Duration = Duration::from_secs(24 * 3600);

/// Whom a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An administrator who does not exist yet.
    NewAdmin,
    /// A person.
    Person(Person),
}

/// Makes the link for a new administrator; the secret in it.
///
/// # Errors
/// When the database fails.
pub(crate) fn for_new_admin(store: &dyn Store, actor: &Actor) -> Result<String> {
    act(store, actor, "link.add", "setup", |step| {
        let link = insert(step, "setup", None, SETUP)?;
        Ok(Done::on("setup", link))
    })
}

/// Makes a link by which a person signs in; the secret in it.
///
/// # Errors
/// When there is nobody with that address, or they are disabled.
pub(crate) fn for_person(store: &dyn Store, actor: &Actor, email: &str) -> Result<String> {
    act(store, actor, "link.add", email, |step| {
        let person = people::by_email(step, email)?;
        if person.disabled {
            return Err(Failure::new(Kind::Forbidden, format!("{email} is disabled; enable them first.")));
        }
        let link = insert(step, "person", Some(person.id), INVITATION)?;
        Ok(Done::on(person.email, link))
    })
}

fn insert(step: &mut Step<'_>, purpose: &str, person: Option<i64>, lifetime: Duration) -> Result<String> {
    let link = random::link();
    let expires = clock::now() + lifetime.as_secs().cast_signed();
    let insert = "INSERT INTO link VALUES ($1, $2, $3, $4, NULL)";
    step.run(insert, values![random::hash(&link), purpose, person, expires])?;
    Ok(link)
}

/// Whom a link is for, without using it up.
///
/// # Errors
/// [`Kind::NotFound`] for one that there is not, [`Kind::Spent`] for one that was used or has ended.
pub(crate) fn look(step: &mut Step<'_>, link: &str) -> Result<Purpose> {
    let unknown =
        || Failure::new(Kind::NotFound, "There is no such link. Ask an administrator for another one.");
    if !random::is_link(link) {
        return Err(unknown());
    }
    let query = "SELECT purpose, person, expires, used FROM link WHERE hash = $1";
    let row = step.row(query, values![random::hash(link)])?.ok_or_else(unknown)?;
    if row.optional_int(3).is_some() || row.int(2) <= clock::now() {
        return Err(Failure::new(
            Kind::Spent,
            "This link was used, or its time is over. Ask an administrator for another one.",
        ));
    }
    match row.text(0).as_str() {
        "setup" => Ok(Purpose::NewAdmin),
        _ => Ok(Purpose::Person(people::by_id(step, row.int(1))?)),
    }
}

/// Uses a link up; the person who is signed in by it. A new administrator says who they are.
///
/// # Errors
/// As [`look`], and when the new administrator's address cannot be used.
pub(crate) fn spend(store: &dyn Store, actor: &Actor, link: &str, email: &str, name: &str) -> Result<Person> {
    act(store, actor, "link.spend", "-", |step| {
        let purpose = look(step, link)?;
        let update = "UPDATE link SET used = $2 WHERE hash = $1 AND used IS NULL";
        if step.run(update, values![random::hash(link), clock::now()])? != 1 {
            return Err(Failure::new(
                Kind::Spent,
                "This link was used. Ask an administrator for another one.",
            ));
        }
        let person = match purpose {
            Purpose::NewAdmin => people::insert(step, email, name, Role::Admin)?,
            Purpose::Person(person) => person,
        };
        Ok(Done::on(person.email.clone(), person.clone()).saying(json!({ "role": person.role.as_str() })))
    })
}

/// Forgets links and codes that ended a while ago.
///
/// # Errors
/// When the database fails.
pub(crate) fn purge(step: &mut Step<'_>) -> Result<()> {
    let now = clock::now();
    step.run("DELETE FROM link WHERE expires < $1", values![now - 30 * 86400])?;
    step.run("DELETE FROM login_code WHERE expires < $1", values![now - 60])?;
    step.run("DELETE FROM page_session WHERE expires < $1", values![now])?;
    step.run("DELETE FROM attempt WHERE minute < $1", values![now / 60 - 60])?;
    step.run("DELETE FROM token WHERE expires < $1", values![now - 30 * 86400]).map(drop)
}
