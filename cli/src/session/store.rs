//! Where sessions lie on this machine, and which of them are whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::origin::SessionKey;
use crate::output::foreign::FileName as _;
use crate::session::locked::LockedSession;
use crate::session::meta::{Meta, Session};
use crate::sys::atomic_file;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;
use crate::sys::platform;

/// The name of the private key in a session's folder.
pub const IDENTITY: &str = "id_ed25519";
/// The name of the public key.
pub const PUBLIC: &str = "id_ed25519.pub";
/// The name of the certificate, where ssh looks for it too.
pub const CERTIFICATE: &str = "id_ed25519-cert.pub";
/// The name of the pins.
pub const KNOWN_HOSTS: &str = "known_hosts";
/// The name of the ssh config.
pub const CONFIG: &str = "config";
/// The name of the commit point.
pub const META: &str = "meta.json";
pub(super) const PENDING: &str = "pending";
const LOCK_SUFFIX: &str = ".lock";
/// The pins alone may take 64 KiB.
const MAX_META: usize = 256 * 1024;

/// The files of a session to be: name and content. Their digests go into the meta that is committed with them.
pub type Files = BTreeMap<&'static str, zeroize::Zeroizing<Vec<u8>>>;

/// The sessions of one user.
#[derive(Debug, Clone, Copy)]
pub struct Store<'a> {
    paths: &'a Paths,
}

impl<'a> Store<'a> {
    /// The sessions below these paths; no I/O.
    pub fn new(paths: &'a Paths) -> Store<'a> {
        Store { paths }
    }

    /// The folder that they lie in.
    pub fn cache(&self) -> &'a Path {
        self.paths.cache()
    }

    /// The session as it stands, without the lock. Anything not whole is no session, and so is what another user could
    /// have put there.
    pub fn read(&self, key: &SessionKey) -> Result<Option<Session>> {
        if !atomic_file::is_own_dir(self.paths.cache())? {
            return Ok(None);
        }
        let (folder, meta) = self.place(key);
        let meta = meta?.filter(|_| is_settled(&folder));
        Ok(meta.map(|meta| Session { meta, folder }))
    }

    /// Where the session lies, or would be made.
    pub fn folder(&self, key: &SessionKey) -> PathBuf {
        self.place(key).0
    }

    /// Where the session lies, and what its meta says; without one, where it would be made.
    ///
    /// Other programs hold the paths of a control plane's `ws-<id>`, so a session goes there unless another control plane
    /// has its own of the same number there.
    fn place(&self, key: &SessionKey) -> (PathBuf, Result<Option<Meta>>) {
        let own = self.paths.session(&key.folder());
        let theirs = match meta_in(&own) {
            Ok(Some(meta)) if meta.key != *key => true,
            Ok(None) => false,
            found => return (own, found),
        };
        let Some(beside) = key.folder_beside().map(|name| self.paths.session(&name)) else {
            return (own, Ok(None));
        };
        match meta_in(&beside) {
            Ok(None) if !theirs => (own, Ok(None)),
            found => (beside, found.map(|meta| meta.filter(|meta| meta.key == *key))),
        }
    }

