//! The audit: an act and its row are one transaction.

use serde_json::{Value, json};

use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random;
use crate::store::{Step, Store, within};
use crate::values;

/// Who acts, and by which way.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// `ann@example.com`, `host:web`, `local:1000` or `system`; of somebody unknown, `-`.
    pub name: String,
    /// `page`, `api`, `cli` or `system`.
    pub way: &'static str,
    /// Where the request came from; empty for none.
    pub address: String,
    /// The request's id; empty for none.
    pub request: String,
}

impl Actor {
    /// Whether nobody knows who it is. What strangers guess at is counted, and leaves rows within limits only.
    pub(crate) fn is_stranger(&self) -> bool {
        self.name == "-"
    }

    /// Whoever runs a verb on the server's own machine.
    pub(crate) fn local() -> Actor {
        #[cfg(unix)]
        let user = rustix::process::getuid().as_raw();
        #[cfg(not(unix))]
        let user = 0;
        Actor { name: format!("local:{user}"), way: "cli", address: String::new(), request: String::new() }
    }
}

/// What an act gives, and what its row says beside.
pub(crate) struct Done<T> {
    /// What it gives.
    pub value: T,
    /// What it was done to.
    pub object: String,
    /// What else is worth knowing; never a secret.
    pub detail: Value,
}

impl<T> Done<T> {
    /// An act on `object`.
    pub(crate) fn on(object: impl Into<String>, value: T) -> Done<T> {
        Done { value, object: object.into(), detail: json!({}) }
    }

    /// With more in its row.
    pub(crate) fn saying(mut self, detail: Value) -> Done<T> {
        self.detail = detail;
        self
    }
}

/// Does an act and writes its row, or neither. A refusal leaves a row of its own.
///
/// # Errors
/// What the act or the database says.
pub(crate) fn act<T>(
    store: &dyn Store,
    actor: &Actor,
    what: &str,
    object: &str,
    work: impl FnOnce(&mut Step<'_>) -> Result<Done<T>>,
) -> Result<T> {
    let done = within(store, |step| {
        let done = work(step)?;
        write(step, actor, what, &done.object, "ok", &done.detail)?;
        Ok(done.value)
    });
    if let Err(failure) = &done
        && !matches!(failure.kind, Kind::Database | Kind::BadRequest | Kind::RateLimited)
        && !(actor.is_stranger() && failure.is_wrong_guess())
    {
        within(store, |step| write(step, actor, what, object, failure.kind.code(), &json!({})))?;
    }
    done
}

/// Writes a row of something that happened as a part of `step`.
///
/// # Errors
/// When the database fails.
pub(crate) fn write(
    step: &mut Step<'_>,
    actor: &Actor,
    act: &str,
    object: &str,
    result: &str,
    detail: &Value,
) -> Result<()> {
    let insert = "INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)";
    let values = values![
        random::id(),
        clock::millis(),
        &actor.name,
        actor.way,
        &actor.address,
        &actor.request,
        act,
        object,
        result,
        detail.to_string(),
    ];
    step.run(insert, values).map(drop)
}

/// The refusal for what one may not see, which is that for what does not exist.
pub(crate) fn no_workspace() -> Failure {
    Failure::new(Kind::NotFound, "There is no such workspace.")
}
