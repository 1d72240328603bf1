//! Where the state is kept: SQL in what SQLite and Postgres have in common, so that each rule is written once.
//!
//! Values stand as `$1`, `$2`, … in a query. Integers are 64 bits, everything else is text; times are seconds since 1970.

mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

pub(crate) use schema::SCHEMA_VERSION;
pub(crate) use sqlite::Sqlite;

use crate::failure::{Failure, Kind, Result};

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// None.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Text(text.clone())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Int(yes.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// The values of a query, in the order of its `$1`, `$2`, ….
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::Value::from($value)),*] };
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(pub Vec<Value>);

impl Row {
    /// The number in a column; 0 where there is none.
    pub(crate) fn int(&self, column: usize) -> i64 {
        self.optional_int(column).unwrap_or_default()
    }

    /// The number in a column.
    pub(crate) fn optional_int(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// The text in a column; empty where there is none.
    pub(crate) fn text(&self, column: usize) -> String {
        self.optional_text(column).unwrap_or_default()
    }

    /// The text in a column.
    pub(crate) fn optional_text(&self, column: usize) -> Option<String> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

/// A database.
pub(crate) trait Store: Send + Sync {
    /// Begins a transaction, which sees what was committed before and nothing that is under way.
    ///
    /// # Errors
    /// When the database does not answer.
    fn begin(&self) -> Result<Box<dyn Transaction + '_>>;
}

/// A step under way: dropped before [`Transaction::commit`], it has not happened.
pub(crate) trait Transaction {
    /// Changes rows; says how many.
    ///
    /// # Errors
    /// [`Kind::Taken`] where a key is in use, else when the database fails.
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<usize>;

    /// Reads rows.
    ///
    /// # Errors
    /// When the database fails.
    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>>;

    /// Makes the step durable.
    ///
    /// # Errors
    /// When the database fails: then nothing happened.
    fn commit(self: Box<Self>) -> Result<()>;
}

impl dyn Transaction + '_ {
    /// The first row, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn row(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }
}

/// A transaction as rules take it.
pub(crate) type Step<'a> = dyn Transaction + 'a;

/// Does `work` in one transaction, or nothing of it.
///
/// # Errors
/// That of `work`, or the database's.
pub(crate) fn within<T>(store: &dyn Store, work: impl FnOnce(&mut Step<'_>) -> Result<T>) -> Result<T> {
    let mut step = store.begin()?;
    let done = work(&mut *step)?;
    step.commit()?;
    Ok(done)
}

/// The failure of a database that does not do its work.
pub(crate) fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Database, format!("The database failed ({error}). Try again in a moment."))
}
