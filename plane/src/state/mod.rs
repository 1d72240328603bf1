//! What the plane knows: users, tokens, workspaces and the sessions it granted.

mod grant;
mod lifecycle;
mod record;
mod setup;
mod store;
pub(crate) mod token;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ssh_key::public::KeyData;

use crate::options::CredentialMode;
pub(crate) use grant::Grant;
pub(crate) use lifecycle::Lifecycle;
use record::{GrantRecord, WorkspaceRecord};
use runcode_wire as wire;
pub use store::STATE_FILE;
pub(crate) use store::{Kind, Store};
use token::TokenHash;

/// A workspace as served: a folder with a state.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) custom_title: Option<String>,
    pub(crate) provider: String,
    pub(crate) owner: String,
    pub(crate) shared: bool,
    /// The folder, canonical.
    pub(crate) dir: PathBuf,
    /// The same folder under a plain name, for the bundle.
    pub(crate) workdir: String,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) refuse_start: Option<String>,
    pub(crate) refuse_stop: Option<String>,
}

impl Workspace {
    /// Whether `user` may see and use it.
    pub(crate) fn is_open_to(&self, user: &str) -> bool {
        self.shared || self.owner == user
    }

    /// Whether it can have SSH sessions at all.
    pub(crate) fn has_ssh(&self) -> bool {
        self.provider == "aws"
    }

    pub(crate) fn wire(&self) -> wire::Workspace {
        let (current_state, interim_state) = self.lifecycle.wire();
        wire::Workspace {
            id: self.id,
            title: self.title.clone(),
            custom_title: self.custom_title.clone(),
            provider: self.provider.clone(),
            current_state: current_state.to_owned(),
            interim_state: interim_state.map(str::to_owned),
        }
    }
}

/// Why a call on a workspace is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The token is not, or no longer, one of ours.
    LoggedOut,
    /// There is none with that id, or none that the user may see.
    NotFound,
    /// It has no SSH.
    Forbidden,
    /// It is not running.
    NotRunning,
    /// The user asked for more sessions than are allowed in a minute.
    TooMany,
    /// The plane grants no sessions.
    Unavailable,
    /// It could not be written down.
    NotKept,
    /// A refusal with its own words, in a successful answer.
    Said(String),
}

#[derive(Default)]
struct Inner {
    users: Vec<String>,
    tokens: HashMap<TokenHash, String>,
    workspaces: BTreeMap<u64, Workspace>,
    grants: Vec<Grant>,
    /// The serial number of the last grant.
    serial: u64,
    /// When each user's latest sessions were granted, for the rate limit.
    recent: HashMap<String, Vec<SystemTime>>,
    store: Option<Store>,
}

impl Inner {
    /// Writes a change down, where there is something to write it in. What fails here has not happened.
    fn keep(&self, write: impl FnOnce(&Store) -> rusqlite::Result<()>) -> Result<(), Refusal> {
        self.store.as_ref().map_or(Ok(()), |store| write(store).map_err(|_| Refusal::NotKept))
    }

    /// Moves a workspace to another phase.
    fn change(
        &mut self,
        user: &str,
        id: u64,
        next: impl FnOnce(Lifecycle) -> Lifecycle,
    ) -> Result<(), Refusal> {
        let mut workspace = find(self, user, id)?.clone();
        workspace.lifecycle = next(workspace.lifecycle);
        self.keep(|store| store.put(Kind::Workspace, &id.to_string(), &WorkspaceRecord::from(&workspace)))?;
        self.workspaces.insert(id, workspace);
        Ok(())
    }

    /// Forgets grants. One that cannot be forgotten on the disk is forgotten here all the same.
    fn take_grants(&mut self, ends: impl Fn(&Grant) -> bool) {
        let names: Vec<String> =
            self.grants.iter().filter(|g| ends(g)).map(|g| g.serial.to_string()).collect();
        let _ = self.keep(|store| store.remove(Kind::Grant, &names));
        self.grants.retain(|g| !ends(g));
    }
}

