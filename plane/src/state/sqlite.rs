//! The store in SQLite: named JSON values. A commit is on the disk before it is confirmed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::private_folder::make_private;
use super::record::{GrantRecord, WorkspaceRecord};
use super::token::TokenHash;
use super::{Grant, Store, Transaction, Workspace};
use crate::Task;
use crate::error::{Error, StoreError};

/// The file that keeps a plane's state.
pub const STATE_FILE: &str = "plane.sqlite3";
/// The version of the layout, in SQLite's `user_version`.
const VERSION: i64 = 1;
/// The workspace of a grant, as the index has it. A value that is not JSON has none.
const GRANT_WORKSPACE: &str = "CASE WHEN json_valid(value) THEN value ->> 'workspace' END";

/// The kinds of values.
#[derive(Debug, Clone, Copy)]
enum Kind {
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

/// A database of one process. Its calls block for as long as the disk takes.
pub struct Sqlite(pub(super) Arc<Mutex<Connection>>);

impl Sqlite {
    /// A store that is forgotten when it is dropped.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Sqlite, Error> {
        let broken = |e: rusqlite::Error| Error::State { path: "memory".into(), reason: e.to_string() };
        let connection = Connection::open_in_memory().map_err(broken)?;
        lay_out(&connection).map_err(broken)?;
        Ok(Sqlite(Arc::new(Mutex::new(connection))))
    }

    /// Opens the database in a folder, which is made if need be, for this user alone.
    ///
    /// # Errors
    /// When it is another user's, in use, or of a version that is not known here.
    pub fn open(folder: &Path) -> Result<Sqlite, Error> {
        make_private(folder)?;
        let path = folder.join(STATE_FILE);
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
        lay_out(&connection).map_err(broken)?;
        Ok(Sqlite(Arc::new(Mutex::new(connection))))
    }
}

#[cfg(test)]
impl Sqlite {
    /// Refuses every change from now on, as a full disk does.
    pub(super) async fn refuse_writes(&self) {
        self.0.lock().await.pragma_update(None, "query_only", true).expect("a pragma");
    }
}

fn lay_out(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN EXCLUSIVE;
         CREATE TABLE IF NOT EXISTS entry (
             kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)
         ) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS grant_workspace ON entry ({GRANT_WORKSPACE}) WHERE kind = 'grant';
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))
}

impl Store for Sqlite {
    fn begin(&self) -> Task<'_, Result<Box<dyn Transaction>, StoreError>> {
        Box::pin(async {
            let connection = self.0.clone().lock_owned().await;
            connection.execute_batch("BEGIN")?;
            Ok(Box::new(Step(connection)) as Box<dyn Transaction>)
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError(error.to_string())
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> StoreError {
        StoreError(error.to_string())
    }
}

/// A transaction of the one connection.
struct Step(OwnedMutexGuard<Connection>);

impl Drop for Step {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// What was done, as a future that is ready.
fn ready<'a, T: Send + 'a>(done: Result<T, StoreError>) -> Task<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(done))
}

impl Step {
    /// Every value of a kind that can be read, with its name.
    fn all<T: DeserializeOwned>(&self, kind: Kind) -> Result<Vec<(String, T)>, StoreError> {
        self.select("SELECT name, value FROM entry WHERE kind = ?1 ORDER BY name", params![kind.name()])
    }

    fn select<T: DeserializeOwned>(
        &self,
        query: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let mut query = self.0.prepare_cached(query)?;
        let rows = query.query_map(values, |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let mut values = Vec::new();
        for row in rows {
            let (name, text) = row?;
            values.extend(serde_json::from_str(&text).ok().map(|value| (name, value)));
        }
        Ok(values)
    }

    /// The value of that name, if there is one that can be read.
    fn get<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Result<Option<T>, StoreError> {
        let mut query = self.0.prepare_cached("SELECT value FROM entry WHERE kind = ?1 AND name = ?2")?;
        let text: Option<String> = query.query_row([kind.name(), name], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Writes a value in the place of another by the same name.
    fn put<T: Serialize>(&self, kind: Kind, name: &str, value: &T) -> Result<(), StoreError> {
        let text = serde_json::to_string(value)?;
        let mut insert = self.0.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3)")?;
        insert.execute(params![kind.name(), name, text])?;
        Ok(())
    }

    fn remove(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let mut delete = self.0.prepare_cached("DELETE FROM entry WHERE kind = ?1 AND name = ?2")?;
        delete.execute([kind.name(), name])?;
        Ok(())
    }
}

fn grants(records: Vec<(String, GrantRecord)>) -> Vec<Grant> {
    records.iter().filter_map(|(_, record)| record.grant()).collect()
}

impl Transaction for Step {
    fn commit(self: Box<Self>) -> Task<'static, Result<(), StoreError>> {
        ready(self.0.execute_batch("COMMIT").map_err(StoreError::from))
    }

    fn users(&mut self) -> Task<'_, Result<Vec<String>, StoreError>> {
        ready(self.all::<u64>(Kind::User).map(|mut users| {
            users.sort_by_key(|(_, position)| *position);
            users.into_iter().map(|(email, _)| email).collect()
        }))
    }

