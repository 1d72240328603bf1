//! Folders that are held open: what lies below one is reached name by name, and no symbolic link there is ever followed
//! (openat(2) with `O_NOFOLLOW`; the rules of `RESOLVE_NO_SYMLINKS`, openat2(2), on every Unix).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawMode, Timespec, Timestamps};
use rustix::io::Errno;

use super::{FileKind, Found};

/// The mode and the modification time of a folder.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    mode: RawMode,
    seconds: i64,
    nanos: i64,
}

impl Attributes {
    /// Permission bits and the sticky one, and seconds since 1970.
    pub fn new(mode: u32, seconds: u64) -> Attributes {
        let mode = (mode & 0o1777) as RawMode;
        Attributes { mode, seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 }
    }
}

/// An open folder. Each name that its methods take is one component: never `.`, `..` or a path.
#[derive(Debug)]
pub struct Folder(OwnedFd);

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens the folder that `path` leads to; links in it are followed.
    pub fn open(path: &Path) -> io::Result<Folder> {
        Ok(Folder(rustix::fs::openat(CWD, path, OPEN, Mode::empty())?))
    }

    /// Opens the folder that `path` leads to for what is done in it by name: that it can be listed is not needed.
    pub fn open_to_use(path: &Path) -> io::Result<Folder> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let flags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let flags = OPEN;
        Ok(Folder(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Makes a folder `name` for this user alone and opens it. Whoever else may write to this folder can put another in its place,
    /// which is an error: it has to be empty, ours, and closed to others.
    pub fn make_private_folder(&self, name: &OsStr) -> io::Result<Folder> {
        rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?;
        let folder = self.folder(name)?;
        if folder.is_own()? && folder.names()?.next().is_none() {
            Ok(folder)
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else changed the folder meanwhile"))
        }
    }

    /// Whether nobody but this user may change what is in it, as far as its file system can say: what is made in it shows that.
    fn is_own(&self) -> io::Result<bool> {
        const OTHERS_WRITE: u32 = 0o022;
        let user = rustix::process::geteuid().as_raw();
        let is_own = |found: &rustix::fs::Stat| {
            found.st_uid == user && found.st_mode as RawMode & OTHERS_WRITE as RawMode == 0
        };
        if is_own(&rustix::fs::fstat(&self.0)?) {
            return Ok(true);
        }
        let name = OsStr::new(".runcode-owner");
        let file = self.make_file(name)?;
        let _ = rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR);
        let are_owners_kept = is_own(&rustix::fs::fstat(&file)?);
        self.remove(name)?;
        Ok(!are_owners_kept)
    }

    /// Removes everything in it, following no link, as far as that is possible.
    pub fn clear(&self) -> io::Result<()> {
        for name in self.names()?.collect::<io::Result<Vec<_>>>()? {
            if self.kind(&name)? == Some(FileKind::Folder) {
                self.folder(&name)?.clear()?;
                self.remove_folder(&name)?;
            } else {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Removes the empty folder `name`.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// As a file, to lock it.
    pub fn as_file(&self) -> Option<File> {
        self.0.try_clone().ok().map(File::from)
    }

    /// Opens the folder `name` in this one. A link to a folder is an error.
    pub fn folder(&self, name: &OsStr) -> io::Result<Folder> {
        Ok(Folder(rustix::fs::openat(&self.0, name, OPEN | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// Opens the folder that this one is in.
    pub fn parent(&self) -> io::Result<Folder> {
        self.folder(OsStr::new(".."))
    }

    /// Opens this folder once more.
    pub fn again(&self) -> io::Result<Folder> {
        Ok(Folder(self.0.try_clone()?))
    }

    /// Makes the folder `name`.
    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777))?)
    }

    /// Makes the file `name`, which must not be there.
    pub fn make_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    /// Makes the symbolic link `name` to `target`; whether this system has them.
    pub fn make_link(&self, name: &OsStr, target: &[u8]) -> io::Result<bool> {
        rustix::fs::symlinkat(OsStr::from_bytes(target), &self.0, name)?;
        Ok(true)
    }

    /// Gives the file `from` in the folder `at` the second name `name`, in this folder.
    pub fn make_hard_link(&self, name: &OsStr, at: &Folder, from: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::linkat(&at.0, from, &self.0, name, AtFlags::empty())?)
    }

    /// What `name` stands for; `None` when nothing is there.
    pub fn kind(&self, name: &OsStr) -> io::Result<Option<FileKind>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(about(&found).kind)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The metadata of `name`.
    pub fn find(&self, name: &OsStr) -> io::Result<Found> {
        Ok(about(&rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// The metadata of the folder itself.
    pub fn find_itself(&self) -> io::Result<Found> {
        Ok(about(&rustix::fs::fstat(&self.0)?))
    }

    /// Opens the folder at `path` below this one; `path` has only plain names. A link on the way is an error.
    pub fn below(&self, path: &Path) -> io::Result<Folder> {
        path.components().try_fold(self.again()?, |folder, part| match part {
            Component::Normal(name) => folder.folder(name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
    }

    /// Opens the file `name` to read. Does not wait for a pipe (open(2), `O_NONBLOCK`); a link is an error.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// Where the symbolic link `name` leads.
    pub fn read_link(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name, Vec::new())?.into_bytes())
    }

    /// Removes the file or link `name`.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Moves `name` into the folder `to`, where it takes the place of a file or link.
    pub fn rename(&self, name: &OsStr, to: &Folder, new: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new)?)
    }

    /// The names in it.
    pub fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
        let entries = rustix::fs::Dir::read_from(&self.0)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) => {
                let name = entry.file_name().to_bytes();
                (!matches!(name, b"." | b"..")).then(|| Ok(OsString::from_vec(name.to_vec())))
            }
            Err(errno) => Some(Err(errno.into())),
        }))
    }

    /// Its mode and time.
    pub fn attributes(&self) -> io::Result<Attributes> {
        let found = rustix::fs::fstat(&self.0)?;
        Ok(Attributes {
            mode: found.st_mode as RawMode & 0o1777,
            seconds: found.st_mtime as i64,
            nanos: found.st_mtime_nsec as i64,
        })
    }

    /// Sets its mode, and its time where a clock can show that. The owner can always use the folder.
    pub fn set_attributes(&self, attributes: Attributes) -> io::Result<()> {
        rustix::fs::fchmod(&self.0, Mode::from_raw_mode(attributes.mode | 0o700))?;
        if attributes.seconds >= 1 << 33 {
            return Ok(()); // the year 2242
        }
        let omitted = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let modified = Timespec { tv_sec: attributes.seconds, tv_nsec: attributes.nanos as _ };
        let times = Timestamps { last_access: omitted, last_modification: modified };
        Ok(rustix::fs::futimens(&self.0, &times)?)
    }
}

