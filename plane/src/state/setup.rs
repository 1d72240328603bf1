//! From [`Options`] to a [`State`]: everything a caller can get wrong is found here.

use std::collections::HashSet;
use std::path::Path;

use super::token::{self, TokenHash};
use super::{Inner, Lifecycle, State, Workspace};
use crate::error::Error;
use crate::options::{Options, WorkspaceSpec};

const FIRST_USER: &str = "you@localhost";
const TEAMMATE: &str = "teammate@localhost";
const TITLE_LIMIT: usize = 64;

impl State {
    /// Checks the options; returns the state and a token of the first user.
    pub(crate) fn new(options: &Options) -> Result<(State, String), Error> {
        let aliases = tempfile::Builder::new()
            .prefix("runcode-plane-")
            .tempdir()
            .map_err(Error::io("a temporary folder"))?;
        let mut inner = Inner::default();
        let token = add_users(&mut inner, options)?;
        let mut titles = HashSet::new();
        for (spec, id) in options.workspaces.iter().zip(1..) {
            if !titles.insert(spec.title.to_ascii_lowercase()) {
                return Err(refused(spec, "the title is taken"));
            }
            let workspace = workspace(id, spec, &inner.users, aliases.path())?;
            inner.workspaces.insert(id, workspace);
        }
        let state = State {
            inner: inner.into(),
            boot_delay: options.boot_delay,
            max_ttl: options.max_ttl,
            credential: options.credential,
            ssh_enabled: options.ssh_enabled,
            sessions_per_minute: options.sessions_per_minute,
            _aliases: aliases,
        };
        Ok((state, token))
    }
}

fn add_users(inner: &mut Inner, options: &Options) -> Result<String, Error> {
    let mut first = None;
    let unnamed = [crate::UserSpec { email: FIRST_USER.to_owned(), token: None }];
    let users = if options.users.is_empty() { &unnamed[..] } else { &options.users };
    for spec in users {
        let refused = |reason: &str| Error::User { email: spec.email.clone(), reason: reason.to_owned() };
        if spec.email.is_empty() || inner.users.contains(&spec.email) {
            return Err(refused("the e-mail address is empty or taken"));
        }
        let token = spec.token.clone().unwrap_or_else(token::fresh);
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refused("the token is empty or holds more than printable ASCII"));
        }
        if inner.tokens.insert(TokenHash::of(&token), spec.email.clone()).is_some() {
            return Err(refused("the token is taken"));
        }
        inner.users.push(spec.email.clone());
        first.get_or_insert(token);
    }
    Ok(first.unwrap_or_default())
}

fn workspace(id: u64, spec: &WorkspaceSpec, users: &[String], aliases: &Path) -> Result<Workspace, Error> {
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
    let workdir = plain_name(id, &dir, aliases)
        .map_err(|e| refused(spec, format!("a plain name for {}: {e}", dir.display())))?;
    Ok(Workspace {
        id,
        title: spec.title.clone(),
        custom_title: spec.custom_title.clone(),
        provider: spec.provider.clone(),
        owner,
        shared: spec.shared,
        dir,
        workdir,
        lifecycle: if spec.running { Lifecycle::Running } else { Lifecycle::Stopped },
        refuse_start: spec.refuse_start.clone(),
        refuse_stop: spec.refuse_stop.clone(),
    })
}

/// The folder's own path when a client takes it as it stands, else a link to it with a name that is plain.
fn plain_name(id: u64, dir: &Path, aliases: &Path) -> std::io::Result<String> {
    let plain = |path: &Path| {
        let text = path.to_str()?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
        (text.bytes().all(allowed) && text.starts_with('/') && text.len() <= 1024).then(|| text.to_owned())
    };
    if let Some(path) = plain(dir) {
        return Ok(path);
    }
    let link = aliases.join(format!("workspace-{id}"));
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir, &link)?;
    Ok(plain(&link).unwrap_or_else(|| dir.to_string_lossy().into_owned()))
}

fn refused(spec: &WorkspaceSpec, reason: impl Into<String>) -> Error {
    Error::Workspace { title: spec.title.clone(), reason: reason.into() }
}
