//! Where a session comes from, and which one the user's words mean.
//!
//! An origin knows workspaces by name and grants sessions for them; what becomes of a session afterwards is the same for
//! all. To add one: its file here, its arm in [`resolve()`], its arm in [`crate::app::App`], its tests.

mod failure;
pub mod hosted;
mod key;
pub mod names;
pub mod servers;
pub mod ssh_alias;

use std::path::Path;
use std::time::Duration;

use ssh_key::PublicKey;

use crate::error::{Code, Error, Result};
use crate::grant::Grant;
use crate::output::foreign::{self, Name};

pub use failure::{Ungranted, Unresolved};
pub use hosted::BaseUrl;
pub use key::{OriginId, SessionKey};
pub use servers::{Servers, Terms, Trail};
pub use ssh_alias::SshHosts;

/// The longest that any origin takes over a grant: whoever holds a lock meanwhile is waited for so long.
pub const SLOWEST_GRANT: Duration = hosted::client::DEADLINE;

/// A workspace as its origin lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Names it.
    pub key: SessionKey,
    /// What it is called; for a control plane's, also the SSH user.
    pub title: Name,
    /// The name that a user, possibly a teammate, gave it.
    pub custom_title: Option<Name>,
    /// What it is for, in its owner's words.
    pub environment: Option<Name>,
    /// Its state, where the origin knows one.
    pub state: Option<Name>,
    /// Whether it is somebody else's, shared with us.
    pub shared: bool,
    /// Whether it has SSH at all.
    pub ssh_capable: bool,
}

impl Workspace {
    /// Whether it is known to be in this state.
    pub fn is_in(&self, state: &str) -> bool {
        self.state.as_ref().is_some_and(|known| known.raw() == state)
    }

    /// Whether it is known to be up.
    pub fn is_running(&self) -> bool {
        self.is_in("running")
    }

    /// Whether SSH can reach it now, as far as is known.
    pub fn is_connectable(&self) -> bool {
        self.ssh_capable && (self.state.is_none() || self.is_running())
    }
}

/// The workspace that a user's words mean.
#[derive(Debug, Clone)]
pub struct Target {
    /// Names it.
    pub key: SessionKey,
    /// Its row, when a list was read to find it.
    pub row: Option<Workspace>,
}

/// What a session is asked for with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Our public key; its private half stays here. An origin that lets in by other means ignores it.
    pub key: &'a PublicKey,
    /// The lifetime to ask for.
    pub ttl: Duration,
    /// The agent on whose behalf the session is made.
    pub client: &'a str,
}

/// A source of sessions.
pub trait Origin {
    /// Which one it is.
    fn id(&self) -> OriginId;

    /// The one workspace that bears `name`: never a guess.
    fn resolve(&self, name: &str) -> Result<Target, Unresolved>;

    /// Every workspace, sorted.
    fn list(&self) -> Result<Vec<Workspace>>;

    /// What a session of this workspace needs, every part of it validated.
    fn grant(&self, key: &SessionKey, request: &Request<'_>) -> Result<Grant, Ungranted>;

    /// A digest of what the user's own files say of this workspace now. A session that was made from another one is not used.
    /// None where they say nothing, or what they say is seen otherwise.
    fn definition(&self, _: &SessionKey) -> Result<Option<String>, Ungranted> {
        Ok(None)
    }

    /// What the owner allows on this workspace. None where there is nobody but its user.
    fn terms(&self, _: &SessionKey) -> Result<Option<Terms>, Ungranted> {
        Ok(None)
    }

    /// Refuses what leads, under another name, to a place where only this origin's owners say what may be done.
    fn refuse_other_name(&self, _: &SessionKey) -> Result<()> {
        Ok(())
    }

    /// The state of the workspace; none where the origin cannot tell.
    fn state(&self, key: &SessionKey) -> Result<Option<Name>> {
        Ok(self.list()?.into_iter().find(|row| row.key == *key).and_then(|row| row.state))
    }

    /// Boots the workspace, and says on stderr that it does; one that is up or on its way is fine. What is done on this machine
    /// takes no longer than `within`.
    fn start(&self, key: &SessionKey, within: Duration) -> Result<()> {
        let _ = within;
        Err(no_power(key, "started"))
    }

    /// Powers the workspace down; one that is down or on its way is fine.
    fn stop(&self, key: &SessionKey) -> Result<()> {
        Err(no_power(key, "stopped"))
    }
}

fn no_power(key: &SessionKey, what: &str) -> Error {
    Error::new(Code::Unavailable, format!("`{}` cannot be {what} from here", key.words()))
        .hint("add it to servers.toml with programs for its `power` (`runcode servers init` shows how)")
}

/// The origins that a command can ask. Each is set up when it is first asked.
pub trait Origins {
    /// The origin itself. A control plane other than the selected one is an error that says which one is meant.
    fn origin(&self, id: &OriginId) -> Result<&dyn Origin>;

    /// Whether the user has logged in to any control plane.
    fn has_login(&self) -> Result<bool>;

    /// The control plane that is meant where nobody says which.
    fn selected(&self) -> Result<Selected<'_>>;

    /// The log of what is done on a workspace; `None` where nobody wants one.
    fn trail(&self, _key: &SessionKey) -> Result<Option<Trail>> {
        Ok(None)
    }

    /// The control plane that the command line names.
    fn base_argument(&self) -> Option<&str> {
        None
    }

    /// The file of servers that the command line names instead of the usual ones.
    fn servers_file(&self) -> Option<&Path> {
        None
    }

    /// What has this name on this machine, ignoring case: workspaces that have a session, servers, and hosts of the ssh
    /// config. Empty if nothing is known.
    fn called_here(&self, _name: &str) -> Result<Vec<SessionKey>> {
        Ok(Vec::new())
    }
}

/// The control plane that is selected, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// Its base.
    pub base: &'a BaseUrl,
    /// Whether the user named it.
    pub is_given: bool,
}

