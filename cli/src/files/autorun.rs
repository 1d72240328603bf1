//! Files that other programs run or obey as soon as they meet them, such as git's hooks: whoever fetches a folder from a
//! workspace is told that some came.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::files::links;
use crate::files::tally::Tally;
use crate::output::sanitize;

/// By their last two names, or by the last alone; in lower case, as some file systems ignore it. A link or a file in the place
/// of such a folder counts too: what it leads to is obeyed as if it were there.
const PATHS: &[&str] = &[
    ".envrc",
    ".mcp.json",
    ".mise.toml",
    "mise.toml",
    ".npmrc",
    ".pnpmfile.cjs",
    ".yarnrc",
    ".yarnrc.yml",
    ".git/config",
    ".git/config.worktree",
    ".git/commondir",
    ".cargo/config",
    ".cargo/config.toml",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".cursor/mcp.json",
    ".cursor/hooks.json",
    ".gemini/settings.json",
    ".vscode/tasks.json",
    ".vscode/settings.json",
    ".vscode/mcp.json",
    ".devcontainer/devcontainer.json",
    ".devcontainer.json",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".ssh/config",
    ".ssh/authorized_keys",
];

/// Folders all of whose files count.
const FOLDERS: &[&str] = &[".git/hooks", ".claude/hooks", ".husky"];

/// How many of the last names matter for those.
const DEPTH: usize = 3;

/// Where git keeps whole repositories below `.git`, of submodules and of worktrees: hooks and configuration of each count.
const GIT_REPOSITORIES: &[&str] = &["modules", "worktrees"];

/// What git obeys in such a repository, besides its hooks.
const GIT_FILES: &[&str] = &["hooks", "config", "config.worktree", "commondir"];

/// Those that came.
#[derive(Debug, Clone, Default)]
pub(super) struct AutorunFiles {
    /// The names of the folder that they are in, from the top.
    folder: Vec<OsString>,
    /// Which they are.
    pub(super) found: Tally,
    /// Whether git's own do not come at all.
    is_without_git: bool,
}

impl AutorunFiles {
    /// None yet, of what goes to `place`: a name of a folder above counts as well.
    pub(super) fn below(place: &Path) -> AutorunFiles {
        let real = place.canonicalize().or_else(|_| std::path::absolute(place));
        let real = real.unwrap_or_else(|_| place.to_owned());
        AutorunFiles { folder: real.iter().map(OsString::from).collect(), ..AutorunFiles::default() }
    }

    /// The same, where what is below a `.git` is left out.
    pub(super) fn without_git(self, is_without_git: bool) -> AutorunFiles {
        AutorunFiles { is_without_git, ..self }
    }

    /// Whether what came as `path` is left out.
    pub(super) fn leaves_out(&self, path: &[OsString]) -> bool {
        self.is_without_git && path.iter().any(|name| is_git_name(name))
    }

    /// Counts the file or link that came as `path`, if it is one.
    pub(super) fn see(&mut self, path: &[OsString]) {
        if is_autorun(self.folder.iter().chain(path)) {
            self.found.add(|| sanitize::short(&links::shown(path)));
        }
    }
}

/// Whether some file system takes this name for `.git`: in any case, by its short name, with what is not shown or is dropped.
pub fn is_git_name(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let shown = name.chars().filter(|c| !sanitize::is_steering(*c)).collect::<String>().to_lowercase();
    matches!(shown.trim_end_matches(['.', ' ']), ".git" | "git~1")
}

fn is_autorun<'a>(path: impl DoubleEndedIterator<Item = &'a OsString> + Clone) -> bool {
    is_of_inner_repository(path.clone()) || is_well_known(path)
}