    /// Takes the session's lock and finishes what a crash left half done.
    pub fn lock(&self, key: &SessionKey) -> Result<LockedSession<'a>> {
        atomic_file::private_dir(self.paths.cache())?;
        loop {
            let folder = self.folder(key);
            let locked = self.lock_folder(folder.clone())?;
            // Another control plane's session may have come to this place, or gone from it, before the lock was ours.
            if self.folder(key) == folder {
                return Ok(locked);
            }
            if fs::symlink_metadata(&folder).is_err() {
                locked.forget()?;
            }
        }
    }

    /// As [`Store::lock`], whosever session the folder holds.
    pub fn lock_remains(&self, remains: &Remains) -> Result<LockedSession<'a>> {
        atomic_file::private_dir(self.paths.cache())?;
        self.lock_folder(self.paths.session(&remains.name))
    }

    fn lock_folder(&self, folder: PathBuf) -> Result<LockedSession<'a>> {
        let lock = Lock::acquire(&lock_path(&folder), lock::PATIENCE)?;
        LockedSession::new(self.paths, folder, lock)
    }

    /// Every whole session, by number and name. One that cannot be read is none.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        for remains in self.remains()? {
            let folder = self.paths.session(&remains.name);
            let meta = meta_in(&folder).ok().flatten().filter(|_| is_settled(&folder));
            sessions.extend(meta.map(|meta| Session { meta, folder }));
        }
        Ok(sessions)
    }

    /// Whatever is left of sessions: their folders, whole or not, and locks without a folder. By number and name.
    pub fn remains(&self) -> Result<Vec<Remains>> {
        if !atomic_file::is_own_dir(self.paths.cache())? {
            return Ok(Vec::new());
        }
        let entries = match fs::read_dir(self.paths.cache()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Error::io(format_args!("read {}", self.paths.cache().named()), error));
            }
        };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let mut names = entries.flatten().filter_map(name).collect::<Vec<_>>();
        names.iter_mut().for_each(|name| name.truncate(name.trim_end_matches(LOCK_SUFFIX).len()));
        let mut remains = names.into_iter().filter_map(Remains::parse).collect::<Vec<_>>();
        remains.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        remains.dedup();
        Ok(remains)
    }

    /// Whether there is anything of the session, whole or not.
    pub fn has_any(&self, key: &SessionKey) -> bool {
        fs::symlink_metadata(self.folder(key)).is_ok()
    }

    /// Whether there is a folder, and not its lock alone.
    pub fn has_folder(&self, remains: &Remains) -> bool {
        fs::symlink_metadata(self.paths.session(&remains.name)).is_ok()
    }
}

/// A folder of the cache that holds a session, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    name: String,
    /// The number in its name, which is that of a control plane's workspace.
    pub workspace_id: Option<u64>,
}

impl Remains {
    /// The folder of this name, if it is one that a session may have: `ws-<number>`, perhaps with `-<8 hex>`, `ssh-<16 hex>`
    /// or `srv-<name>`.
    fn parse(name: String) -> Option<Remains> {
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let workspace_id = match name.split_once('-')? {
            ("ws", rest) => {
                let (number, beside) = rest.split_once('-').map_or((rest, None), |(n, b)| (n, Some(b)));
                if beside.is_some_and(|beside| !is_hex(beside, 8)) {
                    return None;
                }
                Some(number.parse().ok()?)
            }
            ("ssh", rest) if is_hex(rest, 16) => None,
            ("srv", rest) if SessionKey::server(rest).is_some() => None,
            _ => return None,
        };
        Some(Remains { name, workspace_id })
    }

    fn rank(&self) -> (bool, Option<u64>, &str) {
        (self.workspace_id.is_none(), self.workspace_id, &self.name)
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the folder's meta says; nothing when the folder could be another user's work, or there is no meta that goes with
/// it.
pub(super) fn meta_in(folder: &Path) -> Result<Option<Meta>> {
    if !is_own_folder(folder) {
        return Ok(None);
    }
    let bytes = atomic_file::read(&folder.join(META), MAX_META)?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let is_its = |meta: &Meta| {
        name.is_some_and(|name| {
            meta.key.folder() == name || meta.key.folder_beside().is_some_and(|beside| beside == name)
        })
    };
    Ok(bytes.and_then(|bytes| Meta::parse(&bytes)).filter(is_its))
}

/// Whether no crash, and nobody who is at it now, has left the folder's files between two sessions.
pub(super) fn is_settled(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(PENDING)).is_err()
}

/// The name under which the pins of the session in this folder are kept.
pub fn host_key_alias(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("runcode-{name}")
}

/// Whether somebody is changing the session in this folder.
#[cfg(unix)]
pub(super) fn is_locked(folder: &Path) -> bool {
    let file = fs::File::open(lock_path(folder));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

/// The session's lock lies outside its folder, so that the folder can go.
fn lock_path(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(LOCK_SUFFIX);
    PathBuf::from(path)
}

/// Whether the folder is a real one, this user's, and nobody else may write into it.
pub(super) fn is_own_folder(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir() && platform::is_own(&metadata) && !platform::is_writable_by_others(&metadata)
    })
}