impl Selected<'_> {
    /// Whether the origin can be asked: every one can, save another control plane.
    pub fn covers(&self, id: &OriginId) -> bool {
        match id {
            OriginId::Plane(base) => base == self.base,
            OriginId::Ssh | OriginId::Server => true,
        }
    }

    /// The error for what belongs to another control plane.
    pub fn elsewhere(&self, theirs: &BaseUrl) -> Error {
        Error::new(
            Code::NotFound,
            format!("the workspace belongs to {theirs}, but {} is selected", self.base),
        )
        .hint(format!("set RUNCODE_API_BASE={}, or run `runcode connect <workspace>` again", theirs.word()))
        .for_tools("call `connect` with one of the workspaces that `list` shows")
    }
}

/// The workspace that the user's words mean.
///
/// `server:NAME` is a server of servers.toml, `ssh:DEST` and words with an `@` are hosts of the user's own, and nothing else is
/// tried; so is a number for the selected control plane. Any other word is a server, else a workspace where there is a login,
/// and else a host that the user's ssh config knows; but a workspace that somebody shares takes no such host's name. A file or a
/// control plane that cannot be asked is an error: what a word means must not depend on luck.
pub fn resolve(words: &str, origins: &dyn Origins) -> Result<Target, Unresolved> {
    if let Some(name) = Servers::explicit(words) {
        return origins.origin(&OriginId::Server)?.resolve(name).map_err(servers::of_none);
    }
    if let Some(destination) = SshHosts::explicit(words) {
        return Ok(Target { key: SessionKey::ssh(&destination?), row: None });
    }
    let selected = origins.selected()?;
    let plane = || origins.origin(&OriginId::Plane(selected.base.clone()));
    if let Some(number) = names::number(words) {
        return match SessionKey::plane(selected.base, number) {
            Some(key) => Ok(Target { key, row: None }),
            None => plane()?.resolve(words),
        };
    }
    let no_server = match origins.origin(&OriginId::Server)?.resolve(words) {
        Err(Unresolved::NotFound(error)) => error,
        found => return found,
    };
    let own = || origins.origin(&OriginId::Ssh)?.resolve(words);
    let found = if origins.has_login()? {
        match plane()?.resolve(words) {
            Err(Unresolved::NotFound(error)) => own().map_err(|own| with_hint_of(error, own)),
            Ok(found) if found.row.as_ref().is_some_and(|row| row.shared) => {
                not_taken(words, found, own(), origins)
            }
            found => found,
        }
    } else {
        own().map_err(|failure| match failure {
            Unresolved::NotFound(error) => Unresolved::NotFound(without_login(error)),
            other => other,
        })
    };
    found.map_err(|failure| match failure {
        Unresolved::NotFound(error) => with_hint_of(error, Unresolved::NotFound(no_server)),
        other => other,
    })
}

/// `found`, which somebody else shares and has given its name, unless a host of the user's or a session here has the name, too.
fn not_taken(
    words: &str,
    found: Target,
    host: Result<Target, Unresolved>,
    origins: &dyn Origins,
) -> Result<Target, Unresolved> {
    let mut ours = match host {
        Ok(host) => vec![host.key],
        Err(Unresolved::NotFound(_)) => Vec::new(),
        Err(Unresolved::Failed(error)) if error.code() == Code::SshMissing => Vec::new(),
        Err(other) => return Err(other),
    };
    let selected = origins.selected()?;
    ours.extend(origins.called_here(words)?.into_iter().filter(|key| selected.covers(key.origin())));
    ours.retain(|key| *key != found.key);
    ours.sort_by_key(SessionKey::words);
    ours.dedup();
    if ours.is_empty() {
        return Ok(found);
    }
    let ours = names::few(ours.iter().map(SessionKey::words));
    let what = format!(
        "{} is {ours}, and also {}, which someone else shares",
        foreign::word(words),
        found.key.words()
    );
    Err(Unresolved::Ambiguous(Error::new(Code::Ambiguous, what).hint("give one of these instead")))
}

/// The same error, for a user whose workspaces cannot be looked up before a login.
fn without_login(error: Error) -> Error {
    let hinted = |hint: Option<&str>| {
        let login = "you are not logged in; for the workspaces of a control plane, run `runcode login`";
        hint.map_or_else(|| login.to_owned(), |hint| format!("{login}; {hint}"))
    };
    let (hint, for_tools) = (hinted(error.next_step()), hinted(error.next_step_with_tools()));
    error.hint(hint).for_tools(for_tools)
}

/// That nobody has such a name, and what another origin offers instead.
fn with_hint_of(error: Error, other: Unresolved) -> Unresolved {
    let other = match other {
        Unresolved::NotFound(other) => other,
        Unresolved::Failed(missing) if missing.code() == Code::SshMissing => {
            return Unresolved::Failed(missing);
        }
        _ => return Unresolved::NotFound(error),
    };
    let joined = |one: Option<&str>, other: Option<&str>| {
        let hints = one.into_iter().chain(other).collect::<Vec<_>>();
        (!hints.is_empty()).then(|| hints.join("; "))
    };
    let hint = joined(error.next_step(), other.next_step());
    let for_tools = joined(error.next_step_with_tools(), other.next_step_with_tools());
    Unresolved::NotFound(match (hint, for_tools) {
        (Some(hint), Some(for_tools)) if hint != for_tools => error.hint(hint).for_tools(for_tools),
        (Some(hint), _) => error.hint(hint),
        (None, _) => error,
    })
}

#[cfg(test)]
mod tests;
