//! From the name that a user typed to one of the sessions on this machine. Never a guess.

use crate::error::{Code, Error, Result};
use crate::origin::names::{few, number};
use crate::origin::{self, SessionKey, Unresolved};
use crate::output::foreign::Name;
use crate::output::sanitize::short;
use crate::session::{Session, Sessions};

/// As [`origin::resolve()`], for what is on this machine alone: the number or the title of a session that is here; only
/// another name needs the origin.
pub fn resolve_here(name: &str, sessions: &Sessions<'_>) -> Result<SessionKey> {
    let wanted = number(name);
    let bears = |session: &Session| match wanted {
        Some(_) => session.meta.key.workspace_id() == wanted,
        None => session.meta.title.raw().eq_ignore_ascii_case(name) || session.meta.key.words() == name,
    };
    let here = sessions.store().sessions()?.into_iter().filter(bears).collect::<Vec<_>>();
    // The selected control plane comes first: sessions of others may be here too.
    let selected = sessions.origins().selected()?;
    let ours = here.iter().filter(|session| selected.covers(session.meta.key.origin())).collect::<Vec<_>>();
    match (&ours[..], &here[..]) {
        ([session], _) => return Ok(session.meta.key.clone()),
        ([], [session]) => return Ok(session.meta.key.clone()),
        ([], []) => {}
        _ => return Err(several(name, &here)),
    }
    match origin::resolve(name, sessions.origins()) {
        Ok(target) => Ok(target.key),
        Err(Unresolved::NotFound(error) | Unresolved::Ambiguous(error)) => Err(error),
        Err(Unresolved::Failed(error)) => {
            Err(error.context(format!("no session here is called `{}`", short(name))))
        }
    }
}

fn several(name: &str, here: &[Session]) -> Error {
    let mut ids = here.iter().map(|session| session.meta.key.words()).collect::<Vec<_>>();
    ids.dedup();
    let is_one_number = ids.len() == 1;
    let (what, hint) = if is_one_number {
        let bases = here.iter().filter_map(|session| session.meta.key.api_base()).map(ToString::to_string);
        (bases.collect::<Vec<_>>(), "set RUNCODE_API_BASE to the control plane you mean")
    } else {
        (ids, "give the id instead")
    };
    let what = few(what.into_iter());
    Error::new(Code::Ambiguous, format!("several sessions here are called `{}`: {what}", short(name)))
        .hint(hint)
}

/// A workspace as a person knows it, `web (#2)`, as far as this machine knows that, too.
pub fn shown(key: &SessionKey, sessions: &Sessions<'_>) -> String {
    key.shown(title_here(key, sessions).as_ref())
}

/// The word to give a command for a workspace: its title where that is a plain word, else its id.
pub fn word_for(key: &SessionKey, sessions: &Sessions<'_>) -> String {
    let title = title_here(key, sessions);
    title.as_ref().and_then(Name::word).map_or_else(|| key.words(), str::to_owned)
}

/// The title of a workspace that has a session here.
pub fn title_here(key: &SessionKey, sessions: &Sessions<'_>) -> Option<Name> {
    Some(sessions.store().read(key).ok().flatten()?.meta.title)
}
