//! The folder of a plane's state: this user's alone, also where it was not.

use std::path::Path;

#[cfg(unix)]
use super::sqlite::STATE_FILE;
use crate::error::Error;

/// What SQLite puts beside the database while it is open, and finds there after a crash.
#[cfg(unix)]
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes the folder and the database, or sees that they are ours, and closes them to everybody else. Once the folder is
/// closed, nobody can put another file in the place of one that was looked at.
///
/// # Errors
/// When one of them is a symlink, not of the kind that is wanted, or another user's.
#[cfg(unix)]
pub fn make_private(folder: &Path) -> Result<(), Error> {
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
            reason: format!("{reason}; choose a state folder of your own"),
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
        return refused("it is shared by several users");
    }
    let mode = if folder { 0o700 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed())?;
    Ok(true)
}

/// Makes the folder.
///
/// # Errors
/// When the system refuses it.
#[cfg(not(unix))]
pub fn make_private(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(format!("the state folder {}", folder.display())))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;
    use crate::state::sqlite::Sqlite;

    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o7777
    }

    fn reason(folder: &Path) -> String {
        match Sqlite::open(folder) {
            Err(Error::State { reason, .. }) => reason,
            Err(other) => other.to_string(),
            Ok(_) => "opened".to_owned(),
        }
    }

    #[test]
    fn state_permissions_are_tightened_first() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (state, database) = (folder.path().join("a/state"), folder.path().join("a/state/plane.sqlite3"));
        drop(Sqlite::open(&state).unwrap());
        // As a umask that takes too little or too much leaves them.
        for (of_folder, of_file) in [(0o777, 0o666), (0o755, 0o644), (0o500, 0o400)] {
            set_permissions(&database, Permissions::from_mode(of_file)).unwrap();
            set_permissions(&state, Permissions::from_mode(of_folder)).unwrap();
            let store = Sqlite::open(&state).unwrap();
            store
                .0
                .blocking_lock()
                .execute_batch("INSERT OR REPLACE INTO entry VALUES ('token', 'a', '0')")
                .unwrap();
            assert_eq!((mode(&state), mode(&database)), (0o700, 0o600));
            assert_eq!(mode(&state.join("plane.sqlite3-wal")), 0o600);
        }
    }

    #[test]
    fn links_and_special_files_are_never_written() {
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
        assert!(reason(&state).starts_with("it is shared by several users"));
        assert_eq!(mode(&state), 0o1777);
    }

    #[test]
    fn what_belongs_to_another_user_gets_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        drop(Sqlite::open(&state).unwrap());
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
