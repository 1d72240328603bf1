//! The store in SQLite. A commit is on the disk before it is confirmed.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql};

use super::{Row, SCHEMA_VERSION, Store, Transaction, Value, broken, schema};
use crate::failure::{Failure, Kind, Result};

/// How long to wait for another process, such as a verb beside the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database file with one connection.
pub(crate) struct Sqlite(Mutex<Connection>);

impl Sqlite {
    /// Opens the file and brings its tables to this program's version. The folder is the caller's to have made private.
    ///
    /// # Errors
    /// When it is no database, of a later version, or cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Sqlite> {
        let store = Sqlite::connect(path)?;
        schema::migrate(&store)?;
        Ok(store)
    }

    /// Opens a file that is there, and changes nothing; the version of its tables.
    ///
    /// # Errors
    /// When it is no database or cannot be read.
    pub(crate) fn look(path: &Path) -> Result<i64> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(path, flags).map_err(broken)?;
        connection.busy_timeout(PATIENCE).map_err(broken)?;
        let found: Option<i64> =
            connection.query_row("SELECT MAX(version) FROM schema", [], |row| row.get(0)).map_err(broken)?;
        match found.unwrap_or(0) {
            found if found > SCHEMA_VERSION => Err(broken(format!(
                "its tables are of version {found}, this runcode-server knows {SCHEMA_VERSION}"
            ))),
            found => Ok(found),
        }
    }

    fn connect(path: &Path) -> Result<Sqlite> {
        let connection = Connection::open(path).map_err(broken)?;
        connection.busy_timeout(PATIENCE).map_err(broken)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(broken)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(broken)?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(Sqlite(Mutex::new(connection)))
    }

    /// One that is forgotten when it is dropped.
    ///
    /// # Errors
    /// When there is no memory for it.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Result<Sqlite> {
        let store = Sqlite(Mutex::new(Connection::open_in_memory().map_err(broken)?));
        schema::migrate(&store)?;
        Ok(store)
    }
}

impl Store for Sqlite {
    fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Immediate: one that first reads and then writes could otherwise be refused at its first write.
        connection.execute_batch("BEGIN IMMEDIATE").map_err(broken)?;
        Ok(Box::new(Begun(connection)))
    }
}

/// A transaction of the one connection.
struct Begun<'a>(MutexGuard<'a, Connection>);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// `$1` is a name to SQLite, which counts names by where they first stand; `?1` is the number itself.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn failed(error: rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            Failure::new(Kind::Taken, "That name is in use; choose another one.")
        }
        _ => broken(error),
    }
}

impl Transaction for Begun<'_> {
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<usize> {
        let mut statement = self.0.prepare_cached(&numbered(sql)).map_err(broken)?;
        statement.execute(rusqlite::params_from_iter(values)).map_err(failed)
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(&numbered(sql)).map_err(broken)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let value = |column| match row.get_ref(column) {
                Ok(ValueRef::Integer(number)) => Ok(Value::Int(number)),
                Ok(ValueRef::Text(text)) => Ok(Value::Text(String::from_utf8_lossy(text).into_owned())),
                Ok(ValueRef::Null) => Ok(Value::Null),
                Ok(_) => Err(broken("a column has a value of another type")),
                Err(error) => Err(broken(error)),
            };
            found.push(Row((0..columns).map(value).collect::<Result<_>>()?));
        }
        Ok(found)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.0.execute_batch("COMMIT").map_err(broken)
    }
}
