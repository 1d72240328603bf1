//! Where what is fetched goes: the path that the user gave is followed as always, and nothing below it is.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::files::local_file::{made_folder, write_error};
use crate::files::local_name;
use crate::sys::folder::Folder;

/// Where what is fetched goes, as the user gave it.
#[derive(Debug, Clone)]
pub enum Place {
    /// To stdout; files alone.
    Stdout,
    /// To this name; a file goes into it when it is a folder.
    As(PathBuf),
    /// Into this folder.
    Into(PathBuf),
}

impl Place {
    /// What a user means by `path`, for one thing or for several.
    pub fn parse(path: &Path, several: bool) -> Place {
        let bytes = path.as_os_str().as_encoded_bytes();
        let last = bytes.rsplit(|&byte| byte == b'/' || (cfg!(windows) && byte == b'\\')).next();
        match last {
            Some(b"" | b"." | b"..") => Place::Into(path.to_owned()),
            _ if several => Place::Into(path.to_owned()),
            _ => Place::As(path.to_owned()),
        }
    }

    /// Where the file that is called `name` on the workspace goes; none for stdout.
    pub(super) fn of_file(&self, name: Option<&[u8]>) -> Result<Option<LocalTarget>> {
        Ok(match self {
            Place::Stdout => None,
            Place::As(path) if !path.is_dir() => Some(LocalTarget::Given(path.clone())),
            Place::As(path) | Place::Into(path) => Some(LocalTarget::Below(path.clone(), local(name)?)),
        })
    }

    /// Where the folder that is called `name` on the workspace goes; none for stdout.
    pub(super) fn of_folder(&self, name: Option<&[u8]>) -> Result<Option<LocalTarget>> {
        Ok(match (self, name) {
            (Place::Stdout, _) => None,
            (Place::As(path), _) | (Place::Into(path), None) => Some(LocalTarget::Given(path.clone())),
            (Place::Into(path), Some(_)) => Some(LocalTarget::Below(path.clone(), local(name)?)),
        })
    }
}

fn local(name: Option<&[u8]>) -> Result<OsString> {
    name.and_then(local_name::component).ok_or_else(|| {
        Error::new(Code::Usage, "what is fetched has no name that this machine can use")
            .hint("name the target: --out NAME")
    })
}

/// A place for one file or folder.
#[derive(Debug, Clone)]
pub(super) enum LocalTarget {
    /// The path that the user gave: links in it are followed, also the last.
    Given(PathBuf),
    /// A name in the folder that the user gave: a link of that name is not followed.
    Below(PathBuf, OsString),
}

impl LocalTarget {
    /// Its path.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            LocalTarget::Given(path) => path.clone(),
            LocalTarget::Below(folder, name) => folder.join(name),
        }
    }

    /// Whether a folder is there. What is below is in a folder that is made.
    pub(super) fn is_folder(&self) -> Result<bool> {
        match self {
            LocalTarget::Given(path) => Ok(path.is_dir()),
            LocalTarget::Below(folder, name) => {
                made_folder(folder)?;
                Ok(fs::symlink_metadata(folder.join(name)).is_ok_and(|found| found.is_dir()))
            }
        }
    }

    /// Opens the folder that is there.
    pub(super) fn open(&self) -> io::Result<Folder> {
        match self {
            LocalTarget::Given(path) => Folder::open(path),
            LocalTarget::Below(folder, name) => Folder::open(folder)?.folder(name),
        }
    }

    /// The path of the file to write: where the links lead that the user gave. A link to nothing is followed too, as by a
    /// shell's `>`.
    pub(super) fn resolved(&self) -> Result<PathBuf> {
        const CHAIN: usize = 40;
        let LocalTarget::Given(path) = self else { return Ok(self.path()) };
        let mut path = path.clone();
        for _ in 0..CHAIN {
            let Ok(leads) = fs::read_link(&path) else { return Ok(path) };
            let folder = path.parent().unwrap_or(Path::new(""));
            path = folder.join(leads);
        }
        Err(write_error(&path, io::Error::other("too many levels of symbolic links")))
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn given_links_are_followed_and_others_not() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::create_dir(at("d")).unwrap();
        symlink("d", at("l")).unwrap();
        symlink("l/file", at("f")).unwrap();
        symlink("f", at("g")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let given = |name: &str| LocalTarget::Given(at(name));
        assert_eq!(given("g").resolved().unwrap(), at("l/file"));
        assert!(given("loop").resolved().is_err());
        assert!(given("l").is_folder().unwrap());
        let below = |name: &str| LocalTarget::Below(top.path().to_owned(), name.into());
        assert_eq!(below("g").resolved().unwrap(), at("g"));
        assert!(!below("l").is_folder().unwrap() && below("l").open().is_err());
        assert!(below("d").is_folder().unwrap() && below("d").open().is_ok());
        let place = Place::parse(&at("l/"), false);
        assert!(matches!(place.of_file(Some(b"x")).unwrap(), Some(LocalTarget::Below(..))));
        assert!(place.of_file(Some(b"..")).is_err() && place.of_file(None).is_err());
    }
}
