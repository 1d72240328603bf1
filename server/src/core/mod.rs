//! The rules: who may do what. Every door (page, API, command line) goes through these functions.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod blocks;
pub(crate) mod hosts;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod mint;
pub(crate) mod page_sessions;
pub(crate) mod people;
pub(crate) mod sessions;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod words;
pub(crate) mod workspaces;

#[cfg(test)]
mod tests;

use crate::failure::Result;
use crate::store::Step;
use crate::values;

/// The next number of a kind. Numbers are never used twice, also not after what had them is gone.
fn next_id(step: &mut Step<'_>, kind: &str) -> Result<i64> {
    let insert =
        "INSERT INTO counter VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET last = counter.last + 1";
    step.run(insert, values![kind])?;
    Ok(step.row("SELECT last FROM counter WHERE name = $1", values![kind])?.map_or(1, |row| row.int(0)))
}
