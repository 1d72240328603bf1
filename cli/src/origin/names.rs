//! From a name to the one workspace that bears it.

use crate::error::{Code, Error};
use crate::origin::{Unresolved, Workspace};
use crate::output::foreign;

/// The number that a word is, when it is nothing but digits.
pub fn number(word: &str) -> Option<u64> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) { word.parse().ok() } else { None }
}

/// The workspaces that bear `name` as their title or their custom title, whatever the case.
pub fn bearers<'a>(name: &str, all: &'a [Workspace]) -> Vec<&'a Workspace> {
    let wanted = name.to_lowercase();
    let bears = |workspace: &&Workspace| {
        workspace.title.raw().to_lowercase() == wanted
            || workspace.custom_title.as_ref().is_some_and(|title| title.raw().to_lowercase() == wanted)
    };
    all.iter().filter(bears).collect()
}

/// The one workspace that bears `name`. Whoever shares a workspace chooses what it is called, so one of the user's own comes
/// before any of others'.
pub fn by_name<'a>(name: &str, all: &'a [Workspace]) -> Result<&'a Workspace, Unresolved> {
    let found = bearers(name, all);
    let own = found.iter().copied().filter(|workspace| !workspace.shared).collect::<Vec<_>>();
    match if own.len() == 1 { &own[..] } else { &found[..] } {
        [workspace] => Ok(workspace),
        [] => {
            let error = Error::new(Code::NotFound, format!("no workspace is called {}", foreign::word(name)));
            Err(Unresolved::NotFound(error.hint(what_there_is(all))))
        }
        _ => {
            let ids = few(found.into_iter().map(both));
            let what = format!("several workspaces are called {}: {ids}", foreign::word(name));
            Err(Unresolved::Ambiguous(Error::new(Code::Ambiguous, what).hint("give the id instead")))
        }
    }
}

fn what_there_is(all: &[Workspace]) -> String {
    if all.is_empty() {
        return "you have no workspaces; create one on the web".to_owned();
    }
    let names = all.iter().map(|workspace| format!("{} ({})", workspace.title, workspace.key.words()));
    format!("you have: {}", few(names))
}

fn both(workspace: &Workspace) -> String {
    format!("{} ({})", workspace.key.words(), workspace.title)
}

/// The first of these, and how many more there are.
pub fn few(mut names: impl ExactSizeIterator<Item = String>) -> String {
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
    use crate::origin::{BaseUrl, SessionKey};

    fn workspace(id: u64, title: &str, custom: Option<&str>) -> Workspace {
        Workspace {
            key: SessionKey::plane(&BaseUrl::parse("https://a.example").unwrap(), id).unwrap(),
            title: title.into(),
            custom_title: custom.map(Into::into),
            environment: None,
            state: Some("running".into()),
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
        let id = |name| by_name(name, &all).unwrap().key.workspace_id();
        assert_eq!((id("ROYAL-tree"), id("dev BÖX")), (Some(1), Some(3)));
        let Err(Unresolved::Ambiguous(ambiguous)) = by_name("prod", &all) else { panic!("two have it") };
        assert!(ambiguous.message().contains("1 (royal-tree)") && ambiguous.message().contains("2 (prod)"));
        let Err(Unresolved::NotFound(missing)) = by_name("royal", &all) else { panic!("none has it") };
        assert!(missing.next_step().unwrap().contains("blue-sky (3)"));
    }

    #[test]
    fn ones_own_comes_before_others() {
        let theirs = |id, title, custom| Workspace { shared: true, ..workspace(id, title, custom) };
        let id = |name, all: &[Workspace]| by_name(name, all).map(|found| found.key.workspace_id().unwrap());
        let all = [theirs(1, "API", None), theirs(2, "web", Some("api")), workspace(7, "api", None)];
        assert_eq!(id("Api", &all).unwrap(), 7);
        let nicknamed = [theirs(1, "api", None), workspace(7, "royal-tree", Some("API"))];
        assert_eq!(id("api", &nicknamed).unwrap(), 7);
        assert!(matches!(id("api", &all[..2]), Err(Unresolved::Ambiguous(_))));
        let two = [workspace(7, "api", None), workspace(8, "x", Some("api")), theirs(1, "api", None)];
        let error = Error::from(id("api", &two).unwrap_err());
        assert!(error.message().contains("7 (api), 8 (x), 1 (api)"), "{error}");
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(number("7"), Some(7));
        for name in ["", "-1", "+7", "7a", "99999999999999999999", "７"] {
            assert_eq!(number(name), None, "{name}");
        }
        let base = BaseUrl::parse("https://a.example").unwrap();
        for beyond in [0, (1 << 53) + 1] {
            assert_eq!(SessionKey::plane(&base, beyond), None, "{beyond}");
        }
    }
}
