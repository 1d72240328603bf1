//! From [`Options`] to a [`State`]: everything a caller can get wrong is found here.

use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use super::record::{GrantRecord, WorkspaceRecord};
use super::token::{self, TokenHash};
use super::{Inner, Kind, Lifecycle, State, Store, Workspace};
use crate::error::Error;
use crate::options::{Options, UserSpec, WorkspaceSpec};

const FIRST_USER: &str = "you@localhost";
const TEAMMATE: &str = "teammate@localhost";
const TITLE_LIMIT: usize = 64;

impl State {
    /// Checks the options; returns the state and a token of the first user.
    pub(crate) fn new(options: &Options, store: Option<Store>) -> Result<(State, String), Error> {
        let aliases = private_folder().map_err(Error::io("a temporary folder"))?;
        let mut inner = Inner { store, ..Inner::default() };
        let known = remembered(&mut inner).map_err(unreadable)?;
        let token = add_users(&mut inner, options)?;
        let mut titles = HashSet::new();
        let mut last = known.iter().map(|record| record.id).max().unwrap_or_default();
        for spec in &options.workspaces {
            if !titles.insert(spec.title.to_ascii_lowercase()) {
                return Err(refused(spec, "the title is taken"));
            }
            let known = known.iter().find(|record| record.title.eq_ignore_ascii_case(&spec.title));
            let id = known.map_or_else(|| last + 1, |record| record.id);
            last = last.max(id);
            let mut workspace = workspace(id, spec, &inner.users, aliases.path())?;
            if let Some(known) = known {
                workspace.lifecycle = known.lifecycle();
            }
            add(&mut inner, workspace)?;
        }
        for record in known.iter().filter(|record| !titles.contains(&record.title.to_ascii_lowercase())) {
            let mut spec = WorkspaceSpec::new(&record.title, &record.dir);
            spec.custom_title = record.custom_title.clone();
            spec.provider = record.provider.clone();
            (spec.shared, spec.owner) = (record.shared, Some(record.owner.clone()));
            // A folder that is gone is no reason not to serve the others.
            if let Ok(mut workspace) = workspace(record.id, &spec, &inner.users, aliases.path()) {
                workspace.lifecycle = record.lifecycle();
                add(&mut inner, workspace)?;
            }
        }
        let state = State {
            inner: inner.into(),
            boot_delay: options.boot_delay,
            max_ttl: options.max_ttl,
            credential: options.credential,
            ssh_enabled: options.ssh_enabled,
            sessions_per_minute: options.sessions_per_minute,
            // A plane that is killed leaves nothing behind where nothing was needed.
            _aliases: Some(aliases)
                .filter(|folder| std::fs::read_dir(folder).is_ok_and(|mut e| e.next().is_some())),
        };
        Ok((state, token))
    }
}

/// A temporary folder for this user alone, whatever the umask.
fn private_folder() -> std::io::Result<tempfile::TempDir> {
    let mut folder = tempfile::Builder::new();
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    folder.prefix("runcode-plane-").tempdir()
}

/// Reads what was written down before: users, tokens and grants go to `inner`, the workspaces are returned.
fn remembered(inner: &mut Inner) -> rusqlite::Result<Vec<WorkspaceRecord>> {
    let Some(store) = &inner.store else { return Ok(Vec::new()) };
    let mut users: Vec<(String, u64)> = store.all(Kind::User)?;
    users.sort_by_key(|(_, position)| *position);
    inner.users = users.into_iter().map(|(email, _)| email).collect();
    let tokens: Vec<(String, String)> = store.all(Kind::Token)?;
    inner.tokens = tokens.into_iter().filter_map(|(hash, user)| Some((hash.parse().ok()?, user))).collect();
    let grants: Vec<(String, GrantRecord)> = store.all(Kind::Grant)?;
    inner.grants = grants.iter().filter_map(|(_, record)| record.grant()).collect();
    // Serial numbers of sessions that are forgotten must not come again: begin at the time.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    inner.serial = inner.grants.iter().map(|grant| grant.serial).max().unwrap_or_default().max(now);
    Ok(store.all(Kind::Workspace)?.into_iter().map(|(_, record)| record).collect())
}

fn add(inner: &mut Inner, workspace: Workspace) -> Result<(), Error> {
    if let Some(store) = &inner.store {
        let record = WorkspaceRecord::from(&workspace);
        store.put(Kind::Workspace, &workspace.id.to_string(), &record).map_err(unreadable)?;
    }
    inner.workspaces.insert(workspace.id, workspace);
    Ok(())
}

fn unreadable(e: rusqlite::Error) -> Error {
    Error::State { path: "the state folder".into(), reason: e.to_string() }
}

/// Takes the users of the options in, or the first known one; returns a token of the first.
fn add_users(inner: &mut Inner, options: &Options) -> Result<String, Error> {
    let mut specs = options.users.clone();
    if specs.is_empty() {
        let email = inner.users.first().cloned().unwrap_or_else(|| FIRST_USER.to_owned());
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
        let owner = inner.tokens.insert(hash, spec.email.clone());
        if owner.is_some_and(|owner| owner != spec.email) {
            return Err(refused("the token is taken"));
        }
        if let Some(store) = &inner.store {
            store.put(Kind::User, &spec.email, &position).map_err(unreadable)?;
            store.put(Kind::Token, &hash.to_string(), &spec.email).map_err(unreadable)?;
        }
        tokens.push(token);
    }
    let given: Vec<String> = specs.into_iter().map(|spec| spec.email).collect();
    inner.users.retain(|known| !given.contains(known));
    inner.users.splice(0..0, given);
    Ok(tokens.into_iter().next().unwrap_or_default())
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

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    #[test]
    fn a_temporary_folder_is_for_this_user_alone() {
        let folder = super::private_folder().unwrap();
        let permissions = std::fs::metadata(folder.path()).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o700);
    }
}
