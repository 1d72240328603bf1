//! A file of the user's that we edit: links are followed, its mode is kept, it is replaced whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::sys::{atomic_file, platform};

/// The largest file that is edited, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// How many links are followed, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A file as it was when it was read.
#[derive(Debug)]
pub struct UserFile {
    target: PathBuf,
    content: Option<Vec<u8>>,
    mode: Option<u32>,
}

impl UserFile {
    /// Reads the file that `path` names in the end; one that is not there has no content.
    ///
    /// Fails when that is no plain file, or somebody else's.
    pub fn open(path: &Path) -> Result<UserFile> {
        let target = follow(path)?;
        clear_up(&target);
        UserFile::read(target, true)
    }

    /// Reads it only to show what would change, so it may belong to somebody else, such as a package manager.
    pub fn look(path: &Path) -> Result<UserFile> {
        UserFile::read(follow(path)?, false)
    }

    fn read(target: PathBuf, must_be_own: bool) -> Result<UserFile> {
        let metadata = match std::fs::metadata(&target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(UserFile { target, content: None, mode: None });
            }
            Err(error) => return Err(Error::io(format_args!("read {}", target.named()), error)),
        };
        let refuse = |why: &str| Error::new(Code::Io, format!("{} {why}; it stays as it is", target.named()));
        if !metadata.is_file() {
            return Err(refuse("is not a file"));
        }
        if must_be_own && !platform::is_own(&metadata) {
            return Err(refuse("belongs to another user"));
        }
        let content = atomic_file::read(&target, MAX_BYTES)?;
        Ok(UserFile { content, mode: Some(platform::mode_of(&metadata)), target })
    }

    /// Where the file is, links followed.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Its bytes; `None` when there is no file.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// Its mode bits, or `otherwise` when there is no file.
    pub fn mode_or(&self, otherwise: u32) -> u32 {
        self.mode.unwrap_or(otherwise)
    }

    /// Replaces the file, or removes it for `None`. Its folder is made, for the owner alone, when it is missing.
    ///
    /// Fails when somebody has written it since it was read: neither change may be lost. A program that opened the file
    /// before and writes into it afterwards is not seen, and where two files cannot change names in one step, nor is one
    /// that replaces it in the moment between the last look and the rename.
    pub fn replace(&self, content: Option<&[u8]>, mode: u32) -> Result<()> {
        let is_unchanged = self.is_at(&self.target)?
            && match (content, &self.content) {
                (None, None) => Ok(true),
                (None, Some(_)) => self.take_away(),
                (Some(content), None) => self.create(content, mode),
                (Some(content), Some(_)) => self.exchange(content, mode),
            }
            .map_err(|error| Error::io(format_args!("write {}", self.target.named()), error))?;
        if is_unchanged {
            return Ok(());
        }
        let what = format!("{} was changed by another program in the meantime", self.target.named());
        Err(Error::new(Code::Error, what).hint("try again"))
    }

    /// Whether what was read is what `path` holds.
    fn is_at(&self, path: &Path) -> Result<bool> {
        Ok(atomic_file::read(path, MAX_BYTES)? == self.content)
    }

    fn create(&self, content: &[u8], mode: u32) -> io::Result<bool> {
        if let Some(folder) = self.target.parent()
            && !folder.exists()
        {
            atomic_file::private_dir(folder).map_err(io::Error::other)?;
        }
        match atomic_file::create_new(&self.target, content, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Puts the new file in the old one's place and looks at what came out: if it is not what was read, it goes back.
    fn exchange(&self, content: &[u8], mode: u32) -> io::Result<bool> {
        let staged = atomic_file::staged(&self.target, content, mode)?;
        if platform::exchange(staged.path(), &self.target)? {
            // From here on this is what was there, and nothing removes it unseen.
            let (_, theirs) = staged.keep().map_err(|error| error.error)?;
            let looked = self.is_at(&theirs);
            if !matches!(looked, Ok(true)) {
                platform::exchange(&theirs, &self.target).map_err(|error| set_aside(&theirs, &error))?;
                if std::fs::read(&theirs)? != content {
                    return Err(set_aside(&theirs, &"other programs wrote it twice in the meantime"));
                }
            }
            std::fs::remove_file(&theirs)?;
            if !looked.map_err(io::Error::other)? {
                return Ok(false);
            }
        } else {
            if !self.is_at(&self.target).map_err(io::Error::other)? {
                return Ok(false);
            }
            staged.persist(&self.target).map_err(|error| error.error)?;
        }
        self.sync().map(|()| true)
    }

    /// Moves the file away, looks at it, and only then removes it.
    fn take_away(&self) -> io::Result<bool> {
        let aside = atomic_file::staged(&self.target, b"", 0o600)?;
        std::fs::rename(&self.target, aside.path())?;
        let looked = self.is_at(aside.path());
        if !matches!(looked, Ok(true)) {
            if let Err(error) = aside.into_temp_path().persist_noclobber(&self.target) {
                let theirs = error.path.keep().map_err(|error| error.error)?;
                return Err(set_aside(&theirs, &error.error));
            }
            return looked.map_err(io::Error::other);
        }
        self.sync().map(|()| true)
    }

    /// Makes the change last through a crash.
    fn sync(&self) -> io::Result<()> {
        self.target.parent().map_or(Ok(()), platform::sync_dir)
    }
}

/// Removes what a killed command left beside the file and its backup. That it cannot be removed is no reason to stop.
fn clear_up(target: &Path) {
    let mut backup = target.to_owned().into_os_string();
    backup.push(".bak");
    for path in [target, Path::new(&backup)] {
        let _ = atomic_file::sweep_abandoned(path);
    }
}

/// What `path` names when every link at its end is followed, whether or not there is anything.
fn follow(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&path) {
            Ok(link) => path = path.parent().map(|folder| folder.join(&link)).unwrap_or(link),
            Err(_) => return Ok(path), // no link, or nothing there
        }
    }
    Err(Error::new(Code::Io, format!("{} is a link that leads back to itself", path.named())))
}

