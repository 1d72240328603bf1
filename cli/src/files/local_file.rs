//! A file of this machine in the making: beside its target, under a random name, until it takes the target's place.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Code, Error, Result};
use crate::files::place::{LocalTarget, judged_folder};
use crate::output::foreign::FileName as _;
use crate::sys::platform;

/// What all our temporary files and folders are called at first.
pub(super) const PREFIX: &str = ".runcode-";

/// How many random characters follow.
pub(super) const RANDOM: usize = 16;

/// How old something of ours is before it is taken for a killed process's: its maker has locked it long before.
#[cfg(unix)]
const ABANDONED_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

/// A file that is not there yet. Dropping it leaves nothing.
pub(super) struct LocalFile {
    target: PathBuf,
    staged: tempfile::NamedTempFile,
}

impl LocalFile {
    /// The file that is to be `target`; folders above it are made.
    pub(super) fn create(target: &LocalTarget) -> Result<LocalFile> {
        let (shown, path) = (target.path(), target.resolved()?);
        let found = std::fs::symlink_metadata(&path).ok();
        match found.map(|found| found.file_type()) {
            Some(there) if there.is_dir() => {
                return Err(Error::new(Code::Io, format!("{} is a folder", shown.named())));
            }
            // A device or a pipe that the file would take the place of. What is a link by now is below the user's path.
            Some(there) if !there.is_file() && !there.is_symlink() => {
                let what = format!("{} is neither a file nor a folder", shown.named());
                return Err(
                    Error::new(Code::Io, what).hint("to write to a device or a pipe, use `--out - >FILE`")
                );
            }
            _ => {}
        }
        let name =
            path.file_name().ok_or_else(|| write_error(&shown, std::io::ErrorKind::InvalidInput.into()))?;
        let parent = &judged_folder(parent_of(&path))?;
        let path = parent.join(name);
        sweep(parent);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).rand_bytes(RANDOM);
        if let Some(private) = platform::permissions(0o600) {
            builder.permissions(private);
        }
        let staged = builder.tempfile_in(parent).map_err(|error| write_error(&shown, error))?;
        mark_in_use(staged.as_file());
        Ok(LocalFile { target: path, staged })
    }

    /// Where its content goes.
    pub(super) fn file(&mut self) -> &mut File {
        self.staged.as_file_mut()
    }

    /// Puts it in its place; whether it got its mode and time, which not every file system has. What is a link by then is
    /// replaced, not followed.
    pub(super) fn commit(self, mode: u32, modified: Option<SystemTime>) -> Result<bool> {
        let failed = |error| write_error(&self.target, error);
        let is_as_asked = set_attributes(self.staged.as_file(), mode, modified).map_err(failed)?;
        self.staged.persist(&self.target).map_err(|error| write_error(&self.target, error.error))?;
        Ok(is_as_asked)
    }
}

/// Sets mode and time; whether the file system has them.
pub(super) fn set_attributes(file: &File, mode: u32, modified: Option<SystemTime>) -> std::io::Result<bool> {
    let mode = platform::permissions(mode & 0o777).map_or(Ok(()), |mode| file.set_permissions(mode));
    let time = modified.map_or(Ok(()), |time| file.set_modified(time));
    Ok(is_supported(mode)? & is_supported(time)?)
}

/// Whether the file system supports what was tried; any other failure stays one.
pub(super) fn is_supported(done: std::io::Result<()>) -> std::io::Result<bool> {
    use std::io::ErrorKind;
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

/// Opens a file to send that the user named: links to it are followed. A stream that the user opened for us (`/dev/stdin`,
/// `<(...)`) is read to its end; any other pipe or device is refused, since it may never give anything.
pub(super) fn open_named(path: &Path) -> Result<File> {
    let failed = |error| Error::io(format_args!("read {}", path.named()), error);
    let is_stream = ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|stream| path.starts_with(stream));
    if is_stream {
        return File::open(path).map_err(failed);
    }
    let file = open_at_once(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(neither(path)) }
}

/// Opens what may be a pipe that nobody writes to, without waiting for a writer (open(2), `O_NONBLOCK`).
fn open_at_once(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

fn neither(path: &Path) -> Error {
    Error::new(Code::Io, format!("{} is neither a file nor a folder", path.named()))
        .hint("send its content with: runcode write PATH < IT")
}

/// Says that a staged file or folder is being worked on, for as long as it is open: the kernel frees the lock of a process
/// that dies. Where there are no such locks nothing is said, and nothing swept.
pub(super) fn mark_in_use(staged: &File) {
    #[cfg(unix)]
    let _ = staged.try_lock_shared();
    #[cfg(windows)]
    let _ = staged; // a locked file could not be written there
}

/// Removes what killed processes of this user left in `folder`: old, called as ours are, and worked on by nobody.
pub(super) fn sweep(folder: &Path) {
    // Where others may rename what is ours, they could give it such a name.
    #[cfg(unix)]
    if !std::fs::metadata(folder)
        .is_ok_and(|folder| platform::is_own(&folder) && !platform::is_writable_by_others(&folder))
    {
        return;
    }
    #[cfg(unix)]
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let random = name.as_encoded_bytes().strip_prefix(PREFIX.as_bytes());
        if random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
        {
            let _ = remove_abandoned(&entry.path());
        }
    }
    #[cfg(windows)]
    let _ = folder;
}

#[cfg(unix)]
fn remove_abandoned(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let found = std::fs::symlink_metadata(path)?;
    let is_old = found.modified()?.elapsed().is_ok_and(|age| age > ABANDONED_AFTER);
    if !is_old || !platform::is_own(&found) || !(found.is_file() || found.is_dir()) {
        return Ok(());
    }
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let open = File::options().read(true).custom_flags(flags).open(path)?;
    if open.try_lock().is_err() {
        return Ok(());
    }
    if found.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// The path of the folder that `target` is in.
pub(super) fn parent_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and those above it, where they are missing.
pub(super) fn made_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::io(format_args!("make the folder {}", folder.named()), error))
}

pub(super) fn write_error(target: &Path, error: std::io::Error) -> Error {
    Error::io(format_args!("write {}", target.named()), error)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn what_a_file_system_lacks_is_no_failure() {
        use std::io::{Error, ErrorKind};
        assert!(is_supported(Ok(())).unwrap());
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Unsupported] {
            assert!(!is_supported(Err(Error::from(kind))).unwrap());
        }
        assert!(is_supported(Err(Error::from(ErrorKind::StorageFull))).is_err());
    }

    #[test]
    fn leftovers_are_swept_files_in_use_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * ABANDONED_AFTER;
        let at = |name: &str| folder.path().join(name);
        let abandoned = at(".runcode-0123456789abcdef");
        let (fresh, other) = (at(".runcode-fedcba9876543210"), at(".runcode-mine"));
        for path in [&abandoned, &fresh, &other] {
            File::create(path).unwrap();
        }
        let tree = at(".runcode-aaaaaaaaaaaaaaaa");
        std::fs::create_dir_all(tree.join("t/x")).unwrap();
        let mut living = LocalFile::create(&LocalTarget::Given(at("target"))).unwrap();
        living.file().set_modified(long_ago).unwrap();
        for path in [&abandoned, &other, &tree] {
            File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        sweep(folder.path());
        assert!(!abandoned.exists() && !tree.exists());
        assert!(fresh.exists() && other.exists() && living.staged.path().exists());
    }
}
