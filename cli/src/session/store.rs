//! A session on disk: whole or not there, at every moment and after every crash.
//!
//! New files are staged in a fresh folder and synced; one rename makes the stage `pending`, which is the commit
//! point. From there the files move to their stable places, `meta.json` last. Whoever next takes the lock finishes
//! a `pending` that a crash left; a reader without the lock takes it as "no session yet" and goes for the lock.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error, Result};
use crate::grant::{Endpoint, Expiry, Pins, WebUrl, Workdir};
use crate::session::attachment::Attachment;
use crate::sys::atomic_file;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;
use crate::sys::platform;
use crate::transport::Route;

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
const PENDING: &str = "pending";
const MAX_FILE: usize = 64 * 1024;
/// The pins alone may take 64 KiB.
const MAX_META: usize = 256 * 1024;

/// A session with this many seconds left, or fewer, is minted anew.
pub const RENEW_BELOW_SECONDS: u64 = 90;

/// What `meta.json` says of the session whose files it goes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The workspace.
    pub workspace_id: u64,
    /// The control plane that granted it.
    pub api_base: String,
    /// The `Host` name in the config: `runcode-<user>`.
    pub alias: String,
    /// The gateway and the user there.
    pub endpoint: Endpoint,
    /// The gateway's host keys.
    pub pins: Pins,
    /// When it ends.
    pub expires_at: Expiry,
    /// The project folder on the box.
    pub workdir: Workdir,
    /// The workspace's page.
    pub web_url: Option<WebUrl>,
    /// Where the master listens; none where there is no multiplexing.
    pub control_path: Option<String>,
    /// The lifetime that was asked for, in seconds; a renewal asks for the same.
    pub ttl_seconds: u64,
    /// When the key was made.
    pub key_created_at: Timestamp,
    /// The SHA-256 of every other file of the session, by name.
    pub files: BTreeMap<String, String>,
}

impl Meta {
    /// The lifetime that was asked for.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }
}

/// A session that was found whole.
#[derive(Debug, Clone)]
pub struct Session {
    /// What it is.
    pub meta: Meta,
    /// Where its files are.
    pub folder: PathBuf,
}

impl Session {
    /// Whether it lasts long enough to start something with it.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.meta.expires_at.seconds_left(now) > RENEW_BELOW_SECONDS
    }

    /// Whether it has not ended yet.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.meta.expires_at.seconds_left(now) > 0
    }

    /// How the transport reaches it.
    pub fn route(&self) -> Route {
        Route {
            config: self.folder.join(CONFIG),
            alias: self.meta.alias.clone(),
            control_path: self.meta.control_path.as_ref().map(PathBuf::from),
            folder: self.folder.clone(),
            gateway: self.meta.endpoint.clone(),
        }
    }

    /// Whether every file is what `meta.json` goes with.
    pub fn is_intact(&self) -> bool {
        let extra_certificate =
            !self.meta.files.contains_key(CERTIFICATE) && self.folder.join(CERTIFICATE).exists();
        !extra_certificate
            && self.meta.files.iter().all(|(name, digest)| {
                let content = atomic_file::read(&self.folder.join(name), MAX_FILE).ok().flatten();
                let content = content.map(zeroize::Zeroizing::new); // one of them is the key
                content.is_some_and(|content| sha256(&content) == *digest)
            })
    }
}

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

    /// The session of a workspace as it stands, without the lock. Anything not whole is no session, and so is what
    /// another user could have put there.
    pub fn read(&self, id: u64) -> Result<Option<Session>> {
        let folder = self.paths.session(id);
        if !atomic_file::is_own_dir(self.paths.cache())? || !is_ours(&folder) {
            return Ok(None);
        }
        let Some(bytes) = atomic_file::read(&folder.join(META), MAX_META)? else {
            return Ok(None);
        };
        let meta = serde_json::from_slice::<Meta>(&bytes).ok().filter(|meta| meta.workspace_id == id);
        let is_settled = fs::symlink_metadata(folder.join(PENDING)).is_err();
        Ok(meta.filter(|_| is_settled).map(|meta| Session { meta, folder }))
    }

    /// Takes the workspace's lock and finishes what a crash left half done.
    pub fn lock(&self, id: u64) -> Result<Locked<'a>> {
        atomic_file::private_dir(self.paths.cache())?;
        let lock = Lock::acquire(&self.paths.session_lock(id), lock::PATIENCE)?;
        let folder = self.paths.session(id);
        let locked = Locked { store: *self, id, folder, lock };
        locked.recover()?;
        Ok(locked)
    }

    /// The ids of all workspaces that have a session folder, or a lock that was left without one, sorted.
    pub fn ids(&self) -> Result<Vec<u64>> {
        if !atomic_file::is_own_dir(self.paths.cache())? {
            return Ok(Vec::new());
        }
        let entries = match fs::read_dir(self.paths.cache()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Error::io(format_args!("read `{}`", self.paths.cache().display()), error));
            }
        };
        let id = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix("ws-")?.trim_end_matches(".lock").parse::<u64>().ok()
        };
        let mut ids = entries.flatten().filter_map(id).collect::<Vec<_>>();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Whether there is anything of a session, whole or not.
    pub fn has_any(&self, id: u64) -> bool {
        fs::symlink_metadata(self.paths.session(id)).is_ok()
    }

    /// The attached workspace.
    pub fn attachment(&self) -> Result<Option<Attachment>> {
        Attachment::read(self.paths)
    }
}

