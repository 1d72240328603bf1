//! Who is signed in to the pages, and the codes by which a page hands a login to a terminal.

use serde_json::json;

use super::audit::{Actor, Done, act};
use super::people::{self, Person};
use super::tokens::{self, LOGIN_SCOPES, Scopes};
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random;
use crate::store::{Step, Store, within};
use crate::values;

/// How long a page session lasts without use.
const IDLE: i64 = 12 * 3600;
/// How long it lasts at most.
const LONGEST: i64 = 7 * 86400;
/// How long a login code is good.
const CODE: i64 = 60;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    /// Who.
    pub person: Person,
    /// What every form of this session must send back.
    pub form: String,
}

/// Signs a person in; what the browser's cookie says.
///
/// # Errors
/// When the database fails.
pub(crate) fn open(store: &dyn Store, person: &Person) -> Result<String> {
    let (cookie, now) = (random::link(), clock::now());
    within(store, |step| {
        let insert = "INSERT INTO page_session VALUES ($1, $2, $3, $4, $5)";
        step.run(insert, values![random::hash(&cookie), person.id, random::link(), now, now + IDLE])
    })?;
    Ok(cookie)
}

/// Who a browser's cookie is of. Use lengthens a session.
///
/// # Errors
/// When the database fails.
pub(crate) fn find(store: &dyn Store, cookie: &str) -> Result<Option<SignedIn>> {
    if !random::is_link(cookie) {
        return Ok(None);
    }
    let (hash, now) = (random::hash(cookie), clock::now());
    within(store, |step| {
        let query =
            "SELECT person, form, signed_in, expires FROM page_session WHERE hash = $1 AND expires > $2";
        let Some(row) = step.row(query, values![&hash, now])? else { return Ok(None) };
        let person = people::by_id(step, row.int(0))?;
        if person.disabled {
            return Ok(None);
        }
        let expires = (now + IDLE).min(row.int(2) + LONGEST);
        if expires > row.int(3) + 600 {
            step.run("UPDATE page_session SET expires = $2 WHERE hash = $1", values![&hash, expires])?;
        }
        Ok(Some(SignedIn { person, form: row.text(1) }))
    })
}

/// Signs out.
///
/// # Errors
/// When the database fails.
pub(crate) fn close(store: &dyn Store, cookie: &str) -> Result<()> {
    within(store, |step| step.run("DELETE FROM page_session WHERE hash = $1", values![random::hash(cookie)]))
        .map(drop)
}

/// What somebody authorized on the consent page.
pub(crate) enum Login {
    /// A token, for a client without PKCE.
    Token(String),
    /// A code, for one that will prove with its verifier that it asked.
    Code(String),
}

/// Authorizes a terminal: a code where a challenge came, else a token.
///
/// # Errors
/// When the database fails.
pub(crate) fn authorize(
    store: &dyn Store,
    actor: &Actor,
    person: &Person,
    challenge: Option<&str>,
    lifetime: std::time::Duration,
) -> Result<Login> {
    act(store, actor, "login.authorize", &person.email, |step| {
        let Some(challenge) = challenge else {
            let (token, id, expires) =
                tokens::issue(step, person, "login", &Scopes::parse(LOGIN_SCOPES)?, lifetime)?;
            let detail = json!({ "token": id, "expires": clock::shown(expires) });
            return Ok(Done::on(person.email.clone(), Login::Token(token)).saying(detail));
        };
        let code = random::link();
        let insert = "INSERT INTO login_code VALUES ($1, $2, $3, $4)";
        step.run(insert, values![random::hash(&code), person.id, challenge, clock::now() + CODE])?;
        Ok(Done::on(person.email.clone(), Login::Code(code)))
    })
}

/// A new login's token.
pub(crate) struct Issued {
    /// The token.
    pub token: String,
    /// Whose it is.
    pub email: String,
    /// When it ends.
    pub expires: i64,
}

/// Exchanges a code for a token, once.
///
/// # Errors
/// [`Kind::Spent`] for a code that is not good with this verifier. It is used up all the same.
pub(crate) fn redeem(
    store: &dyn Store,
    actor: &Actor,
    code: &str,
    verifier: &str,
    lifetime: std::time::Duration,
) -> Result<Issued> {
    let wrong = || {
        Failure::new(Kind::Spent, "The login code is not valid any more. Please run `runcode login` again.")
    };
    // In a step of its own: whoever guesses at a verifier has one try.
    let found = within(store, |step| {
        let query = "SELECT person, challenge FROM login_code WHERE hash = $1 AND expires > $2";
        let row = step.row(query, values![random::hash(code), clock::now()])?;
        step.run("DELETE FROM login_code WHERE hash = $1", values![random::hash(code)])?;
        Ok(row)
    })?;
    let row = found.filter(|row| row.text(1) == random::challenge(verifier));
    act(store, actor, "login", "-", |step: &mut Step<'_>| {
        let row = row.ok_or_else(wrong)?;
        let person = people::by_id(step, row.int(0))?;
        if person.disabled {
            return Err(wrong());
        }
        let (token, id, expires) =
            tokens::issue(step, &person, "login", &Scopes::parse(LOGIN_SCOPES)?, lifetime)?;
        let detail = json!({ "token": id, "expires": clock::shown(expires) });
        Ok(Done::on(person.email.clone(), Issued { token, email: person.email, expires }).saying(detail))
    })
}