/// As many bits as a mode has on any system.
type Bits = u32;

fn about(found: &rustix::fs::Stat) -> Found {
    let since = u64::try_from(found.st_mtime).ok().zip(u32::try_from(found.st_mtime_nsec).ok());
    Found {
        kind: match FileType::from_raw_mode(found.st_mode as RawMode) {
            FileType::Directory => FileKind::Folder,
            FileType::RegularFile => FileKind::File,
            FileType::Symlink => FileKind::Link,
            _ => FileKind::Other,
        },
        mode: found.st_mode as Bits & 0o7777,
        size: u64::try_from(found.st_size).unwrap_or_default(),
        modified: since.and_then(|(secs, nanos)| UNIX_EPOCH.checked_add(Duration::new(secs, nanos))),
    }
}

/// Lets this process have as many files open as the system allows: a deep tree takes several for each level.
pub fn allow_many_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // macOS refuses more than its OPEN_MAX, whatever the maximum says (setrlimit(2)).
    for wanted in [maximum, Some(10_240)] {
        if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }).is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_of_others_is_none_of_ours() {
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let (folder, name) = (Folder::open_to_use(top.path()).unwrap(), OsStr::new);
        let made = folder.make_private_folder(name("made")).unwrap();
        assert_eq!(std::fs::metadata(top.path().join("made")).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(made.is_own().unwrap() && folder.make_private_folder(name("made")).is_err());
        for mode in [0o777, 0o720] {
            std::fs::set_permissions(top.path().join("made"), std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(!made.is_own().unwrap(), "{mode:o}");
        }
        std::fs::set_permissions(top.path().join("made"), std::fs::Permissions::from_mode(0o700)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(top.path().join("made"), Some(54_321), None).unwrap();
            assert!(!made.is_own().unwrap());
        }
        assert_eq!(std::fs::read_dir(top.path().join("made")).unwrap().count(), 0);
    }

    #[test]
    fn clearing_follows_no_link() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(top.path().join("a/b/c")).unwrap();
        std::fs::write(top.path().join("a/b/file"), "").unwrap();
        std::fs::write(outside.path().join("file"), "mine").unwrap();
        symlink(outside.path(), top.path().join("a/b/l")).unwrap();
        Folder::open(top.path()).unwrap().clear().unwrap();
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 0);
        assert!(outside.path().join("file").exists());
    }

    #[test]
    fn nothing_below_an_open_folder_is_followed() {
        let top = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "mine").unwrap();
        symlink(outside.path(), top.path().join("l")).unwrap();
        symlink(outside.path().join("file"), top.path().join("f")).unwrap();
        let (folder, name) = (Folder::open(top.path()).unwrap(), OsStr::new);
        assert!(folder.folder(name("l")).is_err());
        assert!(folder.make_file(name("f")).is_err());
        assert_eq!(folder.kind(name("l")).unwrap(), Some(FileKind::Link));
        folder.make_hard_link(name("twin"), &folder, name("f")).unwrap();
        assert_eq!(folder.kind(name("twin")).unwrap(), Some(FileKind::Link));
        folder.make_file(name("new")).unwrap();
        folder.rename(name("new"), &folder, name("f")).unwrap();
        assert_eq!(folder.kind(name("f")).unwrap(), Some(FileKind::File));
        assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), b"mine");
    }
}
