//! Which `Host` name each workspace gets. A title is chosen by whoever owns the workspace, so a title alone may lead to
//! somebody else's: one's own comes first, and what is not certain has its id in its name.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::integrations::ssh_config_block::{HOST, Title};
use crate::openssh::host_patterns::HostPatterns;

/// A workspace as it is listed.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// Its id.
    pub id: u64,
    /// Its title; `None` when no host can have it as its name.
    pub title: Option<Title>,
    /// The name that somebody gave it.
    pub custom_title: Option<&'a str>,
    /// Whether it is the user's own.
    pub is_own: bool,
}

/// Why a workspace has its id in its name, or has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TitleClash {
    /// Several of one's own have the title.
    OwnTitles,
    /// It is somebody else's, and one's own has the title.
    WithOwn,
    /// It is somebody else's, and another one of others' has the title.
    SharedTitles,
    /// It is somebody else's, and its title is another workspace's title and id.
    LooksNumbered,
    /// It is somebody else's, and the name led to another workspace before.
    LedElsewhere,
    /// It is somebody else's, and had its id in its name before.
    HadId,
    /// It is somebody else's, and its title reads as another workspace's id.
    IsNumber,
    /// It is somebody else's, and another part of the user's ssh config uses the name.
    InConfig,
}

impl fmt::Display for TitleClash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TitleClash::OwnTitles => "several of your workspaces have the title",
            TitleClash::WithOwn => "shared with you, and a workspace of your own has the name",
            TitleClash::SharedTitles => "shared with you, and so is another workspace with the title",
            TitleClash::LooksNumbered => "shared with you, and its title is another workspace's title and id",
            TitleClash::LedElsewhere => {
                "shared with you, and the name without the id led to another workspace"
            }
            TitleClash::HadId => "shared with you, and had this name before",
            TitleClash::IsNumber => "shared with you, and its title is a number",
            TitleClash::InConfig => "shared with you, and the name is used elsewhere in your ssh config",
        })
    }
}

/// The names that are taken, without the leading `runcode.`.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// By hosts that were written before, or that had already gone.
    pub before: Vec<Former>,
    /// By other parts of the user's ssh config.
    pub elsewhere: HostPatterns,
}

/// A name that leads or led to a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// The name.
    pub name: String,
    /// The workspace's id.
    pub id: u64,
    /// Whether the workspace was the user's own.
    pub is_own: bool,
}

/// The part of a host's name after `runcode.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The title alone.
    Plain,
    /// The title and the id.
    Numbered(TitleClash),
    /// None: what its title and id make is the title of one of the user's own.
    Taken(TitleClash),
}

