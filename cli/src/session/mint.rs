//! Minting: a key, the origin's grant for it, and the files of the session, in this order and all or nothing.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::grant::{Access, Certificate, Credential, Gateway, Trust};
use crate::openssh::config::{self, HostKeys, Login, SessionConfig};
use crate::origin::{Origin, Request, SessionKey, Ungranted};
use crate::session::keypair::Keypair;
use crate::session::locked::LockedSession;
use crate::session::store::{self, Files};
use crate::session::{Meta, Session};
use crate::sys::digest::sha256;
use crate::sys::env::{Env, Var};
use crate::sys::{atomic_file, clock, socket_place};

/// The lifetime that is asked for when the user does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(1800);

/// How long a key may serve: a running ssh that has read it is not cut off by a renewal, and no key lives for ever.
const KEY_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// In the cache: ssh could not make a socket there.
const ELSEWHERE: &str = "sockets-elsewhere";

/// What to mint.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// The lifetime to ask for.
    pub ttl: Duration,
    /// Whether to make a new key even where the old one could serve.
    pub new_key: bool,
}

impl Default for Order {
    fn default() -> Order {
        Order { ttl: DEFAULT_TTL, new_key: false }
    }
}

/// Mints a session. The caller holds its lock; on failure the old session is as it was.
pub fn mint(
    locked: &LockedSession<'_>,
    key: &SessionKey,
    origin: &dyn Origin,
    env: &Env,
    order: Order,
) -> Result<Session, Ungranted> {
    let now = clock::now();
    let (keypair, key_created_at) = match old_key(locked, now).filter(|_| !order.new_key) {
        Some(reused) => reused,
        None => (Keypair::generate()?, now),
    };
    let request = Request { key: keypair.public(), ttl: order.ttl, client: &client_name(env) };
    let grant = origin.grant(key, &request)?;
    let alias = match &grant.credential {
        Credential::Key { gateway, .. } => format!("runcode-{}", gateway.endpoint.user),
        Credential::External(external) => external.destination.to_string(),
    };
    let before = locked.read()?.map(|old| old.meta).filter(|old| old.key == *key);
    // A list that was not read this time said so last time.
    let (shared, custom_title) = match (grant.shared, &before) {
        (None, Some(before)) => (before.shared, before.custom_title.clone()),
        (shared, _) => (shared, grant.custom_title),
    };
    // What the user said of a host of their own holds until they detach from it.
    let before = before.filter(|old| matches!(old.access, Access::External(_)));
    let access = grant.credential.access();
    let (workdir, personal_keep) = before.map_or((None, None), |before| {
        // Who logged in did so at the place where the name led then; a server that was defined anew is another one.
        let is_same = before.access.leads_as(&access);
        let workdir = before.workdir.filter(|_| before.access.server() == access.server());
        (workdir, before.personal_keep.filter(|_| is_same))
    });
    let control_path = control_path(locked, env, &socket_name(&access))?;
    let meta = Meta {
        key: key.clone(),
        title: grant.title,
        custom_title,
        shared,
        alias,
        access,
        lifetime: grant.lifetime,
        workdir: workdir.or(grant.workdir),
        web_url: grant.web_url,
        control_path,
        ttl_seconds: order.ttl.as_secs(),
        key_created_at,
        granted_at: Some(now),
        personal_keep,
        approved: None,
        files: std::collections::BTreeMap::new(),
    };
    let files = match &grant.credential {
        Credential::Key { gateway, certificate } => {
            files(locked, &meta, gateway, certificate.as_ref(), &keypair)?
        }
        Credential::External(_) => external_files(&meta.access)?,
    };
    Ok(locked.commit(meta, &files)?)
}

/// The files of a session on a host of the user's own: its pins, where servers.toml has any.
pub(super) fn external_files(access: &Access) -> Result<Files> {
    let Access::External(external) = access else {
        return Err(Error::new(Code::Error, "the session is on no host of the user's own"));
    };
    let pins = external.server.as_ref().and_then(|server| server.host_keys.as_ref());
    let text = pins.map(|pins| pins.known_hosts(external.destination.host()));
    Ok(text.map(|text| (store::KNOWN_HOSTS, Zeroizing::new(text.into_bytes()))).into_iter().collect())
}

/// The key of the session that is there, when it is whole and young enough.
fn old_key(locked: &LockedSession<'_>, now: Timestamp) -> Option<(Keypair, Timestamp)> {
    let session = locked.read().ok().flatten().filter(Session::is_intact)?;
    if !matches!(session.meta.access, Access::Gateway(_)) {
        return None;
    }
    let age = now.duration_since(session.meta.key_created_at);
    let pem = atomic_file::read(&session.folder.join(store::IDENTITY), 64 * 1024)
        .ok()
        .flatten()
        .map(Zeroizing::new)?;
    let key = Keypair::from_openssh(&pem)?;
    (!age.is_negative() && age < KEY_LIFETIME).then_some((key, session.meta.key_created_at))
}