/// Keeps a file of somebody else's that could not go back to its place, under a name that nothing clears up; why, and
/// where it is.
fn set_aside(theirs: &Path, why: &dyn std::fmt::Display) -> io::Error {
    let mut kept = theirs.to_owned().into_os_string();
    kept.push(".kept");
    let kept = match std::fs::rename(theirs, &kept) {
        Ok(()) => PathBuf::from(kept),
        Err(_) => theirs.to_owned(),
    };
    io::Error::other(format!("{why}; what was there is now in {}", kept.named()))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn writing_through_a_link_keeps_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let (link, real) = (folder.path().join("config"), folder.path().join("dotfiles/config"));
        symlink("hop", &link).unwrap();
        symlink("dotfiles/config", folder.path().join("hop")).unwrap();
        let file = UserFile::open(&link).unwrap();
        assert_eq!((file.content(), file.mode_or(0o600)), (None, 0o600));
        file.replace(Some(b"new"), 0o640).unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(UserFile::open(&link).unwrap().mode_or(0), 0o640);
    }

    #[test]
    fn a_change_by_somebody_else_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "old").unwrap();
        let file = UserFile::open(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(file.replace(Some(b"ours"), 0o600).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
    }

    /// The moment after the last look, when only what comes out of the exchange tells.
    #[test]
    fn a_last_moment_change_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let attempts: [fn(&UserFile) -> io::Result<bool>; 2] =
            [|file| file.exchange(b"ours", 0o600), UserFile::take_away];
        for attempt in attempts {
            std::fs::write(&path, "old").unwrap();
            let file = UserFile::open(&path).unwrap();
            std::fs::write(&path, "theirs").unwrap();
            assert!(!attempt(&file).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
            let file = UserFile::open(&path).unwrap();
            assert!(attempt(&file).unwrap());
        }
        assert!(!path.exists());
        let missing = UserFile::open(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(!missing.create(b"ours", 0o600).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn what_is_set_aside_is_not_cleared_up_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let (_, theirs) = atomic_file::staged(&path, b"theirs", 0o600).unwrap().keep().unwrap();
        let told = set_aside(&theirs, &"it was written twice").to_string();
        let kept = theirs.with_file_name(format!("{}.kept", theirs.file_name().unwrap().display()));
        assert!(told.ends_with(&format!("`{}`", kept.display())), "{told}");
        atomic_file::sweep(&path).unwrap();
        assert_eq!(std::fs::read(kept).unwrap(), b"theirs");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(UserFile::open(folder.path()).unwrap_err().code(), Code::Io);
        symlink("circle", folder.path().join("circle")).unwrap();
        assert_eq!(UserFile::open(&folder.path().join("circle")).unwrap_err().code(), Code::Io);
    }
}
