//! The sticky pointer: which workspace `connect` attached, and from which folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::origin::SessionKey;
use crate::output::foreign::Name;
use crate::output::progress::note;
use crate::session::Session;
use crate::sys::atomic_file;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;

/// What `<cache>/current` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The attached session.
    #[serde(flatten)]
    pub key: SessionKey,
    /// What the workspace is called; none in files from before that was kept.
    #[serde(default)]
    pub title: Option<Name>,
    /// The folder that `connect` ran in; none when its name is not text.
    pub folder: Option<String>,
}

impl Attachment {
    /// Attaches a session from this process's folder.
    pub fn here(session: &Session) -> Attachment {
        let folder =
            std::env::current_dir().ok().and_then(|folder| folder.into_os_string().into_string().ok());
        Attachment { key: session.meta.key.clone(), title: Some(session.meta.title.clone()), folder }
    }

    /// The workspace as a person knows it: `web (#2)`.
    pub fn shown(&self) -> String {
        self.key.shown(self.title.as_ref())
    }

    /// The attachment, if there is one. A pointer that cannot be understood points nowhere.
    pub fn read(paths: &Paths) -> Result<Option<Attachment>> {
        if !atomic_file::is_own_dir(paths.cache())? {
            return Ok(None);
        }
        let bytes = atomic_file::read(&paths.current(), 64 * 1024)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Makes this the attachment, atomically.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        atomic_file::private_dir(paths.cache())?;
        let bytes = serde_json::to_vec(self).map_err(|error| Error::new(Code::Error, error.to_string()))?;
        let _lock = lock(paths)?;
        atomic_file::sweep(&paths.current())?;
        atomic_file::write(&paths.current(), &bytes, 0o600)
    }

    /// Detaches `key`, or whatever is attached; says whether something was. A pointer that cannot be understood goes too,
    /// unless only one session is to be detached.
    pub fn clear(paths: &Paths, key: Option<&SessionKey>) -> Result<bool> {
        if !atomic_file::is_own_dir(paths.cache())? {
            return Ok(false);
        }
        let lock = lock(paths)?;
        let attachment = Attachment::read(paths)?;
        let is_meant = |attachment: &Attachment| key.is_none_or(|key| *key == attachment.key);
        let is_cleared = attachment.as_ref().is_some_and(is_meant);
        if is_cleared || key.is_none() {
            atomic_file::sweep(&paths.current())?;
            atomic_file::remove(&paths.current())?;
        }
        if is_cleared || attachment.is_none() {
            lock.remove()?; // with nothing to point at, nothing is left
        }
        Ok(is_cleared)
    }

    /// The folder that attached it.
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(PathBuf::from)
    }

    /// Whether `folder` is inside or around the attaching one, by path components.
    pub fn concerns(&self, folder: &Path) -> bool {
        self.folder().is_some_and(|own| own.starts_with(folder) || folder.starts_with(&own))
    }
}

/// Attaches the session's workspace from this process's folder, and says so when another one was: all shells of a user share
/// the pointer, and this changes where their `exec` and file verbs go.
pub fn attach(session: &Session, paths: &Paths) -> Result<()> {
    if let Some(before) = Attachment::read(paths)?
        && before.key != session.meta.key
    {
        note(format!("note: {} is attached now, no longer {}", session.shown(), before.key.shown(None)));
    }
    Attachment::here(session).save(paths)
}

/// Who changes the pointer holds this, so that what was looked at is what is removed.
fn lock(paths: &Paths) -> Result<Lock> {
    Lock::acquire(&paths.current_lock(), lock::PATIENCE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::origin::BaseUrl;

    fn key(id: u64) -> SessionKey {
        SessionKey::plane(&BaseUrl::parse("https://a.example").unwrap(), id).unwrap()
    }

    #[test]
    fn an_older_pointer_is_a_control_planes() {
        let old = r#"{"workspace_id":7,"folder":"/p","api_base":"https://a.example"}"#;
        let read: Attachment = serde_json::from_str(old).unwrap();
        assert_eq!(read, Attachment { key: key(7), title: None, folder: Some("/p".into()) });
        // And an older runcode reads what is written now.
        let written = serde_json::to_value(read).unwrap();
        assert_eq!(
            (&written["workspace_id"], &written["api_base"]),
            (&7.into(), &"https://a.example".into())
        );
    }

    /// Whoever detaches one workspace never takes the pointer to another with it, however close the two come.
    #[test]
    fn detaching_one_never_drops_another() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        let to = |id| Attachment { key: key(id), title: None, folder: None };
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (over, paths) = (&over, &paths);
            scope.spawn(move || {
                while !over.load(std::sync::atomic::Ordering::SeqCst) {
                    let _ = Attachment::clear(paths, Some(&key(1)));
                }
            });
            let is_saved = |id| to(id).save(paths).is_ok();
            let points_to = |id| Attachment::read(paths).is_ok_and(|found| found == Some(to(id)));
            let stays = (0..300).all(|_| is_saved(1) && is_saved(2) && points_to(2));
            over.store(true, std::sync::atomic::Ordering::SeqCst);
            assert!(stays);
        });
        assert!(Attachment::clear(&paths, None).unwrap() && !Attachment::clear(&paths, None).unwrap());
        assert_eq!(std::fs::read_dir(paths.cache()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_folder_concerns_by_component() {
        let attachment = Attachment { key: key(7), title: None, folder: Some("/home/u/project".into()) };
        for (folder, concerned) in [
            ("/home/u/project", true),
            ("/home/u/project/src", true),
            ("/home/u", true),
            ("/home/u/project2", false),
            ("/tmp", false),
        ] {
            assert_eq!(attachment.concerns(Path::new(folder)), concerned, "{folder}");
        }
    }
}
