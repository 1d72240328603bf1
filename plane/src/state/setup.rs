//! From what is given and what was kept to a [`State`]: everything a caller can get wrong is found here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::token::{self, TokenHash};
use super::{Lifecycle, State, Store, Transaction, Workspace};
use crate::error::Error;
use crate::spec::{Rules, UserSpec, WorkspaceSpec};

const FIRST_USER: &str = "you@localhost";
const TEAMMATE: &str = "teammate@localhost";
const TITLE_LIMIT: usize = 64;

impl State {
    /// Serves the given workspaces and those that the store remembers, to the given users and those that it remembers.
    /// Returns the state and a token of the first user.
    ///
    /// # Errors
    /// When a user or a workspace cannot be served as described, or the store cannot be used.
    pub async fn open(
        store: Arc<dyn Store>,
        users: &[UserSpec],
        specs: &[WorkspaceSpec],
        rules: Rules,
    ) -> Result<(State, String), Error> {
        let mut step = store.begin().await?;
        let (users, token) = add_users(&mut *step, users).await?;
        let known = step.workspaces().await?;
        let mut titles = HashSet::new();
        let mut served = HashSet::new();
        let mut last = known.iter().map(|workspace| workspace.id).max().unwrap_or_default();
        for spec in specs {
            if !titles.insert(spec.title.to_ascii_lowercase()) {
                return Err(refused(spec, "the title is taken"));
            }
            let known = known.iter().find(|known| known.title.eq_ignore_ascii_case(&spec.title));
            let id = known.map_or_else(|| last + 1, |known| known.id);
            last = last.max(id);
            let mut workspace = workspace(id, spec, &users)?;
            if let Some(known) = known {
                workspace.lifecycle = known.lifecycle;
            }
            step.put_workspace(&workspace).await?;
            served.insert(id);
        }
        // A folder that is gone is no reason not to serve the others.
        served.extend(
            known
                .iter()
                .filter(|known| !titles.contains(&known.title.to_ascii_lowercase()) && known.dir.is_dir())
                .map(|known| known.id),
        );
        let serial = last_serial(&mut *step).await?;
        step.commit().await?;
        let state = State {
            store,
            rules,
            served,
            serial: serial.into(),
            recent: Default::default(),
            revoked: Default::default(),
        };
        Ok((state, token))
    }
}

/// Serial numbers of sessions that are forgotten must not come again: they begin at the time.
async fn last_serial(step: &mut dyn Transaction) -> Result<u64, Error> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(step.grants().await?.iter().map(|grant| grant.serial).max().unwrap_or_default().max(now))
}

/// Takes the given users in, or the first known one; returns all of them in their order, and a token of the first.
async fn add_users(step: &mut dyn Transaction, given: &[UserSpec]) -> Result<(Vec<String>, String), Error> {
    let mut known = step.users().await?;
    let mut specs = given.to_vec();
    if specs.is_empty() {
        let email = known.first().cloned().unwrap_or_else(|| FIRST_USER.to_owned());
        specs.push(UserSpec { email, token: None });
    }
    let mut tokens = Vec::new();
    for (position, spec) in specs.iter().enumerate() {
        let refused = |reason: &str| Error::User { email: spec.email.clone(), reason: reason.to_owned() };
        if spec.email.is_empty() || specs.iter().skip(position + 1).any(|other| other.email == spec.email) {
            return Err(refused("the e-mail address is empty or taken"));
        }
        let token = spec.token.clone().unwrap_or_else(token::fresh);
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refused("the token is empty or holds more than printable ASCII"));
        }
        let hash = TokenHash::of(&token);
        if step.token_owner(hash).await?.is_some_and(|owner| owner != spec.email) {
            return Err(refused("the token is taken"));
        }
        step.put_token(hash, &spec.email).await?;
        tokens.push(token);
    }
    let given: Vec<String> = specs.into_iter().map(|spec| spec.email).collect();
    known.retain(|known| !given.contains(known));
    known.splice(0..0, given);
    for (position, email) in known.iter().enumerate() {
        step.put_user(email, position).await?;
    }
    Ok((known, tokens.into_iter().next().unwrap_or_default()))
}

fn workspace(id: u64, spec: &WorkspaceSpec, users: &[String]) -> Result<Workspace, Error> {
    let mut bytes = spec.title.bytes();
    let slug = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && spec.title.len() <= TITLE_LIMIT;
    if !slug {
        return Err(refused(spec, "a title is made of letters, digits, `.`, `_` and `-`, 64 at most"));
    }
    let dir = std::fs::canonicalize(&spec.dir)
        .map_err(|e| refused(spec, format!("{}: {e}", spec.dir.display())))?;
    if !dir.is_dir() {
        return Err(refused(spec, format!("{} is not a folder", dir.display())));
    }
    let owner = match &spec.owner {
        Some(owner) => owner.clone(),
        None if spec.shared => TEAMMATE.to_owned(),
        None => users.first().cloned().unwrap_or_default(),
    };
    Ok(Workspace {
        id,
        title: spec.title.clone(),
        custom_title: spec.custom_title.clone(),
        provider: spec.provider.clone(),
        owner,
        shared: spec.shared,
        dir,
        lifecycle: if spec.running { Lifecycle::Running } else { Lifecycle::Stopped },
    })
}

fn refused(spec: &WorkspaceSpec, reason: impl Into<String>) -> Error {
    Error::Workspace { title: spec.title.clone(), reason: reason.into() }
}
