//! What survives a restart: named JSON values in SQLite. A change is on the disk before it is confirmed.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The file that keeps a plane's state, in the folder of [`Options::state`](crate::Options::state).
pub const STATE_FILE: &str = "plane.sqlite3";
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

/// What SQLite puts beside the database while it is open, and finds there after a crash.
#[cfg(unix)]
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes the folder and the database, or sees that they are ours, and closes them to everybody else. Once the folder is
/// closed, nobody can put another file in the place of one that was looked at.
#[cfg(unix)]
fn make_private(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    // Without a slash at the end, behind which a symlink would be followed.
    let folder = folder.components().as_path();
    let failed = |path: &Path| Error::io(format!("the state in {}", path.display()));
    if !close_to_others(folder, true)? {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        // Somebody may have been faster, and the umask may have taken rights that we need.
        close_to_others(folder, true)?;
    }
    for companion in COMPANIONS {
        close_to_others(&folder.join(format!("{STATE_FILE}{companion}")), false)?;
    }
    let database = folder.join(STATE_FILE);
    if !close_to_others(&database, false)? {
        // SQLite gives its other files the mode of this one.
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(&database).map_err(failed(&database))?;
        close_to_others(&database, false)?;
    }
    Ok(())
}

/// Takes every right from others, whatever the umask left; whether there is something at the path.
///
/// # Errors
/// When it is a symlink, not of the kind that is wanted, or another user's: keys do not go there.
#[cfg(unix)]
fn close_to_others(path: &Path, folder: bool) -> Result<bool, Error> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let failed = || Error::io(format!("the state in {}", path.display()));
    let refused = |reason: &str| {
        Err(Error::State {
            path: path.to_owned(),
            reason: format!("{reason}; give a state folder of your own"),
        })
    };
    let found = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        found => found.map_err(failed())?,
    };
    if found.is_symlink() {
        return refused("it is a symbolic link");
    }
    if folder && !found.is_dir() {
        return refused("it is not a folder");
    }
    if !folder && !found.is_file() {
        return refused("it is not a regular file");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refused("it belongs to another user");
    }
    // The sticky bit: a folder such as /tmp must stay open to everybody.
    if folder && found.mode() & 0o1000 != 0 {
        return refused("it is a folder that users share");
    }
    let mode = if folder { 0o700 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed())?;
    Ok(true)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(format!("the state folder {}", folder.display())))
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

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o7777
    }

    #[cfg(unix)]
    fn reason(folder: &Path) -> String {
        match Store::open(folder) {
            Err(Error::State { reason, .. }) => reason,
            Err(other) => other.to_string(),
            Ok(_) => "opened".to_owned(),
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_others_could_read_or_take_their_rights_from_is_closed_first() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (state, database) = (folder.path().join("a/state"), folder.path().join("a/state/plane.sqlite3"));
        drop(Store::open(&state).unwrap());
        // As a umask that takes too little or too much leaves them.
        for (of_folder, of_file) in [(0o777, 0o666), (0o755, 0o644), (0o500, 0o400)] {
            set_permissions(&database, Permissions::from_mode(of_file)).unwrap();
            set_permissions(&state, Permissions::from_mode(of_folder)).unwrap();
            let store = Store::open(&state).unwrap();
            store.put(Kind::Token, "a", &"ann").unwrap();
            assert_eq!((mode(&state), mode(&database)), (0o700, 0o600));
            assert_eq!(mode(&state.join("plane.sqlite3-wal")), 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link_or_into_what_is_no_file() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (state, elsewhere) = (folder.path().join("state"), folder.path().join("elsewhere"));
        std::fs::create_dir(&elsewhere).unwrap();
        for target in [elsewhere.clone(), folder.path().join("missing")] {
            symlink(target, &state).unwrap();
            assert!(reason(&state).starts_with("it is a symbolic link"), "{}", reason(&state));
            let slash = reason(&folder.path().join("state/"));
            assert!(slash.starts_with("it is a symbolic link"), "{slash}");
            std::fs::remove_file(&state).unwrap();
        }
        std::fs::write(&state, "").unwrap();
        assert!(reason(&state).starts_with("it is not a folder"));
        std::fs::remove_file(&state).unwrap();
        std::fs::create_dir(&state).unwrap();
        for name in ["plane.sqlite3", "plane.sqlite3-wal", "plane.sqlite3-shm", "plane.sqlite3-journal"] {
            let (file, target) = (state.join(name), elsewhere.join("target"));
            symlink(&target, &file).unwrap();
            assert!(reason(&state).starts_with("it is a symbolic link"), "{name}: {}", reason(&state));
            assert!(!target.exists());
            std::fs::remove_file(&file).unwrap();
            std::fs::create_dir(&file).unwrap();
            assert!(reason(&state).starts_with("it is not a regular file"), "{name}: {}", reason(&state));
            std::fs::remove_dir(&file).unwrap();
        }
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        let shared = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o1777);
        std::fs::set_permissions(&state, shared).unwrap();
        assert!(reason(&state).starts_with("it is a folder that users share"));
        assert_eq!(mode(&state), 0o1777);
    }

    #[cfg(unix)]
    #[test]
    fn what_belongs_to_another_user_gets_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        drop(Store::open(&state).unwrap());
        for name in ["plane.sqlite3", "plane.sqlite3-wal", "plane.sqlite3-shm", ""] {
            let path = state.join(name);
            let path = path.components().as_path();
            if !path.exists() {
                std::fs::write(path, "").unwrap();
            }
            if std::os::unix::fs::chown(path, Some(12345), None).is_err() {
                // Only root can give a file away; elsewhere the root folder is another user's.
                assert!(reason(Path::new("/")).starts_with("it belongs to another user"));
                return;
            }
            assert!(reason(&state).starts_with("it belongs to another user"), "{name}: {}", reason(&state));
            std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path)).unwrap();
        }
    }
}