/// Whether git obeys it as a part of a repository below `.git/modules` or `.git/worktrees`, however deep.
fn is_of_inner_repository<'a>(path: impl DoubleEndedIterator<Item = &'a OsString> + Clone) -> bool {
    let is = |name: &OsStr, wanted: &str| name.eq_ignore_ascii_case(wanted);
    let is_any = |name: &OsStr, wanted: &[&str]| wanted.iter().any(|wanted| is(name, wanted));
    let mut above = path.clone();
    let Some(last) = above.next_back() else { return false };
    let is_sample = last.to_string_lossy().to_lowercase().ends_with(".sample");
    let is_obeyed = is_any(last, GIT_FILES)
        || is_any(last, GIT_REPOSITORIES)
        || (above.next_back().is_some_and(|folder| is(folder, "hooks")) && !is_sample);
    let is_below = |pair: (&OsString, &OsString)| is(pair.0, ".git") && is_any(pair.1, GIT_REPOSITORIES);
    is_obeyed && path.clone().zip(path.skip(1)).any(is_below)
}

fn is_well_known<'a>(path: impl DoubleEndedIterator<Item = &'a OsString>) -> bool {
    let mut names: Vec<_> =
        path.rev().take(DEPTH).map(|name| name.to_string_lossy().to_lowercase()).collect();
    names.reverse();
    let ends_with = |names: &[String], wanted: &str| {
        let count = wanted.split('/').count();
        let end = names.get(names.len().saturating_sub(count)..).unwrap_or_default();
        end.iter().map(String::as_str).eq(wanted.split('/'))
    };
    let Some((last, above)) = names.split_last() else { return false };
    PATHS.iter().chain(FOLDERS).any(|wanted| {
        let stands_for = wanted.split_once('/').map(|(folder, _)| folder);
        ends_with(&names, wanted) || stands_for == Some(last.as_str())
    }) || (!last.ends_with(".sample") && FOLDERS.iter().any(|folder| ends_with(above, folder)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn hooks_and_settings_are_told_from_other_files() {
        let is = |path: &str| is_autorun(path.split('/').map(OsString::from).collect::<Vec<_>>().iter());
        for path in [
            ".envrc",
            "a/b/.envrc",
            ".git/hooks/pre-commit",
            "x/.GIT/Hooks/post-checkout",
            ".git/config",
            ".claude/settings.json",
            ".vscode/tasks.json",
            ".husky/pre-push",
            // A link or a file in the place of a folder.
            ".git",
            "a/.Claude",
            "a/.git/hooks",
            ".husky",
            ".cargo",
            "a/.npmrc",
            ".cargo/config.toml",
            ".git/commondir",
            ".git/modules/lib/hooks/post-checkout",
            ".git/modules/third/party/lib/config",
            ".git/modules/a/modules/b/Hooks/pre-commit",
            "x/.Git/Modules/a/config",
            ".git/worktrees/fix/config.worktree",
            ".git/worktrees/fix/commondir",
            // A link in the place of a folder.
            ".git/modules",
            ".git/worktrees",
            ".git/modules/lib/hooks",
        ] {
            assert!(is(path), "{path}");
        }
        for path in [
            "envrc",
            "hooks/pre-commit",
            ".git/hooks/pre-commit.sample",
            ".git/HEAD",
            "settings.json",
            "a",
            "git",
            "hooks",
            "cargo/config.toml",
            ".git/objects/config",
            ".git/modules/lib/HEAD",
            ".git/modules/lib/hooks/pre-commit.sample",
            "modules/lib/hooks/pre-commit",
            ".git/logs/modules/hooks/x",
            ".git/worktrees/fix/gitdir",
        ] {
            assert!(!is(path), "{path}");
        }
    }
    #[test]
    fn the_folders_own_name_counts() {
        let top = tempfile::tempdir().unwrap();
        for (place, path, counts) in [
            (".git", "hooks/pre-commit", 1),
            (".git/hooks", "pre-commit", 1),
            (".claude", "settings.json", 1),
            (".git", "HEAD", 0),
            ("git", "hooks/pre-commit", 0),
            (".git/x", "config", 0),
            (".git/modules/a/b", "hooks/pre-commit", 1),
            (".git", "modules/a/b/config", 1),
        ] {
            let mut seen = AutorunFiles::below(&top.path().join(place));
            seen.see(&path.split('/').map(OsString::from).collect::<Vec<_>>());
            assert_eq!(seen.found.count, counts, "{place} {path}");
        }
    }
}
