//! Files that other programs run or obey as soon as they meet them, such as git's hooks: whoever fetches a folder from a
//! workspace is told that some came.

use std::ffi::OsString;

use crate::files::links;
use crate::output::sanitize;

/// By their last two names, or by the last alone; in lower case, as some file systems ignore it.
const PATHS: &[&str] = &[
    ".envrc",
    ".mcp.json",
    ".mise.toml",
    "mise.toml",
    ".git/config",
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

/// How many are named.
const NAMED: usize = 5;

/// Those that came.
#[derive(Debug, Clone, Default)]
pub struct AutorunFiles {
    /// How many.
    pub count: u64,
    /// The first of them, fit to be shown.
    pub named: Vec<String>,
}

impl AutorunFiles {
    /// Counts what came as `path`, if it is one.
    pub(super) fn see(&mut self, path: &[OsString]) {
        if is_autorun(path) {
            self.count += 1;
            if self.named.len() < NAMED {
                self.named.push(sanitize::short(&links::shown(path)));
            }
        }
    }

    /// All that `other` has as well.
    pub(super) fn append(&mut self, other: &AutorunFiles) {
        self.count += other.count;
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.iter().take(room).cloned());
    }
}

fn is_autorun(path: &[OsString]) -> bool {
    let lower = |name: &OsString| name.to_string_lossy().to_lowercase();
    let Some((last, above)) = path.split_last() else { return false };
    let last = lower(last);
    let ends_with = |names: &[OsString], wanted: &str| {
        let count = wanted.split('/').count();
        let end = names.get(names.len().saturating_sub(count)..).unwrap_or_default();
        end.iter().map(lower).collect::<Vec<_>>().join("/") == wanted
    };
    PATHS.iter().any(|wanted| match wanted.rsplit_once('/') {
        Some((folder, name)) => last == name && ends_with(above, folder),
        None => last == *wanted,
    }) || (!last.ends_with(".sample") && FOLDERS.iter().any(|folder| ends_with(above, folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_and_settings_are_told_from_other_files() {
        let is = |path: &str| is_autorun(&path.split('/').map(OsString::from).collect::<Vec<_>>());
        for path in [
            ".envrc",
            "a/b/.envrc",
            ".git/hooks/pre-commit",
            "x/.GIT/Hooks/post-checkout",
            ".git/config",
            ".claude/settings.json",
            ".vscode/tasks.json",
            ".husky/pre-push",
        ] {
            assert!(is(path), "{path}");
        }
        for path in
            ["envrc", "hooks/pre-commit", ".git/hooks/pre-commit.sample", ".git/HEAD", "settings.json", "a"]
        {
            assert!(!is(path), "{path}");
        }
    }
}
