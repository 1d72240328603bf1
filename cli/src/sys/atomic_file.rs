//! Files that are replaced whole or not at all, and folders that are the owner's alone.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::sys::platform;

/// How many random characters the name of a temporary file has.
const RANDOM: usize = 16;

/// Replaces `path` by a file with these bytes and mode: a random `O_EXCL` name in the same folder, fsync, rename,
/// fsync of the folder. A failure or crash leaves what was there. A symbolic link at `path` is replaced, not followed.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    replace(path, bytes, mode).map_err(|error| unkept(format_args!("write {}", path.named()), error))
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    staged(path, bytes, mode)?.persist(path).map_err(|error| error.error)?;
    platform::sync_dir(folder_of(path)?)
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// As [`write()`], for what means nothing once this machine has been started anew: nothing waits for the disk.
pub fn write_unsynced(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let replaced = path.parent().ok_or(io::ErrorKind::InvalidInput.into()).and_then(|folder| {
        stage(folder, &prefix(path), bytes, mode)?.persist(path).map_err(|error| error.error)
    });
    replaced.map(|_| ()).map_err(|error: io::Error| unkept(format_args!("write {}", path.named()), error))
}

/// A synced temporary file beside `path` with these bytes and mode, to be renamed there; removed when dropped.
pub fn staged(path: &Path, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let file = stage(folder_of(path)?, &prefix(path), bytes, mode)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// What the names of `path`'s temporary files begin with.
fn prefix(path: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// Removes the temporary files that a crash left of [`write()`] to `path`. The caller knows that nobody is writing it.
pub fn sweep(path: &Path) -> Result<()> {
    sweep_older(path, Duration::ZERO)
}

/// As [`sweep`], where somebody may be writing it: what has lain there for a minute.
pub fn sweep_abandoned(path: &Path) -> Result<()> {
    sweep_older(path, Duration::from_secs(60))
}

fn sweep_older(path: &Path, age: Duration) -> Result<()> {
    let prefix = prefix(path);
    let is_stale = |name: &OsStr| {
        let random = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
    };
    let is_old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        age.is_zero() || modified.is_ok_and(|time| time.elapsed().is_ok_and(|found| found > age))
    };
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        if is_stale(&entry.file_name()) && is_old(&entry) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A temporary file in `folder` with these bytes and this mode, whatever the umask.
fn stage(folder: &Path, prefix: &OsStr, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).rand_bytes(RANDOM);
    let private = platform::permissions(0o600);
    if let Some(private) = &private {
        builder.permissions(private.clone());
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(permissions) = platform::permissions(mode) {
        file.as_file().set_permissions(permissions)?;
    }
    Ok(file)
}

/// Creates a new file with these bytes and mode and syncs it and its folder; an existing one is an error. Once it returns, a crash
/// leaves the file there: whoever comes later finds it.
pub fn create_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    create_in_stage(path, bytes, mode)?;
    platform::sync_dir(folder_of(path)?)
}

/// As [`create_new`], in a folder that the caller syncs once everything is there.
pub fn create_in_stage(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    staged(path, bytes, mode)?.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// The content of a small file of ours, `None` when there is none. More than `max` bytes is an error.
pub fn read(path: &Path, max: usize) -> Result<Option<Vec<u8>>> {
    let doing = || format!("read {}", path.named());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(Error::io(doing(), error)),
    };
    // Most fit, and are read at once; keys and tokens do, of which a growth would leave a part behind.
    let mut bytes = Vec::with_capacity(max.saturating_add(1).min(8192));
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(|error| Error::io(doing(), error))?;
    if bytes.len() > max {
        return Err(Error::new(Code::Io, format!("{} is larger than {max} bytes", path.named())));
    }
    Ok(Some(bytes))
}

/// Removes a file; one that is not there is fine.
pub fn remove(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(Error::io(format_args!("remove {}", path.named()), error)),
    }
}

/// Makes sure that `path` is a folder that this user owns and nobody else may enter, parents included where missing.
///
/// A folder of ours that is too open is closed. One of somebody else's is refused, as is a link to an open one.
pub fn private_dir(path: &Path) -> Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_private(path)
                .map_err(|error| unkept(format_args!("make the folder {}", path.named()), error))?;
            std::fs::symlink_metadata(path)
                .map_err(|error| Error::io(format_args!("read {}", path.named()), error))?
        }
        Err(error) => return Err(Error::io(format_args!("read {}", path.named()), error)),
    };
    let is_link = metadata.is_symlink();
    let metadata = if is_link {
        std::fs::metadata(path)
            .map_err(|error| Error::io(format_args!("follow the link {}", path.named()), error))?
    } else {
        metadata
    };
    if !metadata.is_dir() {
        return Err(refused(path, "is not a folder"));
    }
    if !platform::is_own(&metadata) {
        return Err(refused(path, "belongs to another user"));
    }
    if !platform::is_private(&metadata) {
        if is_link {
            return Err(refused(path, "is a link to a folder that others may read"));
        }
        platform::set_mode(path, 0o700)
            .map_err(|error| Error::io(format_args!("close {} to others", path.named()), error))?;
    }
    Ok(())
}