/// The sole right to change one workspace's session, until dropped.
#[derive(Debug)]
pub struct Locked<'a> {
    store: Store<'a>,
    id: u64,
    folder: PathBuf,
    lock: Lock,
}

impl Locked<'_> {
    /// The session as it stands.
    pub fn read(&self) -> Result<Option<Session>> {
        self.store.read(self.id)
    }

    /// The session's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes `files` and `meta` the workspace's session; a failure leaves the old one as it was.
    pub fn commit(&self, mut meta: Meta, files: &Files) -> Result<Session> {
        if fs::symlink_metadata(&self.folder).is_ok_and(|metadata| metadata.is_symlink()) {
            let what = format!("`{}` is a link, which no session is kept behind", self.folder.display());
            return Err(Error::new(Code::Io, what).hint("remove the link"));
        }
        atomic_file::private_dir(&self.folder)?;
        meta.files = files.iter().map(|(name, content)| ((*name).to_owned(), sha256(content))).collect();
        self.stage(&meta, files).map_err(|error| {
            Error::io(format_args!("write the session `{}`", self.folder.display()), error)
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
            atomic_file::create_new(&stage.path().join(name), content, 0o600)?;
        }
        atomic_file::create_new(&stage.path().join(META), &serde_json::to_vec_pretty(meta)?, 0o600)?;
        platform::sync_dir(stage.path())?;
        fs::rename(stage.path(), self.folder.join(PENDING))?;
        let _ = stage.keep(); // it bears another name now, nothing is left to remove
        platform::sync_dir(&self.folder)
    }

    /// Moves a `pending` into place and removes stages that never got that far.
    fn recover(&self) -> Result<()> {
        self.roll_forward().map_err(|error| {
            Error::io(format_args!("complete the session `{}`", self.folder.display()), error)
        })
    }

    fn roll_forward(&self) -> io::Result<()> {
        if !is_ours(&self.folder) {
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
        let meta =
            fs::read(pending.join(META)).ok().and_then(|bytes| serde_json::from_slice::<Meta>(&bytes).ok());
        if let Some(meta) = meta {
            if !meta.files.contains_key(CERTIFICATE) {
                remove_if_there(&self.folder.join(CERTIFICATE))?;
            }
            for name in meta.files.keys().map(String::as_str).filter(|name| NAMES.contains(name)) {
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
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&self.folder),
            Ok(_) => fs::remove_file(&self.folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|error| Error::io(format_args!("remove `{}`", self.folder.display()), error))?;
        self.lock.remove()
    }
}

/// Whether the folder is a real one, this user's, and nobody else may write into it.
fn is_ours(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir() && platform::is_own(&metadata) && !platform::is_writable_by_others(&metadata)
    })
}

/// The files that a `pending` may put into place.
const NAMES: [&str; 5] = [IDENTITY, PUBLIC, CERTIFICATE, KNOWN_HOSTS, CONFIG];

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
