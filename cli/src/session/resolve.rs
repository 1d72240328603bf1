//! From the name that a user typed to one of the sessions on this machine. Never a guess.

use crate::error::{Code, Error, Result};
use crate::origin::names::{few, number};
use crate::origin::{self, BaseUrl, OriginId, Servers, SessionKey, SshHosts, Unresolved};
use crate::output::foreign::{self, Name};
use crate::session::{Session, Sessions};

/// As [`origin::resolve()`], for what is on this machine alone: the number or the title of a session that is here; only
/// another name needs the origin.
pub fn resolve_here(name: &str, sessions: &Sessions<'_>) -> Result<SessionKey> {
    let here = borne_here(name, sessions)?;
    if let Some(key) = here.as_ref().filter(|key| !is_unsure(name, key, sessions)) {
        return Ok(key.clone());
    }
    match (origin::resolve(name, sessions.origins()), here) {
        (Ok(target), _) => Ok(target.key),
        (Err(Unresolved::NotFound(_)), Some(key)) => Ok(key), // nothing else can be meant
        (Err(Unresolved::Failed(_)), Some(key)) => Err(unsure(name, &key)),
        (Err(failure), _) => Err(not_here(name, failure)),
    }
}

fn not_here(name: &str, failure: Unresolved) -> Error {
    match failure {
        Unresolved::NotFound(error) | Unresolved::Ambiguous(error) => error,
        Unresolved::Failed(error) => {
            error.context(format!("no session here is called {}", foreign::word(name)))
        }
    }
}

/// As [`resolve_here`], without asking anybody; `None` if only an origin could tell. A title that may belong to somebody else's
/// workspace is an error: a command would ask the control plane, which may know one of the user's own workspaces by it.
pub fn known_here(name: &str, sessions: &Sessions<'_>) -> Result<Option<SessionKey>> {
    if let Some(key) = borne_here(name, sessions)? {
        return if is_unsure(name, &key, sessions) { Err(unsure(name, &key)) } else { Ok(Some(key)) };
    }
    let base = sessions.origins().selected()?.base;
    if let Some(server) = Servers::explicit(name) {
        return Ok(SessionKey::server(server));
    }
    let explicit = || SshHosts::explicit(name)?.ok().map(|host| SessionKey::ssh(&host));
    Ok(number(name).and_then(|number| SessionKey::plane(base, number)).or_else(explicit))
}

/// Whether a workspace goes by this name, as far as can be found out.
pub fn is_workspace(name: &str, sessions: &Sessions<'_>) -> bool {
    if !matches!(borne_here(name, sessions), Ok(None)) {
        return true; // several are some, too
    }
    let origins = sessions.origins();
    if let Some(number) = number(name) {
        let is_listed = |base: &BaseUrl| {
            let key = SessionKey::plane(base, number)?;
            origins.has_login().ok()?.then_some(())?;
            let listed = origins.origin(key.origin()).ok()?.list().ok()?;
            Some(listed.iter().any(|workspace| workspace.key == key))
        };
        return origins.selected().ok().and_then(|selected| is_listed(selected.base)).unwrap_or_default();
    }
    matches!(origin::resolve(name, origins), Ok(_) | Err(Unresolved::Ambiguous(_)))
}

/// The one workspace of this name that has a session here or is attached.
fn borne_here(name: &str, sessions: &Sessions<'_>) -> Result<Option<SessionKey>> {
    // A bare name is a server first, as everywhere; one that the file no longer names may still have a session.
    let server = match Servers::explicit(name) {
        Some(name) => Some(name),
        None if number(name).is_some() => None,
        None => sessions.origins().origin(&OriginId::Server)?.resolve(name).is_ok().then_some(name),
    };
    if let Some(key) = server.and_then(SessionKey::server) {
        let attachments = sessions.attachments().all().unwrap_or_default();
        let is_here = sessions.store().has_any(&key) || attachments.iter().any(|it| it.key == key);
        return Ok(is_here.then_some(key));
    }
    let wanted = number(name);
    let bears = |key: &SessionKey, is_called: bool| match wanted {
        Some(_) => key.workspace_id() == wanted,
        None => key.words() == name || is_called,
    };
    let mut here = Vec::<SessionKey>::new();
    for Session { meta, .. } in sessions.store().sessions()? {
        here.extend(bears(&meta.key, meta.is_called(name)).then_some(meta.key));
    }
    for attached in sessions.attachments().all().unwrap_or_default() {
        let is_new = !here.contains(&attached.key) && bears(&attached.key, attached.is_called(name));
        here.extend(is_new.then_some(attached.key));
    }
    // The selected control plane comes first: sessions of others may be here too.
    let selected = sessions.origins().selected()?;
    let ours = here.iter().filter(|key| selected.covers(key.origin())).collect::<Vec<_>>();
    match (&ours[..], &here[..]) {
        ([key], _) => Ok(Some((*key).clone())),
        ([], [key]) => Ok(Some(key.clone())),
        ([], []) => Ok(None),
        _ => Err(several(name, &here)),
    }
}

/// Whether the name is a title that somebody who shares the workspace may have chosen.
fn is_unsure(name: &str, key: &SessionKey, sessions: &Sessions<'_>) -> bool {
    let is_title = number(name).is_none() && matches!(key.origin(), OriginId::Plane(_));
    let is_own = || {
        let session = sessions.store().read(key).ok().flatten();
        session.is_some_and(|session| session.meta.shared == Some(false))
    };
    is_title && !is_own()
}

fn unsure(name: &str, key: &SessionKey) -> Error {
    let what = format!(
        "the workspace {}, which has a session here, may not be the one called {}",
        key.words(),
        foreign::word(name)
    );
    Error::new(Code::Ambiguous, what).hint(format!("give the id instead: {}", key.words()))
}

fn several(name: &str, here: &[SessionKey]) -> Error {
    let mut ids = here.iter().map(SessionKey::words).collect::<Vec<_>>();
    ids.dedup();
    let is_one_number = ids.len() == 1;
    let (what, hint) = if is_one_number {
        let bases = here.iter().filter_map(SessionKey::api_base).map(ToString::to_string);
        (bases.collect::<Vec<_>>(), "set RUNCODE_API_BASE to the control plane you mean")
    } else {
        (ids, "give the id instead")
    };
    let what = few(what.into_iter());
    Error::new(Code::Ambiguous, format!("several sessions here are called {}: {what}", foreign::word(name)))
        .hint(hint)
}

/// Where commands in this folder go now that it has been detached, if they go anywhere.
pub fn meant_now(sessions: &Sessions<'_>) -> Option<String> {
    let now = sessions.applying().ok()?.one().ok().flatten()?;
    Some(format!("  commands here reach {} now", now.shown_with_folder()))
}

/// A workspace as a person knows it, `web (#2)`, as far as this machine knows that, too.
pub fn shown(key: &SessionKey, sessions: &Sessions<'_>) -> String {
    key.shown(title_here(key, sessions).as_ref())
}

/// The title of a workspace that has a session here.
pub fn title_here(key: &SessionKey, sessions: &Sessions<'_>) -> Option<Name> {
    Some(sessions.store().read(key).ok().flatten()?.meta.title)
}
