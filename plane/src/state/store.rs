//! What survives a restart: named JSON values in SQLite. A change is on the disk before it is confirmed.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

const FILE: &str = "plane.sqlite3";
/// The version of the layout, in SQLite's `user_version`.
const VERSION: i64 = 1;

/// The kinds of values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    User,
    Token,
    Workspace,
    Grant,
    Key,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Token => "token",
            Kind::Workspace => "workspace",
            Kind::Grant => "grant",
            Kind::Key => "key",
        }
    }
}

/// The database; one process at a time.
pub(crate) struct Store(Connection);

impl Store {
    /// Opens the database in a folder, which is made if need be, for this user alone.
    pub(crate) fn open(folder: &Path) -> Result<Store, Error> {
        make_private(folder).map_err(Error::io(format!("the state folder {}", folder.display())))?;
        let path = folder.join(FILE);
        let broken = |e: rusqlite::Error| {
            let reason = match e.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy) => "another server uses it".to_owned(),
                _ => e.to_string(),
            };
            Error::State { path: path.clone(), reason }
        };
        let connection = Connection::open(&path).map_err(broken)?;
        connection.busy_timeout(Duration::from_millis(100)).map_err(broken)?;
        // Held from the first access on, so that a second server finds out at once.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(broken)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(broken)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(broken)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(broken)?;
        if version > VERSION {
            let reason = format!("it is of version {version}, this server knows {VERSION}");
            return Err(Error::State { path, reason });
        }
        connection
            .execute_batch(&format!(
                "BEGIN EXCLUSIVE;
                 CREATE TABLE IF NOT EXISTS entry (
                     kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)
                 ) WITHOUT ROWID;
                 PRAGMA user_version = {VERSION};
                 COMMIT;"
            ))
            .map_err(broken)?;
        Ok(Store(connection))
    }

    /// Every value of a kind that can be read, with its name.
    pub(crate) fn all<T: DeserializeOwned>(&self, kind: Kind) -> rusqlite::Result<Vec<(String, T)>> {
        let mut query = self.0.prepare("SELECT name, value FROM entry WHERE kind = ?1 ORDER BY name")?;
        let rows = query.query_map([kind.name()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let mut values = Vec::new();
        for row in rows {
            let (name, text) = row?;
            values.extend(serde_json::from_str(&text).ok().map(|value| (name, value)));
        }
        Ok(values)
    }

    /// Writes a value in the place of another by the same name.
    pub(crate) fn put<T: Serialize>(&self, kind: Kind, name: &str, value: &T) -> rusqlite::Result<()> {
        let text =
            serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let mut insert = self.0.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3)")?;
        insert.execute(params![kind.name(), name, text])?;
        Ok(())
    }

    /// Removes values by their names, all or none.
    pub(crate) fn remove(&self, kind: Kind, names: &[String]) -> rusqlite::Result<()> {
        let transaction = self.0.unchecked_transaction()?;
        for name in names {
            let mut delete = transaction.prepare_cached("DELETE FROM entry WHERE kind = ?1 AND name = ?2")?;
            delete.execute([kind.name(), name.as_str()])?;
        }
        transaction.commit()
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // SQLite gives its other files the mode of this one.
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(FILE)).map(drop)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[test]
    fn values_survive_and_a_second_server_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.put(Kind::Token, "a", &"ann").unwrap();
        store.put(Kind::Token, "b", &"bob").unwrap();
        store.put(Kind::Token, "b", &"ben").unwrap();
        store.remove(Kind::Token, &["a".to_owned()]).unwrap();
        assert!(Store::open(folder.path()).is_err());
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.all::<String>(Kind::Token).unwrap(), [("b".to_owned(), "ben".to_owned())]);
        assert!(store.all::<String>(Kind::User).unwrap().is_empty());
    }
}