/// The plane's state; every method is one atomic step.
pub(crate) struct State {
    inner: Mutex<Inner>,
    boot_delay: Duration,
    max_ttl: Duration,
    credential: CredentialMode,
    ssh_enabled: bool,
    sessions_per_minute: u32,
    /// Holds the plain names of folders whose own are not.
    _aliases: Option<tempfile::TempDir>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves every step whole: each writes one field last.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        for workspace in inner.workspaces.values_mut() {
            workspace.lifecycle = workspace.lifecycle.settle(now);
        }
        inner
    }

    /// The e-mail address of the first user.
    pub(crate) fn first_user(&self) -> String {
        self.lock().users.first().cloned().unwrap_or_default()
    }

    /// The longest session that is granted.
    pub(crate) fn max_ttl(&self) -> Duration {
        self.max_ttl
    }

    /// The user that `token` belongs to.
    pub(crate) fn user_of(&self, token: &str) -> Option<String> {
        self.lock().tokens.get(&TokenHash::of(token)).cloned()
    }

    /// Makes a token for `user`.
    ///
    /// # Errors
    /// [`Refusal::NotKept`].
    pub(crate) fn issue_token(&self, user: &str) -> Result<String, Refusal> {
        let token = token::fresh();
        let hash = TokenHash::of(&token);
        let mut inner = self.lock();
        inner.keep(|store| store.put(Kind::Token, &hash.to_string(), &user))?;
        inner.tokens.insert(hash, user.to_owned());
        Ok(token)
    }

    /// Forgets `token` and every grant of its user.
    pub(crate) fn revoke_token(&self, token: &str) {
        let mut inner = self.lock();
        if let Some(user) = inner.tokens.remove(&TokenHash::of(token)) {
            let _ = inner.keep(|store| store.remove(Kind::Token, &[TokenHash::of(token).to_string()]));
            inner.take_grants(|grant| grant.user == user);
        }
    }

    /// Forgets every grant.
    pub(crate) fn revoke_grants(&self) {
        self.lock().take_grants(|_| true);
    }

    /// Whether the grant with that serial number has not been taken back. One that has run out counts, as long as it is
    /// remembered: a connection outlives its grant's time, as it does with sshd(8).
    pub(crate) fn holds(&self, serial: u64) -> bool {
        self.lock().grants.iter().any(|grant| grant.serial == serial)
    }

    /// The workspaces of a category, as `user` sees them.
    pub(crate) fn list(&self, user: &str, shared: bool) -> Vec<wire::Workspace> {
        let inner = self.lock();
        let seen = inner
            .workspaces
            .values()
            .filter(|w| if shared { w.shared && w.owner != user } else { w.owner == user });
        seen.map(Workspace::wire).collect()
    }

    /// The workspace called `title`.
    pub(crate) fn titled(&self, title: &str) -> Option<Workspace> {
        self.lock().workspaces.values().find(|workspace| workspace.title == title).cloned()
    }

    /// Starts a workspace; fine when it runs.
    pub(crate) fn start(&self, user: &str, id: u64) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if let Some(reason) = &find(&inner, user, id)?.refuse_start {
            return Err(Refusal::Said(reason.clone()));
        }
        inner.change(user, id, |phase| phase.start(SystemTime::now(), self.boot_delay))
    }

    /// Stops a workspace and forgets its grants; fine when it is stopped. Returns its folder.
    pub(crate) fn stop(&self, user: &str, id: u64) -> Result<PathBuf, Refusal> {
        let mut inner = self.lock();
        if let Some(reason) = &find(&inner, user, id)?.refuse_stop {
            return Err(Refusal::Said(reason.clone()));
        }
        inner.change(user, id, |phase| phase.stop(SystemTime::now(), self.boot_delay))?;
        let dir = find(&inner, user, id)?.dir.clone();
        inner.take_grants(|grant| grant.workspace == id);
        Ok(dir)
    }

    /// Grants `key` a session of at most `ttl` on a running workspace. The token is looked at again here: its request may
    /// have taken its time, and the token been revoked meanwhile.
    pub(crate) fn grant(
        &self,
        token: &str,
        id: u64,
        key: KeyData,
        ttl: Duration,
        client: &str,
    ) -> Result<(Workspace, Grant), Refusal> {
        if !self.ssh_enabled {
            return Err(Refusal::Unavailable);
        }
        let mut inner = self.lock();
        let user = &inner.tokens.get(&TokenHash::of(token)).cloned().ok_or(Refusal::LoggedOut)?;
        let workspace = find(&inner, user, id)?.clone();
        if !workspace.has_ssh() {
            return Err(Refusal::Forbidden);
        }
        if workspace.lifecycle != Lifecycle::Running {
            return Err(Refusal::NotRunning);
        }
        let now = SystemTime::now();
        let recent = inner.recent.entry(user.to_owned()).or_default();
        recent.retain(|at| now.duration_since(*at).is_ok_and(|age| age < Duration::from_secs(60)));
        if recent.len() >= self.sessions_per_minute as usize {
            return Err(Refusal::TooMany);
        }
        recent.push(now);
        inner.serial += 1;
        let grant = Grant {
            serial: inner.serial,
            workspace: id,
            user: user.to_owned(),
            client: client.to_owned(),
            key,
            expires: now + ttl.min(self.max_ttl),
            certified: self.credential == CredentialMode::Certificate,
        };
        inner.take_grants(|grant| !grant.is_live(now));
        inner.keep(|store| store.put(Kind::Grant, &grant.serial.to_string(), &GrantRecord::from(&grant)))?;
        inner.grants.push(grant.clone());
        Ok((workspace, grant))
    }

    /// The live grant that lets `key` into the running workspace called `title`, the one that lasts longest first.
    pub(crate) fn admit(&self, title: &str, key: &KeyData) -> Option<(Workspace, Grant)> {
        self.admit_if(title, key, |_| true)
    }

    /// The same, for the grant with that serial number alone.
    pub(crate) fn admit_certified(
        &self,
        title: &str,
        key: &KeyData,
        serial: u64,
    ) -> Option<(Workspace, Grant)> {
        self.admit_if(title, key, |grant| grant.certified & (grant.serial == serial))
    }

    fn admit_if(
        &self,
        title: &str,
        key: &KeyData,
        fits: impl Fn(&Grant) -> bool,
    ) -> Option<(Workspace, Grant)> {
        let now = SystemTime::now();
        let inner = self.lock();
        let workspace =
            inner.workspaces.values().find(|w| w.title == title && w.lifecycle == Lifecycle::Running);
        // Every grant is looked at, whether or not the workspace exists: the refusals cost the same.
        let id = workspace.map_or(0, |w| w.id);
        let live =
            inner.grants.iter().filter(|g| (g.workspace == id) & (&g.key == key) & g.is_live(now) & fits(g));
        let grant = live.max_by_key(|g| (g.expires, g.serial)).cloned();
        workspace.cloned().zip(grant)
    }
}

fn find<'a>(inner: &'a Inner, user: &str, id: u64) -> Result<&'a Workspace, Refusal> {
    inner.workspaces.get(&id).filter(|w| w.is_open_to(user)).ok_or(Refusal::NotFound)
}
