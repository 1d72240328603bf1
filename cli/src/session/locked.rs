//! Changing a session: whole or not there, at every moment and after every crash.
//!
//! New files are staged in a fresh folder and synced; one rename makes the stage `pending`, which is the commit
//! point. From there the files move to their stable places, `meta.json` last. Whoever next takes the lock finishes
//! a `pending` that a crash left; a reader without the lock takes it as "no session yet" and goes for the lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::session::hops;
use crate::session::meta::{Meta, Session};
use crate::session::store::{
    CERTIFICATE, CONFIG, Files, IDENTITY, KNOWN_HOSTS, META, PENDING, PUBLIC, host_key_alias, is_own_folder,
    is_settled, meta_in,
};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::lock::Lock;
use crate::sys::paths::Paths;
use crate::sys::platform;

/// The files that a `pending` may put into place.
const NAMES: [&str; 5] = [IDENTITY, PUBLIC, CERTIFICATE, KNOWN_HOSTS, CONFIG];

/// The sole right to change one session, until dropped.
#[derive(Debug)]
pub struct LockedSession<'a> {
    paths: &'a Paths,
    folder: PathBuf,
    lock: Lock,
}

impl<'a> LockedSession<'a> {
    /// The folder under its lock, with what a crash left half done finished.
    pub(super) fn new(paths: &'a Paths, folder: PathBuf, lock: Lock) -> Result<LockedSession<'a>> {
        let locked = LockedSession { paths, folder, lock };
        locked.recover()?;
        Ok(locked)
    }

    /// Gives up the lock, and its file with it.
    pub(super) fn forget(self) -> Result<()> {
        self.lock.remove()
    }

    /// The session as it stands.
    pub fn read(&self) -> Result<Option<Session>> {
        if !atomic_file::is_own_dir(self.paths.cache())? {
            return Ok(None);
        }
        let meta = meta_in(&self.folder)?.filter(|_| is_settled(&self.folder));
        Ok(meta.map(|meta| Session { meta, folder: self.folder.clone() }))
    }

    /// The session's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name under which the session's pins are kept: no other session has it.
    pub fn host_key_alias(&self) -> String {
        host_key_alias(&self.folder)
    }

    /// Makes `files` and `meta` the session; a failure leaves the old one as it was.
    pub fn commit(&self, mut meta: Meta, files: &Files) -> Result<Session> {
        if fs::symlink_metadata(&self.folder).is_ok_and(|metadata| metadata.is_symlink()) {
            let what = format!("{} is a link; sessions are not kept behind links", self.folder.named());
            return Err(Error::new(Code::Io, what).hint("remove the link"));
        }
        atomic_file::private_dir(&self.folder)?;
        meta.files = files.iter().map(|(name, content)| ((*name).to_owned(), sha256(content))).collect();
        self.stage(&meta, files).map_err(|error| {
            atomic_file::unkept(format_args!("write the session {}", self.folder.named()), error)
        })?;
        self.recover()?;
        Ok(Session { meta, folder: self.folder.clone() })
    }

    fn stage(&self, meta: &Meta, files: &Files) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".stage-").rand_bytes(16);
        if let Some(private) = platform::permissions(0o700) {
            builder.permissions(private);
        }
        let stage = builder.tempdir_in(&self.folder)?;
        for (name, content) in files {
            atomic_file::create_in_stage(&stage.path().join(name), content, 0o600)?;
        }
        atomic_file::create_in_stage(&stage.path().join(META), &serde_json::to_vec_pretty(meta)?, 0o600)?;
        platform::sync_dir(stage.path())?;
        fs::rename(stage.path(), self.folder.join(PENDING))?;
        let _ = stage.keep(); // it bears another name now, nothing is left to remove
        platform::sync_dir(&self.folder)
    }

    /// Moves a `pending` into place and removes stages that never got that far.
    fn recover(&self) -> Result<()> {
        self.roll_forward()
            .map_err(|error| Error::io(format_args!("complete the session {}", self.folder.named()), error))
    }

    fn roll_forward(&self) -> io::Result<()> {
        if !is_own_folder(&self.folder) {
            return Ok(()); // a link would lead out of the cache
        }
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for stale in entries.iter().filter(|name| name.as_encoded_bytes().starts_with(b".stage-")) {
            fs::remove_dir_all(self.folder.join(stale))?;
        }
        if !entries.iter().any(|name| name == PENDING) {
            return Ok(());
        }
        let pending = self.folder.join(PENDING);
        let meta = fs::read(pending.join(META)).ok().and_then(|bytes| Meta::parse(&bytes));
        if let Some(meta) = meta {
            if !meta.files.contains_key(CERTIFICATE) {
                remove_if_there(&self.folder.join(CERTIFICATE))?;
            }
            for name in meta
                .files
                .keys()
                .map(String::as_str)
                .filter(|name| NAMES.contains(name) || hops::is_file(name))
            {
                match fs::rename(pending.join(name), self.folder.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            platform::sync_dir(&self.folder)?;
            fs::rename(pending.join(META), self.folder.join(META))?;
        }
        fs::remove_dir_all(&pending)?;
        platform::sync_dir(&self.folder)
    }

    /// Removes the session's files and the lock. The folder itself is never followed when it is a link.
    pub fn remove(self) -> Result<()> {
        let removed = match fs::symlink_metadata(&self.folder) {
            Ok(metadata) if metadata.is_dir() => remove_all(&self.folder),
            Ok(_) => fs::remove_file(&self.folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|error| Error::io(format_args!("remove {}", self.folder.named()), error))?;
        self.lock.remove()
    }
}

/// A command that ends just now may still leave a file there: it holds no lock.
fn remove_all(folder: &Path) -> io::Result<()> {
    const MORE_TRIES: usize = 8;
    for _ in 0..MORE_TRIES {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
    fs::remove_dir_all(folder)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