/// The names of the workspaces that have a title. ssh_config(5) and people compare without regard to case, and so does this.
/// Somebody else's workspace takes no name that is taken.
pub fn names(listed: &[Listed<'_>], taken: &Taken) -> HashMap<u64, Name> {
    let host = |name: &str| format!("{HOST}{name}");
    let before = taken.before.iter().map(|old| (fold(&old.name), old.id)).collect::<HashMap<_, _>>();
    let with_title = || listed.iter().filter_map(|one| Some((one, fold(one.title.as_ref()?.as_str()))));
    let (mut own, mut others) = (HashMap::<String, usize>::new(), HashMap::<String, usize>::new());
    let mut numbered = HashMap::<String, u64>::new();
    for (one, title) in with_title() {
        numbered.insert(format!("{title}-{}", one.id), one.id);
        *if one.is_own { &mut own } else { &mut others }.entry(title).or_default() += 1;
    }
    let own_nicknames = listed
        .iter()
        .filter(|one| one.is_own)
        .filter_map(|one| one.custom_title)
        .map(fold)
        .collect::<HashSet<_>>();
    let name = |one: &Listed<'_>, title: &str| {
        let why = if one.is_own {
            (own.get(title) > Some(&1)).then_some(TitleClash::OwnTitles)
        } else if own.contains_key(title) || own_nicknames.contains(title) {
            Some(TitleClash::WithOwn)
        } else if others.get(title) > Some(&1) {
            Some(TitleClash::SharedTitles)
        } else if numbered.get(title).is_some_and(|id| *id != one.id) {
            Some(TitleClash::LooksNumbered)
        } else if before.get(title).is_some_and(|id| *id != one.id) {
            Some(TitleClash::LedElsewhere)
        } else if title.bytes().all(|byte| byte.is_ascii_digit()) {
            Some(TitleClash::IsNumber)
        } else if taken.elsewhere.has(&host(title)) {
            Some(TitleClash::InConfig)
        } else if !before.contains_key(title) && taken.elsewhere.fit(&host(title), HOST) {
            // If they used the name before, the user may have written the pattern for it.
            Some(TitleClash::InConfig)
        } else {
            before.get(&format!("{title}-{}", one.id)).map(|_| TitleClash::HadId)
        };
        let is_own = |name: &str| {
            own.contains_key(name) || own_nicknames.contains(name) || taken.elsewhere.has(&host(name))
        };
        match why {
            None => Name::Plain,
            Some(why) if is_own(&format!("{title}-{}", one.id)) => Name::Taken(why),
            Some(why) => Name::Numbered(why),
        }
    };
    with_title().map(|(one, title)| (one.id, name(one, &title))).collect()
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn listed(id: u64, title: &str, is_own: bool) -> Listed<'_> {
        Listed { id, title: Title::parse(title).ok(), custom_title: None, is_own }
    }

    /// The names, as they stand after `runcode.`, in the order of the list.
    fn written(all: &[Listed<'_>]) -> Vec<Option<String>> {
        written_after(&Taken::default(), all)
    }

    fn written_after(taken: &Taken, all: &[Listed<'_>]) -> Vec<Option<String>> {
        let names = names(all, taken);
        let one = |one: &Listed<'_>| match (&one.title, names.get(&one.id)?) {
            (Some(title), Name::Plain) => Some(title.as_str().to_owned()),
            (Some(title), Name::Numbered(_)) => Some(format!("{}-{}", title.as_str(), one.id)),
            _ => None,
        };
        all.iter().map(one).collect()
    }

    fn some(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn ones_own_name_is_ones_own() {
        assert_eq!(written(&[listed(3, "API", false), listed(7, "api", true)]), some(&["API-3", "api"]));
        assert_eq!(written(&[listed(3, "api", false), listed(7, "web", true)]), some(&["api", "web"]));
        let nicknamed = Listed { custom_title: Some("Api"), ..listed(7, "royal-tree", true) };
        assert_eq!(written(&[listed(3, "api", false), nicknamed]), some(&["api-3", "royal-tree"]));
        let theirs = Listed { custom_title: Some("api"), ..listed(3, "web", false) };
        assert_eq!(written(&[theirs, listed(7, "api", true)]), some(&["web", "api"]));
    }

    #[test]
    fn equal_titles_are_told_apart_by_ids() {
        assert_eq!(written(&[listed(3, "api", false), listed(4, "Api", false)]), some(&["api-3", "Api-4"]));
        assert_eq!(written(&[listed(3, "api", true), listed(4, "api", true)]), some(&["api-3", "api-4"]));
        let all = [listed(3, "api", true), listed(4, "api", true), listed(5, "API", false)];
        assert_eq!(written(&all), some(&["api-3", "api-4", "API-5"]));
    }

    #[test]
    fn a_title_is_never_another_workspaces_name() {
        // #4 would be what #3 is called, whose title is one's own.
        let all = [listed(3, "api", false), listed(4, "api-3", false), listed(7, "api", true)];
        assert_eq!(written(&all), some(&["api-3", "api-3-4", "api"]));
        // #9 would be what one's own is called where there are several.
        assert_eq!(written(&[listed(7, "api", true), listed(9, "API-7", false)]), some(&["api", "API-7-9"]));
        // One's own title stays, and what it would be taken for has no name.
        let all = [listed(3, "api", false), listed(7, "api", true), listed(8, "api-3", true)];
        assert_eq!(written(&all), [None, Some("api".to_owned()), Some("api-3".to_owned())]);
        assert_eq!(names(&all, &Taken::default())[&3], Name::Taken(TitleClash::WithOwn));
        let nicknamed = Listed { custom_title: Some("api-3"), ..listed(8, "royal-tree", true) };
        let all = [listed(3, "api", false), listed(7, "api", true), nicknamed];
        assert_eq!(
            names(&all, &Taken::default())[&3],
            Name::Taken(TitleClash::WithOwn),
            "a nickname of one's own counts too"
        );
        // A workspace whose own title ends in its id is itself.
        assert_eq!(written(&[listed(3, "api-3", false)]), some(&["api-3"]));
    }

    #[test]
    fn a_shared_workspace_inherits_no_name() {
        let before = |names: &[(&str, u64)]| {
            let former =
                |(name, id): &(&str, u64)| Former { name: (*name).to_owned(), id: *id, is_own: true };
            Taken { before: names.iter().map(former).collect(), ..Taken::default() }
        };
        let theirs = listed(7, "api", false);
        // The user's own #2 is gone; the next run finds the name that this one wrote.
        for names in [&[("API", 2)][..], &[("api", 2), ("api-7", 7)], &[("api-7", 7)]] {
            assert_eq!(
                written_after(&before(names), std::slice::from_ref(&theirs)),
                some(&["api-7"]),
                "{names:?}"
            );
        }
        assert_eq!(written_after(&before(&[("api", 7)]), &[theirs]), some(&["api"]));
        let config = |patterns: &[&str]| {
            let mut elsewhere = HostPatterns::default();
            let patterns = patterns.iter().map(|name| format!("runcode.{name}")).collect::<Vec<_>>();
            elsewhere.add("Host", &patterns);
            Taken { elsewhere, ..Taken::default() }
        };
        let elsewhere = config(&["Prod", "api-8"]);
        let all = [
            listed(7, "prod", false),
            listed(8, "api", false),
            listed(9, "api", true),
            listed(2, "5", false),
        ];
        assert_eq!(
            written_after(&elsewhere, &all),
            [Some("prod-7".to_owned()), None, Some("api".to_owned()), Some("5-2".to_owned())]
        );
        // A pattern may match the name with the id, too: nobody types that by chance.
        let theirs = listed(7, "api", false);
        for pattern in ["ap?", "*", "a*"] {
            let taken = config(&[pattern]);
            assert_eq!(written_after(&taken, std::slice::from_ref(&theirs)), some(&["api-7"]), "{pattern}");
            let used = Taken { before: before(&[("api", 7)]).before, ..taken };
            assert_eq!(written_after(&used, std::slice::from_ref(&theirs)), some(&["api"]), "{pattern}");
        }
        // The user's own workspace may have any name that its title gives.
        assert_eq!(written_after(&before(&[("api", 7)]), &[listed(2, "api", true)]), some(&["api"]));
    }

    #[test]
    fn what_can_be_no_host_name_has_none() {
        assert_eq!(written(&[listed(3, "a b", false), listed(4, "*", true)]), [None, None]);
    }

    proptest! {
        #[test]
        fn no_two_have_one_name_and_own_titles_are_kept(
            rows in prop::collection::vec(("[aA]{1,2}(-[1-9]){0,2}", any::<bool>()), 0..9),
        ) {
            let all = (1..).zip(&rows).map(|(id, (title, is_own))| listed(id, title, *is_own)).collect::<Vec<_>>();
            let written = written(&all);
            let mut seen = HashSet::new();
            for (name, one) in written.iter().zip(&all) {
                let title = fold(one.title.as_ref().unwrap().as_str());
                let is_taken = |name: &String| seen.contains(&fold(name));
                prop_assert!(!name.as_ref().is_some_and(is_taken), "{all:?}");
                seen.extend(name.as_ref().map(|name| fold(name)));
                let namesakes = all.iter().filter(|other| other.is_own && fold(other.title.as_ref().unwrap().as_str()) == title);
                if one.is_own && namesakes.count() == 1 {
                    prop_assert_eq!(name.as_deref(), one.title.as_ref().map(|title| title.as_str()));
                }
                // Whoever has a title of one's own that is not theirs is not called by it alone.
                let is_own_title = |name: &String| all.iter().any(|own| own.is_own && own.id != one.id
                    && fold(own.title.as_ref().unwrap().as_str()) == fold(name));
                prop_assert!(!name.as_ref().is_some_and(is_own_title), "{all:?}");
            }
        }
    }
}
