//! The audit's seals: a block holds a hash over its rows and over the block before, and is signed.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::random::hex;
use crate::store::{Row, Step};
use crate::values;

/// What signatures are for (PROTOCOL.sshsig), so that they are good for nothing else.
const NAMESPACE: &str = "runcode-server-audit";
/// How many rows a block holds at most.
const MOST: i64 = 10_000;
/// What the first block follows.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const COLUMNS: &str = "id, at, actor, way, address, request, act, object, result, detail";

/// A row as JSON, with its fields in a fixed order.
pub(crate) fn row_json(row: &Row) -> Value {
    let detail = serde_json::from_str::<Value>(&row.text(9)).unwrap_or_else(|_| row.text(9).into());
    json!({
        "id": row.text(0), "at": row.int(1), "actor": row.text(2), "way": row.text(3), "address": row.text(4),
        "request": row.text(5), "act": row.text(6), "object": row.text(7), "result": row.text(8), "detail": detail,
    })
}

/// What the hash is over: every column as it is kept, each with its length, so that none can be moved into its neighbour.
fn digest(before: &str, rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    for row in rows {
        for column in 0..10 {
            let text = if column == 1 { row.int(1).to_string() } else { row.text(column) };
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
    hex(&hash.finalize())
}

/// What is signed of a block.
fn signed_text(number: i64, at: i64, rows: usize, hash: &str) -> String {
    format!("{number} {at} {rows} {hash}")
}

fn last(step: &mut Step<'_>) -> Result<(i64, String)> {
    let row = step.row("SELECT number, hash FROM block ORDER BY number DESC LIMIT 1", &[])?;
    Ok(row.map_or((0, BEGINNING.to_owned()), |row| (row.int(0), row.text(1))))
}

/// Seals what is not sealed yet; how many rows.
///
/// # Errors
/// When the database fails, or the key cannot sign.
pub(crate) fn seal(step: &mut Step<'_>, key: &PrivateKey) -> Result<usize> {
    let query = format!("SELECT {COLUMNS} FROM audit WHERE block IS NULL ORDER BY at, id LIMIT {MOST}");
    let rows = step.rows(&query, &[])?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (before, hash_before) = last(step)?;
    let (number, at, hash) = (before + 1, clock::millis(), digest(&hash_before, &rows));
    let text = signed_text(number, at, rows.len(), &hash);
    let signature =
        key.sign(NAMESPACE, HashAlg::Sha512, text.as_bytes()).and_then(|it| it.to_pem(LineEnding::LF));
    let signature = signature.map_err(|_| Failure::new(Kind::Signer, "The audit could not be sealed."))?;
    let insert = "INSERT INTO block VALUES ($1, $2, $3, $4, $5)";
    step.run(insert, values![number, at, i64::try_from(rows.len()).unwrap_or(0), hash, signature])?;
    for row in &rows {
        step.run("UPDATE audit SET block = $2 WHERE id = $1", values![row.text(0), number])?;
    }
    Ok(rows.len())
}

/// What a check of the audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// How many blocks there are.
    pub blocks: i64,
    /// How many rows are sealed in them.
    pub rows: usize,
    /// How many rows are not sealed yet.
    pub unsealed: usize,
    /// The hash of the last block: kept elsewhere, it shows whether the end was cut off.
    pub head: String,
    /// The first thing that is wrong, with its block.
    pub wrong: Option<String>,
}

/// Checks every block: its number, its rows, its hash, its signature. `head` is a hash that was kept elsewhere.
///
/// # Errors
/// When the database fails.
pub(crate) fn verify(step: &mut Step<'_>, key: &PublicKey, head: Option<&str>) -> Result<Checked> {
    let mut checked = Checked { blocks: 0, rows: 0, unsealed: 0, head: BEGINNING.to_owned(), wrong: None };
    let mut has_head = head.is_none_or(|head| head == BEGINNING);
    let blocks = step.rows("SELECT number, at, rows, hash, signature FROM block ORDER BY number", &[])?;
    for block in blocks {
        let number = block.int(0);
        let query = format!("SELECT {COLUMNS} FROM audit WHERE block = $1 ORDER BY at, id");
        let rows = step.rows(&query, values![number])?;
        let hash = digest(&checked.head, &rows);
        let text = signed_text(number, block.int(1), rows.len(), &hash);
        let is_signed = SshSig::from_pem(block.text(4))
            .is_ok_and(|signature| key.verify(NAMESPACE, text.as_bytes(), &signature).is_ok());
        let wrong = if number != checked.blocks + 1 {
            Some(format!("block {} is missing", checked.blocks + 1))
        } else if i64::try_from(rows.len()) != Ok(block.int(2)) {
            Some(format!("block {number} has {} rows in the place of {}", rows.len(), block.int(2)))
        } else if hash != block.text(3) {
            Some(format!("a row of block {number} was changed, or block {} was", number - 1))
        } else if !is_signed {
            Some(format!("the signature of block {number} is wrong"))
        } else {
            None
        };
        if wrong.is_some() {
            checked.wrong = wrong;
            return Ok(checked);
        }
        checked.blocks = number;
        checked.rows += rows.len();
        has_head |= head == Some(&*hash);
        checked.head = hash;
    }
    let loose = "SELECT COUNT(*) FROM audit WHERE block IS NULL OR block > $1";
    checked.unsealed =
        step.row(loose, values![checked.blocks])?.map_or(0, |row| usize::try_from(row.int(0)).unwrap_or(0));
    if !has_head {
        checked.wrong = Some("the end was cut off: the block that was kept elsewhere is not here".to_owned());
    }
    Ok(checked)
}

/// The rows since a time, the oldest first.
///
/// # Errors
/// When the database fails.
pub(crate) fn since(step: &mut Step<'_>, seconds: i64) -> Result<Vec<Value>> {
    let query = format!("SELECT {COLUMNS} FROM audit WHERE at >= $1 ORDER BY at, id");
    Ok(step.rows(&query, values![seconds.saturating_mul(1000)])?.iter().map(row_json).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use ssh_key::Algorithm;

    use super::*;
    use crate::core::audit::{Actor, write};
    use crate::store::{Sqlite, within};

    #[test]
    fn verify_names_the_block_that_was_changed() {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let other = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let note =
            |step: &mut Step<'_>, object: &str| write(step, &Actor::local(), "x", object, "ok", &json!({}));
        let prepared = || {
            let store = Sqlite::in_memory().unwrap();
            within(&store, |step| {
                for block in 0..3 {
                    note(step, &format!("{block}a"))?;
                    note(step, &format!("{block}b"))?;
                    seal(step, &key)?;
                }
                note(step, "loose")
            })
            .unwrap();
            store
        };
        let check = |store: &Sqlite, head: Option<&str>| {
            within(store, |step| verify(step, key.public_key(), head)).unwrap()
        };
        let store = prepared();
        let clean = check(&store, None);
        assert_eq!((clean.blocks, clean.rows, clean.unsealed, &clean.wrong), (3, 6, 1, &None));
        assert_eq!(check(&store, Some(&clean.head)).wrong, None);
        let by_other = within(&store, |step| verify(step, other.public_key(), None)).unwrap();
        assert!(by_other.wrong.unwrap().contains("signature of block 1"));
        for (change, place) in [
            ("UPDATE audit SET actor = 'evil' WHERE object = '1a'", "block 2"),
            ("UPDATE audit SET at = at + 1 WHERE object = '0b'", "block 1"),
            ("UPDATE audit SET object = '1', result = 'aok' WHERE object = '1a'", "block 2"),
            ("DELETE FROM audit WHERE object = '2a'", "block 3"),
            ("UPDATE audit SET block = 1 WHERE object = 'loose'", "block 1"),
            ("DELETE FROM block WHERE number = 2", "block 2 is missing"),
            ("UPDATE block SET at = at + 1 WHERE number = 3", "block 3"),
        ] {
            let store = prepared();
            within(&store, |step| step.run(change, &[])).unwrap();
            let wrong = check(&store, None).wrong.expect(change);
            assert!(wrong.contains(place), "{change}: {wrong}");
        }
        // A tail that was cut off is only seen by a head that was kept elsewhere.
        within(&store, |step| {
            step.run("DELETE FROM audit WHERE block = 3", &[])?;
            step.run("DELETE FROM block WHERE number = 3", &[])
        })
        .unwrap();
        assert_eq!(check(&store, None).wrong, None);
        assert!(check(&store, Some(&clean.head)).wrong.unwrap().contains("cut off"));
    }
}
