//! From the name that a user typed to one workspace, and back. Never a guess.

use crate::error::{Code, Error, Result};
use crate::origin::hosted::{Client, Workspace};
use crate::output::progress::note;
use crate::output::sanitize::short;
use crate::session::Sessions;
use runcode_wire::MAX_WORKSPACE_ID;

/// The workspace that a name stands for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its id.
    pub id: u64,
    /// Its row, when the list was asked.
    pub row: Option<Workspace>,
}

/// Finds the workspace that `name` stands for: a number is an id and needs no list.
pub fn resolve(name: &str, plane: &Client) -> Result<Target> {
    if let Some(id) = numeric(name) {
        return Ok(Target { id, row: None });
    }
    let all = plane.workspaces()?;
    let workspace = by_name(name, &all)?;
    if workspace.shared {
        note(foreign(name, workspace));
    }
    Ok(Target { id: workspace.id, row: Some(workspace.clone()) })
}

/// As [`resolve`], for what is on this machine alone: an id, or the title of a session that is here; only another name
/// needs the control plane.
pub fn resolve_here<'a>(
    name: &str,
    sessions: &Sessions<'_>,
    plane: impl FnOnce() -> Result<&'a Client>,
) -> Result<u64> {
    if let Some(id) = numeric(name) {
        return Ok(id);
    }
    let bears = |id: &u64| title_here(*id, sessions).is_some_and(|title| title.eq_ignore_ascii_case(name));
    let here = sessions.store().ids()?.into_iter().filter(bears).collect::<Vec<_>>();
    // The control plane that is asked for comes first: sessions of others may be here too.
    let ours = here.iter().copied().filter(|&id| sessions.grants(id)).collect::<Vec<_>>();
    match (&ours[..], &here[..]) {
        ([id], _) | ([], [id]) => return Ok(*id),
        ([], []) => {}
        _ => {
            let ids = few(here.iter().map(u64::to_string));
            return Err(Error::new(
                Code::Ambiguous,
                format!("several sessions here are called `{}`: {ids}", short(name)),
            )
            .hint("give the id instead"));
        }
    }
    let found = plane().and_then(|plane| resolve(name, plane));
    found.map(|target| target.id).map_err(|error| match error.code() {
        Code::NotFound | Code::Ambiguous => error,
        _ => error.context(format!("no session here is called `{}`", short(name))),
    })
}

/// A workspace as a person knows it, `web (#2)`, as far as this machine knows that, too.
pub fn shown(id: u64, sessions: &Sessions<'_>) -> String {
    match title_here(id, sessions) {
        Some(title) => format!("{title} (#{id})"),
        None => format!("#{id}"),
    }
}

/// The title of a workspace that has a session here.
pub fn title_here(id: u64, sessions: &Sessions<'_>) -> Option<String> {
    let session = sessions.store().read(id).ok().flatten()?;
    Some(session.meta.endpoint.user.as_str().to_owned())
}

/// A display name is chosen by whoever owns the workspace: one that leads to somebody else's box is worth a word.
fn foreign(name: &str, workspace: &Workspace) -> String {
    format!(
        "note: `{}` is a workspace of somebody else, shared with you: {} (#{})",
        short(name),
        short(&workspace.title),
        workspace.id
    )
}

/// A numeric id as it was typed. A number of more than 2^53 names nothing.
pub fn numeric(name: &str) -> Option<u64> {
    if !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse::<u64>().ok().filter(|id| (1..=MAX_WORKSPACE_ID).contains(id))
}

/// The one workspace that bears `name` as its title or its custom title, whatever the case.
pub fn by_name<'a>(name: &str, all: &'a [Workspace]) -> Result<&'a Workspace> {
    let wanted = name.to_lowercase();
    let bears = |workspace: &&Workspace| {
        workspace.title.to_lowercase() == wanted
            || workspace.custom_title.as_ref().is_some_and(|title| title.to_lowercase() == wanted)
    };
    let found = all.iter().filter(bears).collect::<Vec<_>>();
    match found[..] {
        [workspace] => Ok(workspace),
        [] => Err(Error::new(Code::NotFound, format!("no workspace is called `{}`", short(name)))
            .hint(what_there_is(all))),
        _ => {
            let ids =
                few(found.iter().map(|workspace| format!("{} ({})", workspace.id, short(&workspace.title))));
            Err(Error::new(
                Code::Ambiguous,
                format!("several workspaces are called `{}`: {ids}", short(name)),
            )
            .hint("give the id instead"))
        }
    }
}

fn what_there_is(all: &[Workspace]) -> String {
    if all.is_empty() {
        return "you have no workspaces; create one on the web".to_owned();
    }
    let names = all.iter().map(|workspace| format!("{} ({})", short(&workspace.title), workspace.id));
    format!("there is: {}", few(names))
}

/// The first of these, and how many more there are.
fn few(mut names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 20;
    let mut shown = names.by_ref().take(SHOWN).collect::<Vec<_>>();
    if names.len() > 0 {
        shown.push(format!("and {} more", names.len()));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn workspace(id: u64, title: &str, custom: Option<&str>) -> Workspace {
        Workspace {
            id,
            title: title.into(),
            custom_title: custom.map(Into::into),
            state: "running".into(),
            shared: false,
            ssh_capable: true,
        }
    }

    #[test]
    fn a_name_is_one_workspace_or_an_error() {
        let all = [
            workspace(1, "royal-tree", Some("Prod")),
            workspace(2, "prod", None),
            workspace(3, "blue-sky", Some("Dev Böx")),
        ];
        assert_eq!(by_name("ROYAL-tree", &all).unwrap().id, 1);
        assert_eq!(by_name("dev BÖX", &all).unwrap().id, 3);
        let ambiguous = by_name("prod", &all).unwrap_err();
        assert_eq!(ambiguous.code(), Code::Ambiguous);
        assert!(ambiguous.message().contains("1 (royal-tree)") && ambiguous.message().contains("2 (prod)"));
        let missing = by_name("royal", &all).unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        assert!(missing.next_step().unwrap().contains("blue-sky (3)"));
    }

    #[test]
    fn only_digits_are_an_id() {
        assert_eq!(numeric("7"), Some(7));
        for name in ["", "0", "-1", "+7", "7a", "9007199254740993", "99999999999999999999", "７"] {
            assert_eq!(numeric(name), None, "{name}");
        }
    }
}
