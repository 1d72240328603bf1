//! A file of the user's that we edit: links are followed, its mode is kept, it is replaced whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
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
        let metadata = match std::fs::metadata(&target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(UserFile { target, content: None, mode: None });
            }
            Err(error) => return Err(Error::io(format_args!("read `{}`", target.display()), error)),
        };
        let refuse =
            |why: &str| Error::new(Code::Io, format!("`{}` {why}; it stays as it is", target.display()));
        if !metadata.is_file() {
            return Err(refuse("is not a file"));
        }
        if !platform::is_own(&metadata) {
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
    /// Fails when somebody has written it since it was read: neither change may be lost.
    pub fn replace(&self, content: Option<&[u8]>, mode: u32) -> Result<()> {
        if atomic_file::read(&self.target, MAX_BYTES)? != self.content {
            let what = format!("`{}` was changed by somebody else meanwhile", self.target.display());
            return Err(Error::new(Code::Error, what).hint("try again"));
        }
        let Some(content) = content else { return atomic_file::remove(&self.target).map(drop) };
        if let Some(folder) = self.target.parent()
            && !folder.exists()
        {
            atomic_file::private_dir(folder)?;
        }
        atomic_file::write(&self.target, content, mode)
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
    Err(Error::new(Code::Io, format!("`{}` is a link that leads in a circle", path.display())))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_target_of_a_link_is_written_and_the_link_stays() {
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

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(UserFile::open(folder.path()).unwrap_err().code(), Code::Io);
        symlink("circle", folder.path().join("circle")).unwrap();
        assert_eq!(UserFile::open(&folder.path().join("circle")).unwrap_err().code(), Code::Io);
    }
}
