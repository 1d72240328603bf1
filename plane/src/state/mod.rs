//! What the plane knows: users, tokens, workspaces and the sessions it granted.

mod grant;
mod lifecycle;
mod private_folder;
mod record;
mod setup;
mod sqlite;
mod store;
pub(crate) mod token;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use runcode_wire as wire;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

use crate::error::{Error, StoreError};
use crate::spec::{CredentialMode, Rules};
pub use grant::{Grant, Whose};
pub use lifecycle::Lifecycle;
pub use private_folder::make_private;
pub use sqlite::{STATE_FILE, Sqlite};
pub use store::{Store, Transaction};
pub use token::{TokenHash, nonce};

/// The time in which [`Rules::sessions_per_minute`] counts.
const MINUTE: Duration = Duration::from_secs(60);

/// A workspace as served: a folder with a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The number that clients name it by.
    pub id: u64,
    /// The slug, also the SSH user.
    pub title: String,
    /// A name of the user's own choosing, of any text.
    pub custom_title: Option<String>,
    /// The kind of machine; only `aws` has SSH.
    pub provider: String,
    /// The owner's e-mail address.
    pub owner: String,
    /// Whether users other than the owner may see and use it.
    pub shared: bool,
    /// The project folder where it is served, canonical.
    pub dir: PathBuf,
    /// Whether it runs.
    pub lifecycle: Lifecycle,
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

    pub(crate) fn wire(&self) -> wire::WorkspaceRow {
        let (current_state, interim_state) = self.lifecycle.wire();
        wire::WorkspaceRow {
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
pub enum Refusal {
    /// The token is not, or no longer, one of ours.
    LoggedOut,
    /// There is none with that id, or none that the user may see.
    NotFound,
    /// It has no SSH.
    Forbidden,
    /// It is not running.
    NotRunning,
    /// The user requested more sessions than are allowed in a minute.
    TooMany,
    /// The plane grants no sessions.
    Unavailable,
    /// The store could not be read or written: nothing has changed.
    Store(StoreError),
    /// A refusal with its own words, in a successful answer.
    Said(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

/// What counts as removed although the store would not remove it: revoking works on a full disk too, until the plane ends.
#[derive(Default)]
struct Revoked {
    tokens: HashSet<TokenHash>,
    grants: HashSet<u64>,
}

/// The plane's state; every method is one transaction of its store.
pub struct State {
    store: Arc<dyn Store>,
    rules: Rules,
    /// The workspaces that are served; the store may know of others.
    served: HashSet<u64>,
    /// The serial number of the last grant.
    serial: AtomicU64,
    /// When each user's latest sessions were granted, for the rate limit.
    recent: Mutex<HashMap<String, Vec<SystemTime>>>,
    revoked: Mutex<Revoked>,
}

impl State {
    /// The rules that sessions are granted by.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The e-mail address of the first user.
    pub(crate) async fn first_user(&self) -> Result<String, StoreError> {
        Ok(self.store.begin().await?.users().await?.into_iter().next().unwrap_or_default())
    }

    /// The user that `token` belongs to.
    pub(crate) async fn user_of(&self, token: &str) -> Result<Option<String>, StoreError> {
        self.owner(&mut *self.store.begin().await?, TokenHash::of(token)).await
    }

    async fn owner(
        &self,
        step: &mut dyn Transaction,
        token: TokenHash,
    ) -> Result<Option<String>, StoreError> {
        if self.revoked(|revoked| revoked.tokens.contains(&token)) {
            return Ok(None);
        }
        step.token_owner(token).await
    }

    fn revoked<T>(&self, look: impl FnOnce(&mut Revoked) -> T) -> T {
        look(&mut self.revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a token for `user`.
    pub(crate) async fn issue_token(&self, user: &str) -> Result<String, StoreError> {
        let token = token::fresh();
        let mut step = self.store.begin().await?;
        step.put_token(TokenHash::of(&token), user).await?;
        step.commit().await?;
        Ok(token)
    }

    /// Forgets `token` and every grant of its user.
    pub(crate) async fn revoke_token(&self, token: &str) {
        let token = TokenHash::of(token);
        let Ok(mut step) = self.store.begin().await else { return };
        let Ok(Some(user)) = self.owner(&mut *step, token).await else { return };
        let removed = step.remove_token(token).await;
        let taken = self.take_grants(step, &Whose::User(user)).await;
        if removed.and(taken).is_err() {
            self.revoked(|revoked| revoked.tokens.insert(token));
        }
    }

    /// Forgets every grant.
    pub async fn revoke_grants(&self) {
        if let Ok(step) = self.store.begin().await {
            let _ = self.take_grants(step, &Whose::Everybody).await;
        }
    }

    /// Removes grants and commits. What the store fails to remove counts as removed all the same.
    async fn take_grants(&self, mut step: Box<dyn Transaction>, whose: &Whose) -> Result<(), StoreError> {
        let mut grants = match whose {
            Whose::Workspace(id) => step.grants_for(*id).await?,
            _ => step.grants().await?,
        };
        grants.retain(|grant| whose.includes(grant));
        let serials: Vec<u64> = grants.iter().map(|grant| grant.serial).collect();
        let removed = match step.remove_grants(&serials).await {
            Ok(()) => step.commit().await,
            failed => failed,
        };
        if removed.is_err() {
            self.revoked(|revoked| revoked.grants.extend(serials));
        }
        removed
    }

    /// Whether the grant with that serial number has not been taken back. One that has run out counts, as long as it is
    /// remembered: a connection outlives its grant's time, as it does with sshd(8).
    pub async fn holds(&self, serial: u64) -> bool {
        if self.revoked(|revoked| revoked.grants.contains(&serial)) {
            return false;
        }
        let Ok(mut step) = self.store.begin().await else { return false };
        step.holds_grant(serial).await.unwrap_or(false)
    }

    /// The workspaces that are served, as they are now.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        self.served(&mut *self.store.begin().await?).await
    }

    async fn served(&self, step: &mut dyn Transaction) -> Result<Vec<Workspace>, StoreError> {
        let now = SystemTime::now();
        let mut workspaces = step.workspaces().await?;
        workspaces.retain_mut(|workspace| {
            workspace.lifecycle = workspace.lifecycle.settle(now);
            self.served.contains(&workspace.id)
        });
        Ok(workspaces)
    }

    /// The workspace with that id, if it is served and open to the user.
    async fn seen(&self, step: &mut dyn Transaction, user: &str, id: u64) -> Result<Workspace, Refusal> {
        let found = step.workspace(id).await?.filter(|w| self.served.contains(&id) && w.is_open_to(user));
        let mut workspace = found.ok_or(Refusal::NotFound)?;
        workspace.lifecycle = workspace.lifecycle.settle(SystemTime::now());
        Ok(workspace)
    }

    /// The workspaces of a category, as `user` sees them.
    pub(crate) async fn list(&self, user: &str, shared: bool) -> Result<Vec<wire::WorkspaceRow>, StoreError> {
        let workspaces = self.workspaces().await?;
        let seen =
            workspaces.iter().filter(|w| if shared { w.shared && w.owner != user } else { w.owner == user });
        Ok(seen.map(Workspace::wire).collect())
    }

    /// The workspace called `title`.
    pub(crate) async fn titled(&self, title: &str) -> Result<Option<Workspace>, StoreError> {
        Ok(self.workspaces().await?.into_iter().find(|workspace| workspace.title == title))
    }

    /// The workspace with that id, if `user` may see it.
    pub(crate) async fn workspace(&self, user: &str, id: u64) -> Result<Workspace, Refusal> {
        self.seen(&mut *self.store.begin().await?, user, id).await
    }

    /// Says that a workspace runs after `delay`; fine when it runs.
    pub(crate) async fn start(&self, user: &str, id: u64, delay: Duration) -> Result<(), Refusal> {
        let mut step = self.store.begin().await?;
        let mut workspace = self.seen(&mut *step, user, id).await?;
        workspace.lifecycle = workspace.lifecycle.start(SystemTime::now(), delay);
        step.put_workspace(&workspace).await?;
        Ok(step.commit().await?)
    }

    /// Says that a workspace is stopped after `delay`, and forgets its grants; fine when it is stopped.
    pub(crate) async fn stop(&self, user: &str, id: u64, delay: Duration) -> Result<(), Refusal> {
        let mut step = self.store.begin().await?;
        let mut workspace = self.seen(&mut *step, user, id).await?;
        workspace.lifecycle = workspace.lifecycle.stop(SystemTime::now(), delay);
        step.put_workspace(&workspace).await?;
        Ok(self.take_grants(step, &Whose::Workspace(id)).await?)
    }

    /// Grants `key` a session of at most `ttl` on a running workspace. The token is looked at again here: its request may
    /// have taken its time, and the token been revoked meanwhile.
    pub(crate) async fn grant(
        &self,
        token: &str,
        id: u64,
        key: KeyData,
        ttl: Duration,
        client: &str,
    ) -> Result<(Workspace, Grant), Refusal> {
        if !self.rules.ssh_enabled {
            return Err(Refusal::Unavailable);
        }
        let mut step = self.store.begin().await?;
        let user = self.owner(&mut *step, TokenHash::of(token)).await?.ok_or(Refusal::LoggedOut)?;
        let workspace = self.seen(&mut *step, &user, id).await?;
        if !workspace.has_ssh() {
            return Err(Refusal::Forbidden);
        }
        if workspace.lifecycle != Lifecycle::Running {
            return Err(Refusal::NotRunning);
        }
        let now = SystemTime::now();
        if !self.is_within_rate(&user, now) {
            return Err(Refusal::TooMany);
        }
        let grant = Grant {
            serial: self.serial.fetch_add(1, Ordering::Relaxed) + 1,
            workspace: id,
            user,
            client: client.to_owned(),
            key,
            expires: now + ttl.min(self.rules.max_ttl),
            certified: self.rules.credential == CredentialMode::Certificate,
        };
        let over = step.grants().await?.into_iter().filter(|g| !g.is_live(now)).map(|g| g.serial);
        step.remove_grants(&over.collect::<Vec<_>>()).await?;
        step.put_grant(&grant).await?;
        step.commit().await?;
        Ok((workspace, grant))
    }

    /// Whether the user may have one more session now, which counts.
    fn is_within_rate(&self, user: &str, now: SystemTime) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = recent.entry(user.to_owned()).or_default();
        recent.retain(|at| now.duration_since(*at).is_ok_and(|age| age < MINUTE));
        let within = recent.len() < self.rules.sessions_per_minute as usize;
        if within {
            recent.push(now);
        }
        within
    }

    /// The live grant that lets `key` into the running workspace called `title`, the one that lasts longest first.
    pub async fn admit(&self, title: &str, key: &KeyData) -> Option<(Workspace, Grant)> {
        self.admit_if(title, key, |_| true).await
    }

    /// The same, for the grant with that serial number alone.
    pub async fn admit_certified(
        &self,
        title: &str,
        key: &KeyData,
        serial: u64,
    ) -> Option<(Workspace, Grant)> {
        self.admit_if(title, key, |grant| grant.certified & (grant.serial == serial)).await
    }

    async fn admit_if(
        &self,
        title: &str,
        key: &KeyData,
        fits: impl Fn(&Grant) -> bool,
    ) -> Option<(Workspace, Grant)> {
        let mut step = self.store.begin().await.ok()?;
        let workspaces = self.served(&mut *step).await.ok()?;
        let workspace =
            workspaces.into_iter().find(|w| w.title == title && w.lifecycle == Lifecycle::Running);
        // Grants are looked up whether or not the workspace exists: the refusals cost the same.
        let grants = step.grants_for(workspace.as_ref().map_or(0, |w| w.id)).await.ok()?;
        drop(step);
        let now = SystemTime::now();
        let revoked = |serial: &u64| self.revoked(|revoked| revoked.grants.contains(serial));
        let live =
            grants.into_iter().filter(|g| (&g.key == key) & g.is_live(now) & fits(g) & !revoked(&g.serial));
        workspace.zip(live.max_by_key(|g| (g.expires, g.serial)))
    }

    /// A random text that is kept under this name; a new one the first time.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    pub async fn secret(&self, name: &str) -> Result<String, Error> {
        let mut step = self.store.begin().await?;
        if let Some(text) = step.key(name).await? {
            return Ok(text);
        }
        let secret = token::fresh();
        step.put_key(name, &secret).await?;
        step.commit().await?;
        Ok(secret)
    }

    /// The private key that is kept under this name; a new one the first time.
    ///
    /// # Errors
    /// When it cannot be read, made or kept.
    pub async fn key(&self, name: &str) -> Result<PrivateKey, Error> {
        let mut step = self.store.begin().await?;
        if let Some(text) = step.key(name).await? {
            return Ok(PrivateKey::from_openssh(text)?);
        }
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
        step.put_key(name, &key.to_openssh(LineEnding::LF)?).await?;
        step.commit().await?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