/// The files of a session whose key is ours.
fn files(
    locked: &LockedSession<'_>,
    meta: &Meta,
    gateway: &Gateway,
    certificate: Option<&Certificate>,
    key: &Keypair,
) -> Result<Files> {
    let at = |name: &str| locked.folder().join(name);
    let (known_hosts, certificate_file) = (at(store::KNOWN_HOSTS), at(store::CERTIFICATE));
    let host_key_alias = locked.host_key_alias();
    let control_path = meta.control_path.as_ref().map(PathBuf::from);
    let mut files = Files::new();
    let mut add = |name, content: Vec<u8>| files.insert(name, Zeroizing::new(content));
    let host_keys = match &gateway.trust {
        Trust::Pinned(pins) => {
            add(store::KNOWN_HOSTS, pins.known_hosts(&host_key_alias).into_bytes());
            HostKeys::Pinned { known_hosts: &known_hosts, alias: &host_key_alias }
        }
        Trust::UserKnownHosts => HostKeys::User,
    };
    let config = SessionConfig {
        alias: &meta.alias,
        endpoint: &gateway.endpoint,
        login: Login::Key {
            identity: &at(store::IDENTITY),
            certificate: certificate.map(|_| certificate_file.as_path()),
        },
        host_keys,
        control_path: control_path.as_deref(),
        through: None,
        hop: None,
    };
    add(store::IDENTITY, key.private_pem()?.as_bytes().to_vec());
    add(store::PUBLIC, format!("{}\n", key.public_line()?).into_bytes());
    add(store::CONFIG, config.render()?);
    if let Some(certificate) = certificate {
        add(store::CERTIFICATE, format!("{}\n", certificate.as_str()).into_bytes());
    }
    Ok(files)
}

/// Where the master will listen: in the session's folder, or in a short folder of ours when that name is too long or the file
/// system takes no sockets. Nowhere, when none does: then every command makes a connection of its own.
///
/// On a host of the user's own it is named by where that leads: who still works on what the name meant before never comes to
/// another machine by the same socket.
pub(super) fn control_path(locked: &LockedSession<'_>, env: &Env, name: &str) -> Result<Option<String>> {
    if cfg!(windows) {
        return Ok(None);
    }
    let short = short_folders(env);
    let own = locked.folder();
    let cache = own.parent().unwrap_or(own); // the session's own folder may not be there yet
    // Somebody else's, in the place of ours: told rather than done without.
    let planted = RefCell::new(None);
    let is_ours = |folder: &Path| match atomic_file::private_dir(folder) {
        Ok(()) => true,
        Err(error) => {
            if folder.symlink_metadata().is_ok() {
                *planted.borrow_mut() = Some(error);
            }
            false
        }
    };
    let takes = |folder: &Path| match folder == own {
        true => !cache.join(ELSEWHERE).exists() && socket_place::try_out(cache).is_ok(),
        false => is_ours(folder) && socket_place::try_out(folder).is_ok(),
    };
    let path = config::control_path(own, name, &short, takes);
    if let (None, Some(error)) = (&path, planted.take()) {
        return Err(error);
    }
    Ok(path.and_then(|path| path.into_os_string().into_string().ok()))
}

/// The folders for sockets that cannot lie in a session's own, in order of preference.
pub fn short_folders(env: &Env) -> Vec<PathBuf> {
    let mut short = Vec::new();
    if let Some(runtime) = env.var(Var::XdgRuntimeDir).map(PathBuf::from).filter(|path| path.is_absolute())
        && atomic_file::is_own_dir(&runtime).unwrap_or(false)
    {
        short.push(runtime.join("runcode")); // another user's (`su` keeps the variable) is no place for a socket
    }
    #[cfg(unix)]
    short.push(PathBuf::from(format!("/tmp/runcode-{}", crate::sys::platform::user_id())));
    short
}

/// Has the sockets of sessions that are made from now on lie outside the cache: ssh could not make one in it.
pub(super) fn put_sockets_elsewhere(cache: &Path) -> Result<()> {
    atomic_file::write_unsynced(&cache.join(ELSEWHERE), b"", 0o600)
}

fn socket_name(access: &Access) -> String {
    let Access::External(external) = access else { return "master".to_owned() };
    let definition = external.server.as_ref().map_or("", |server| &server.definition);
    let place = format!("{} {} {definition}", external.destination, external.route);
    format!("master-{}", &sha256(place.as_bytes())[..8])
}

/// The agent on whose behalf the session is made.
pub(super) fn client_name(env: &Env) -> String {
    let codex = [Var::CodexHome, Var::CodexThreadId, Var::CodexManagedPackageRoot, Var::CodexCi];
    match env.var(Var::RuncodeClient).and_then(|name| name.into_string().ok()) {
        Some(name) => name,
        None if codex.into_iter().any(|var| env.var(var).is_some()) => "codex".to_owned(),
        None => "claude-code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_told_from_the_environment() {
        assert_eq!(client_name(&Env::fixed::<&str>([])), "claude-code");
        assert_eq!(client_name(&Env::fixed([(Var::CodexCi, "1")])), "codex");
        assert_eq!(client_name(&Env::fixed([(Var::CodexCi, "1"), (Var::RuncodeClient, "zed")])), "zed");
    }
}
