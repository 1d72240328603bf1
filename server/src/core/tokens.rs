//! Tokens: how a program says whose it is. Kept as hashes, looked up at every call.

use std::time::Duration;

use serde_json::json;

use super::audit::{Actor, Done, act};
use super::people::{self, Person};
use super::words;
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random;
use crate::store::{Step, Store};
use crate::values;

/// What a login's token may do.
pub(crate) const LOGIN_SCOPES: &str = "see,power,session";

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    /// Reads `see`, `power`, `session`, `session:17`, separated by commas.
    ///
    /// # Errors
    /// When there is another word.
    pub(crate) fn parse(text: &str) -> Result<Scopes> {
        let is_known = |word: &str| {
            matches!(word, "see" | "power" | "session")
                || word
                    .strip_prefix("session:")
                    .is_some_and(|id| id.parse::<u32>().is_ok_and(|id| id.to_string() == word[8..]))
        };
        let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        if words.len() > 100 || !words.iter().all(|word| is_known(word)) {
            return Err(Failure::bad(
                "A scope is `see`, `power`, `session` or `session:ID`; several have commas between them.",
            ));
        }
        Ok(Scopes(words))
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|own| own == word)
    }

    /// Whether workspaces may be listed; whoever may open one may see it.
    pub(crate) fn may_see(&self) -> bool {
        self.has("see")
    }

    /// Whether machines may be started and stopped.
    pub(crate) fn may_power(&self) -> bool {
        self.has("power")
    }

    /// Whether sessions may be opened on a workspace.
    pub(crate) fn may_open(&self, workspace: i64) -> bool {
        self.has("session") || self.has(&format!("session:{workspace}"))
    }

    /// The words with commas between them.
    pub(crate) fn as_text(&self) -> String {
        self.0.join(",")
    }
}

/// Who calls with a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The person.
    pub person: Person,
    /// The token's own id.
    pub token: String,
    /// What it may do.
    pub scopes: Scopes,
}

/// Whoever a token belongs to.
///
/// # Errors
/// [`Kind::Unauthorized`] for one that there is not, [`Kind::Expired`] for one that has ended.
pub(crate) fn find(step: &mut Step<'_>, token: &str) -> Result<Caller> {
    let unknown = || {
        Failure::new(Kind::Unauthorized, "The token is missing or not valid. Please log in: `runcode login`.")
    };
    if token.len() != 67 || !token.starts_with("rc_") {
        return Err(unknown());
    }
    let query = "SELECT id, person, name, scopes, expires FROM token WHERE hash = $1";
    let row = step.row(query, values![random::hash(token)])?.ok_or_else(unknown)?;
    let person = people::by_id(step, row.int(1))?;
    if person.disabled {
        return Err(unknown());
    }
    if row.int(4) <= clock::now() {
        return Err(Failure::new(
            Kind::Expired,
            "The login has ended. Please log in again: `runcode login`.",
        ));
    }
    let scopes = Scopes::parse(&row.text(3)).map_err(|_| unknown())?;
    Ok(Caller { person, token: row.text(0), scopes })
}

/// Notes that a token was used, to the hour.
///
/// # Errors
/// When the database fails.
pub(crate) fn note_use(step: &mut Step<'_>, token: &str, address: &str) -> Result<()> {
    let hour = clock::now() / 3600 * 3600;
    let update = "UPDATE token SET used = $2, used_from = $3 WHERE id = $1 AND (used IS NULL OR used < $2)";
    step.run(update, values![token, hour, address]).map(drop)
}

/// Makes a token in a step that is under way; the token, its id, and when it ends.
///
/// # Errors
/// When the name is no name.
pub(crate) fn issue(
    step: &mut Step<'_>,
    person: &Person,
    name: &str,
    scopes: &Scopes,
    lifetime: Duration,
) -> Result<(String, String, i64)> {
    let (token, id, now) = (random::token(), random::id()[..12].to_owned(), clock::now());
    let expires = now.saturating_add(lifetime.as_secs().cast_signed());
    let insert = "INSERT INTO token VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL)";
    let name = words::name(name)?;
    step.run(insert, values![&id, random::hash(&token), person.id, name, scopes.as_text(), now, expires])?;
    Ok((token, id, expires))
}

/// Makes a token for somebody.
///
/// # Errors
/// When there is nobody with that address, or they are disabled.
pub(crate) fn add(
    store: &dyn Store,
    actor: &Actor,
    email: &str,
    name: &str,
    scopes: &Scopes,
    lifetime: Duration,
) -> Result<(String, String, i64)> {
    act(store, actor, "token.add", email, |step| {
        let person = people::by_email(step, email)?;
        if person.disabled {
            return Err(Failure::new(Kind::Forbidden, format!("{email} is disabled; enable them first.")));
        }
        let issued = issue(step, &person, name, scopes, lifetime)?;
        let detail = json!({ "token": issued.1, "name": name, "scopes": scopes.as_text(), "expires": clock::shown(issued.2) });
        Ok(Done::on(person.email, issued).saying(detail))
    })
}

/// Removes a token: the person's own if one is named, else anybody's.
///
/// # Errors
/// When there is none with that id.
pub(crate) fn remove(store: &dyn Store, actor: &Actor, id: &str, of: Option<i64>) -> Result<()> {
    act(store, actor, "token.remove", id, |step| {
        let delete = "DELETE FROM token WHERE id = $1 AND ($2 = 0 OR person = $2)";
        if step.run(delete, values![id, of.unwrap_or(0)])? == 0 {
            return Err(Failure::missing("such token"));
        }
        Ok(Done::on(id, ()))
    })
}

/// A token as lists show it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its scopes.
    pub scopes: String,
    /// When it ends.
    pub expires: i64,
    /// The hour of its last use, and from where.
    pub used: Option<(i64, String)>,
}

/// A person's tokens, the newest first.
///
/// # Errors
/// When the database fails.
pub(crate) fn of_person(step: &mut Step<'_>, person: i64) -> Result<Vec<Listed>> {
    let query = "SELECT id, name, scopes, expires, used, used_from FROM token WHERE person = $1 ORDER BY created DESC, id";
    let rows = step.rows(query, values![person])?;
    let listed = |row: &crate::store::Row| Listed {
        id: row.text(0),
        name: row.text(1),
        scopes: row.text(2),
        expires: row.int(3),
        used: row.optional_int(4).map(|used| (used, row.text(5))),
    };
    Ok(rows.iter().map(listed).collect())
}
