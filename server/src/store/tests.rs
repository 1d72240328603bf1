//! What every store must do.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

use super::*;
use crate::values;

/// Runs on each store.
fn each(test: impl Fn(&dyn Store)) {
    test(&Sqlite::in_memory().unwrap());
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    each(|store| {
        let mut step = store.begin().unwrap();
        step.run("INSERT INTO counter VALUES ($1, $2)", values!["a", 1]).unwrap();
        drop(step);
        let count = within(store, |step| Ok(step.rows("SELECT name FROM counter", &[])?.len()));
        assert_eq!(count, Ok(0));
    });
}

#[test]
fn a_failing_step_is_undone_as_a_whole() {
    each(|store| {
        let done = within(store, |step| {
            step.run("INSERT INTO counter VALUES ($1, $2)", values!["a", 1])?;
            step.run("INSERT INTO counter VALUES ($1, $2)", values!["a", 2])
        });
        assert_eq!(done.unwrap_err().kind, Kind::Taken);
        assert_eq!(within(store, |step| step.row("SELECT last FROM counter", &[])), Ok(None));
    });
}

#[test]
fn values_keep_their_kind_and_their_number() {
    each(|store| {
        let row = within(store, |step| {
            step.run("INSERT INTO secret (sealed, name) VALUES ($2, $1)", values!["n'ame", "v\u{1f600}"])?;
            step.row(
                "SELECT name, sealed, NULL, 9007199254740993 FROM secret WHERE sealed = $2 AND name = $1",
                values!["n'ame", "v\u{1f600}"],
            )
        });
        let row = row.unwrap().unwrap();
        assert_eq!((row.text(0).as_str(), row.text(1).as_str()), ("n'ame", "v\u{1f600}"));
        assert_eq!((row.optional_text(2), row.int(3)), (None, 9_007_199_254_740_993));
    });
}

#[test]
fn later_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = Sqlite::open(&path).unwrap();
    within(&store, |step| step.run("INSERT INTO schema VALUES (99)", &[])).unwrap();
    drop(store);
    assert!(Sqlite::open(&path).is_err_and(|failure| failure.message.contains("install a newer one")));
    assert!(Sqlite::look(&path).is_err());
}
