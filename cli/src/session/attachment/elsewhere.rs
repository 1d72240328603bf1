//! Caches in which a folder is routed, besides the usual one. A project's settings can set `XDG_CACHE_HOME` and so hide such a cache.
//! The notes are below the home folder in the password database, which no variable can change. `plugin/attached` reads them, too.

use std::path::PathBuf;

use crate::error::{Code, Error, Result};
use crate::sys::env::Env;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;
use crate::sys::{atomic_file, project};

const MAX_FILE: usize = 64 << 10;

/// The user's folders, whatever the environment says.
fn usual() -> Option<Paths> {
    let home = Env::test_home().map(PathBuf::from).or_else(project::home);
    home.map(|home| Paths::below(&home))
}

/// The usual cache and those that were noted.
pub fn caches() -> Result<Vec<Paths>> {
    let Some(usual) = usual() else { return Ok(Vec::new()) };
    let noted = noted(&usual)?.into_iter().map(|cache| usual.clone().with(None, Some(cache)));
    Ok(noted.chain([usual.clone()]).collect())
}

/// Notes this cache, before a folder in it is routed.
pub(super) fn remember(paths: &Paths) -> Result<()> {
    let Some(usual) = usual().filter(|usual| usual.cache() != paths.cache()) else { return Ok(()) };
    let cache = paths.cache();
    if !cache.to_str().is_some_and(|text| cache.is_absolute() && !text.contains('\n')) {
        return Err(Error::new(
            Code::Conflict,
            "no folder can be routed: the path of your cache is relative, not Unicode, or has a line break",
        )
        .hint("set XDG_CACHE_HOME to another folder, or unset it"));
    }
    atomic_file::private_dir(usual.cache())?;
    change(&usual, |caches| {
        if caches.iter().any(|noted| noted == cache) {
            return false;
        }
        caches.push(cache.to_owned());
        true
    })
}

/// Forgets this cache, in which nothing is routed any more. If that fails, the note stays, which does no harm.
pub(super) fn forget(paths: &Paths) {
    let Some(usual) = usual().filter(|usual| usual.cache() != paths.cache()) else { return };
    let _ = change(&usual, |caches| {
        let before = caches.len();
        caches.retain(|noted| noted != paths.cache());
        caches.len() < before
    });
}

fn noted(usual: &Paths) -> Result<Vec<PathBuf>> {
    if !atomic_file::is_own_dir(usual.cache())? {
        return Ok(Vec::new());
    }
    let bytes = atomic_file::read(&usual.routed_caches(), MAX_FILE)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .map(PathBuf::from)
        .filter(|cache| cache.is_absolute())
        .collect())
}

fn change(usual: &Paths, change: impl FnOnce(&mut Vec<PathBuf>) -> bool) -> Result<()> {
    let file = usual.routed_caches();
    if !atomic_file::is_own_dir(usual.cache())? {
        return Ok(());
    }
    let _lock = Lock::acquire(&usual.attachments_lock(), lock::PATIENCE)?;
    let mut caches = noted(usual)?;
    if !change(&mut caches) {
        return Ok(());
    }
    if caches.is_empty() {
        return atomic_file::remove(&file).map(|_| ());
    }
    let lines = caches.iter().map(|cache| format!("{}\n", cache.display())).collect::<String>();
    atomic_file::write(&file, lines.as_bytes(), 0o600)
}
