//! What is sent from this machine, each item reached from a folder that is held open. No link below it is followed, even if
//! somebody replaces a folder with a link while the rest is sent.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::exchange::CHUNK;
use crate::files::hashing::{self, Stop};
use crate::files::progress::Progress;
use crate::sys::folder::{Folder, Found};

/// A place at or below a folder that is held open.
#[derive(Debug, Clone)]
pub(super) struct Local {
    top: Arc<Folder>,
    /// Its path within that folder; empty for the folder itself.
    below: PathBuf,
    /// Its path, for people.
    shown: PathBuf,
}

impl Local {
    /// What `path` leads to, if that is a folder; links are followed.
    pub(super) fn of_folder(path: &Path) -> io::Result<Local> {
        Ok(Local { top: Arc::new(Folder::open(path)?), below: PathBuf::new(), shown: path.to_owned() })
    }

    /// Whatever is at `path`; links above it are followed.
    pub(super) fn of_file(path: &Path) -> io::Result<Local> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Local { top: Arc::new(Folder::open_to_use(above)?), below: name.into(), shown: path.to_owned() })
    }

    /// What is at `path` below it.
    pub(super) fn at(&self, path: &Path) -> Local {
        // Joining an empty path would add a trailing slash.
        let join = |to: &Path| if path.as_os_str().is_empty() { to.to_owned() } else { to.join(path) };
        Local { top: Arc::clone(&self.top), below: join(&self.below), shown: join(&self.shown) }
    }

    /// Its path, for people and patterns.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// The SHA-256 of the file.
    pub(super) fn sha256(&self) -> io::Result<String> {
        let mut from = io::BufReader::with_capacity(CHUNK, Opened::default().file(self)?);
        match hashing::pump(&mut from, &mut io::sink(), &mut Progress::new(None)) {
            Ok((_, sha256)) => Ok(sha256),
            Err(Stop::Read(error) | Stop::Write(error)) => Err(error),
        }
    }
}

/// The folder that was used last, which stays open: most of what follows is in it.
#[derive(Debug, Default)]
pub(super) struct Opened(Option<(Arc<Folder>, PathBuf, Folder)>);

impl Opened {
    /// Opens a file to send. A pipe, a device or a link in its place is an error.
    pub(super) fn file(&mut self, local: &Local) -> io::Result<File> {
        let file = match self.above(local)? {
            Some((folder, name)) => folder.open_file(name)?,
            None => return Err(io::ErrorKind::IsADirectory.into()),
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no longer a file")) }
    }

    /// Its metadata; for a link, that of the link itself.
    pub(super) fn find(&mut self, local: &Local) -> io::Result<Found> {
        match self.above(local)? {
            Some((folder, name)) => folder.find(name),
            None => local.top.find_itself(),
        }
    }

    /// Where a link leads.
    pub(super) fn read_link(&mut self, local: &Local) -> io::Result<Vec<u8>> {
        let (folder, name) = self.above(local)?.ok_or(io::ErrorKind::InvalidInput)?;
        folder.read_link(name)
    }

    /// The names in a folder.
    pub(super) fn names(&mut self, local: &Local) -> io::Result<Vec<OsString>> {
        self.folder(&local.top, &local.below)?.names()?.collect()
    }

    /// The folder that it is in, and its name there; `None` for the folder that is held open.
    fn above<'a>(&'a mut self, local: &'a Local) -> io::Result<Option<(&'a Folder, &'a OsStr)>> {
        let (Some(above), Some(name)) = (local.below.parent(), local.below.file_name()) else {
            return Ok(None);
        };
        Ok(Some((self.folder(&local.top, above)?, name)))
    }

    fn folder<'a>(&'a mut self, top: &'a Arc<Folder>, path: &Path) -> io::Result<&'a Folder> {
        if path.as_os_str().is_empty() {
            return Ok(top);
        }
        let last = match self.0.take() {
            Some(last) if Arc::ptr_eq(&last.0, top) && last.1 == path => last,
            _ => (Arc::clone(top), path.to_owned(), top.below(path)?),
        };
        Ok(&self.0.insert(last).2)
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Somebody who may write above a folder replaces it with a link, while the rest is listed and sent.
    #[test]
    fn nothing_is_read_through_a_swapped_folder() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        for folder in ["source/sub/deep", "victim/deep"] {
            fs::create_dir_all(at(folder)).unwrap();
            for file in ["key", "deep/key"] {
                let path = if folder.starts_with("victim") { "victim" } else { "source/sub" };
                fs::write(at(path).join(file), path).unwrap();
            }
        }
        symlink("key", at("victim/link")).unwrap();
        let source = Local::of_folder(&at("source")).unwrap();
        let local = |path: &str| source.at(Path::new(path));
        let mut kept = Opened::default();
        assert_eq!(io::read_to_string(kept.file(&local("sub/key")).unwrap()).unwrap(), "source/sub");
        fs::rename(at("source/sub"), at("away")).unwrap();
        symlink(at("victim"), at("source/sub")).unwrap();
        // What was open is unchanged; what is opened now is not reached.
        assert_eq!(io::read_to_string(kept.file(&local("sub/key")).unwrap()).unwrap(), "source/sub");
        for path in ["sub/key", "sub/deep/key", "sub/link"] {
            assert!(Opened::default().file(&local(path)).is_err(), "{path}");
            assert!(Opened::default().find(&local(path)).is_err(), "{path}");
            assert!(Opened::default().read_link(&local(path)).is_err(), "{path}");
            assert!(local(path).sha256().is_err(), "{path}");
        }
        assert!(Opened::default().names(&local("sub")).is_err());
        // All of it is moved away: what was opened first is what is sent.
        fs::remove_file(at("source/sub")).unwrap();
        fs::rename(at("away"), at("source/sub")).unwrap();
        fs::rename(at("source"), at("gone")).unwrap();
        symlink(at("victim"), at("source")).unwrap();
        assert_eq!(local("sub/deep/key").sha256().unwrap(), crate::files::hashing::sha256(b"source/sub"));
        assert!(Opened::default().file(&local("key")).is_err());
        // A file that was named by itself stays the one in its folder.
        let file = Local::of_file(&at("gone/sub/key")).unwrap();
        fs::rename(at("gone/sub"), at("gone/other")).unwrap();
        symlink(at("victim"), at("gone/sub")).unwrap();
        assert_eq!(file.sha256().unwrap(), crate::files::hashing::sha256(b"source/sub"));
    }
}