    fn put_user<'a>(&'a mut self, email: &'a str, position: usize) -> Task<'a, Result<(), StoreError>> {
        ready(self.put(Kind::User, email, &position))
    }

    fn token_owner(&mut self, token: TokenHash) -> Task<'_, Result<Option<String>, StoreError>> {
        ready(self.get(Kind::Token, &token.to_string()))
    }

    fn put_token<'a>(&'a mut self, token: TokenHash, user: &'a str) -> Task<'a, Result<(), StoreError>> {
        ready(self.put(Kind::Token, &token.to_string(), &user))
    }

    fn remove_token(&mut self, token: TokenHash) -> Task<'_, Result<(), StoreError>> {
        ready(self.remove(Kind::Token, &token.to_string()))
    }

    fn workspaces(&mut self) -> Task<'_, Result<Vec<Workspace>, StoreError>> {
        ready(self.all::<WorkspaceRecord>(Kind::Workspace).map(|records| {
            let mut workspaces: Vec<Workspace> =
                records.into_iter().map(|(_, record)| record.into()).collect();
            workspaces.sort_by_key(|workspace| workspace.id);
            workspaces
        }))
    }

    fn workspace(&mut self, id: u64) -> Task<'_, Result<Option<Workspace>, StoreError>> {
        let found = self.get::<WorkspaceRecord>(Kind::Workspace, &id.to_string());
        ready(found.map(|record| record.map(Workspace::from)))
    }

    fn put_workspace<'a>(&'a mut self, workspace: &'a Workspace) -> Task<'a, Result<(), StoreError>> {
        ready(self.put(Kind::Workspace, &workspace.id.to_string(), &WorkspaceRecord::from(workspace)))
    }

    fn grants(&mut self) -> Task<'_, Result<Vec<Grant>, StoreError>> {
        ready(self.all(Kind::Grant).map(grants))
    }

    fn grants_for(&mut self, workspace: u64) -> Task<'_, Result<Vec<Grant>, StoreError>> {
        let query = format!("SELECT name, value FROM entry WHERE kind = 'grant' AND {GRANT_WORKSPACE} = ?1");
        ready(self.select(&query, [workspace.cast_signed()]).map(grants))
    }

    fn holds_grant(&mut self, serial: u64) -> Task<'_, Result<bool, StoreError>> {
        ready(self.get::<GrantRecord>(Kind::Grant, &serial.to_string()).map(|found| found.is_some()))
    }

    fn put_grant<'a>(&'a mut self, grant: &'a Grant) -> Task<'a, Result<(), StoreError>> {
        ready(self.put(Kind::Grant, &grant.serial.to_string(), &GrantRecord::from(grant)))
    }

    fn remove_grants<'a>(&'a mut self, serials: &'a [u64]) -> Task<'a, Result<(), StoreError>> {
        ready(serials.iter().try_for_each(|serial| self.remove(Kind::Grant, &serial.to_string())))
    }

    fn key<'a>(&'a mut self, name: &'a str) -> Task<'a, Result<Option<String>, StoreError>> {
        ready(self.get(Kind::Key, name))
    }

    fn put_key<'a>(&'a mut self, name: &'a str, key: &'a str) -> Task<'a, Result<(), StoreError>> {
        ready(self.put(Kind::Key, name, &key))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[tokio::test]
    async fn values_survive_and_a_second_server_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path()).unwrap();
        let (a, b) = (TokenHash::of("a"), TokenHash::of("b"));
        let mut step = store.begin().await.unwrap();
        step.put_token(a, "ann").await.unwrap();
        step.put_token(b, "bob").await.unwrap();
        step.put_token(b, "ben").await.unwrap();
        step.remove_token(a).await.unwrap();
        step.commit().await.unwrap();
        assert!(Sqlite::open(folder.path()).is_err());
        drop(store);
        let store = Sqlite::open(folder.path()).unwrap();
        let mut step = store.begin().await.unwrap();
        assert_eq!(step.token_owner(a).await.unwrap(), None);
        assert_eq!(step.token_owner(b).await.unwrap().as_deref(), Some("ben"));
        assert!(step.users().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_dropped_transaction_leaves_nothing() {
        let store = Sqlite::in_memory().unwrap();
        let token = TokenHash::of("a");
        let mut step = store.begin().await.unwrap();
        step.put_token(token, "ann").await.unwrap();
        drop(step);
        assert_eq!(store.begin().await.unwrap().token_owner(token).await.unwrap(), None);
    }
}