/// A fresh folder among the system's temporary ones, for this user alone whatever the umask; removed when dropped.
pub fn temporary_dir(prefix: &str) -> Result<tempfile::TempDir> {
    temporary_dir_in(&std::env::temp_dir(), prefix)
}

/// Whether this is the name of a folder that [`temporary_dir_in`] makes.
pub fn is_temporary_name(name: &str, prefix: &str) -> bool {
    let random = name.strip_prefix(prefix);
    random.is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// As [`temporary_dir`], in `folder`.
pub fn temporary_dir_in(folder: &Path, prefix: &str) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).rand_bytes(RANDOM);
    if let Some(private) = platform::permissions(0o700) {
        builder.permissions(private);
    }
    builder.tempdir_in(folder).map_err(|error| Error::io("make a temporary folder", error))
}

/// Whether the folder `path` is there. One of somebody else's is an error: nothing in it is believed.
pub fn is_own_dir(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => Err(refused(path, "is not a folder")),
        Ok(metadata) if !platform::is_own(&metadata) => Err(refused(path, "belongs to another user")),
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(Error::io(format_args!("read {}", path.named()), error)),
    }
}

/// The error for something of ours that could not be written, with a way out.
pub fn unkept(doing: impl std::fmt::Display, error: io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let hint = match error.kind() {
        ReadOnlyFilesystem | PermissionDenied => {
            "set XDG_CACHE_HOME and XDG_CONFIG_HOME to folders of your own that can be written"
        }
        StorageFull | QuotaExceeded => {
            "free some space there, or set XDG_CACHE_HOME and XDG_CONFIG_HOME to folders elsewhere"
        }
        _ => return Error::io(doing, error),
    };
    Error::io(doing, error).hint(hint)
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(Code::Io, format!("{} {why}, so nothing is kept there", path.named()))
        .hint("move it away, or set XDG_CACHE_HOME and XDG_CONFIG_HOME to folders of your own")
}

fn create_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
        && !parent.exists()
    {
        create_private(parent)?;
    }
    match platform::create_private_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn files_are_replaced_whole_links_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&other, "old").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&other, &path).unwrap();
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read(&other).unwrap(), b"old");
        assert!(!std::fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            ".token.0123456789abcdef",
            ".token.short",
            ".token.origin.0123456789abcdef",
            "token",
            ".other.0123456789abcdef",
        ] {
            std::fs::write(at(name), "x").unwrap();
        }
        sweep(&at("token")).unwrap();
        assert!(!at(".token.0123456789abcdef").exists());
        std::fs::write(at(".other.fedcba9876543210"), "x").unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(120);
        std::fs::File::options()
            .write(true)
            .open(at(".other.fedcba9876543210"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        sweep_abandoned(&at("other")).unwrap();
        assert!(!at(".other.fedcba9876543210").exists() && at(".other.0123456789abcdef").exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        sweep(&at("missing/token")).unwrap();
    }

    #[test]
    fn what_cannot_be_kept_has_a_way_out() {
        use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let hint = |kind: io::ErrorKind| unkept("write x", kind.into()).next_step().map(str::to_owned);
        for kind in [PermissionDenied, ReadOnlyFilesystem, StorageFull] {
            assert!(hint(kind).is_some_and(|hint| hint.contains("XDG_CACHE_HOME")), "{kind:?}");
        }
        assert_eq!(hint(NotFound), None);
    }

    #[cfg(unix)]
    #[test]
    fn open_folders_are_closed_and_links_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x/y");
        private_dir(&path).unwrap();
        platform::set_mode(&path, 0o755).unwrap();
        private_dir(&path).unwrap();
        assert!(platform::is_private(&std::fs::metadata(&path).unwrap()));
        platform::set_mode(&path, 0o755).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(private_dir(&link).unwrap_err().code(), Code::Io);
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(private_dir(&folder.path().join("file")).unwrap_err().code(), Code::Io);
    }
}
