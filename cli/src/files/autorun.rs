//! Files that other programs run or obey as soon as they meet them, such as git's hooks: whoever fetches a folder from a
//! workspace is told that some came.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::files::autorun_names::{
    CHECKOUTS, ENDS, FOLDERS, GIT_FILES, GIT_REPOSITORIES, HARMLESS, PATHS, STARTS,
};
use crate::files::git_folder;
use crate::files::links;
use crate::files::tally::Tally;
use crate::output::sanitize;

/// Those that came.
#[derive(Debug, Clone, Default)]
pub(super) struct AutorunFiles {
    /// The names of the folder that they are in, from the top.
    folder: Vec<OsString>,
    /// Which they are.
    pub(super) found: Tally,
    /// The files that were left out because they would be where other programs look for them.
    pub(super) kept_out: Tally,
    /// Whether git's own do not come at all.
    is_without_git: bool,
    /// Whether to leave out every such file.
    is_without_any: bool,
    /// The folder looked at last, and whether it is git's own.
    looked_at: Option<(PathBuf, bool)>,
}

impl AutorunFiles {
    /// None yet, of what goes to `place`: a name of a folder above counts as well.
    pub(super) fn below(place: &Path) -> AutorunFiles {
        let real = place.canonicalize().or_else(|_| std::path::absolute(place));
        let real = real.unwrap_or_else(|_| place.to_owned());
        AutorunFiles { folder: real.iter().map(OsString::from).collect(), ..AutorunFiles::default() }
    }

    /// What is fetched alone and becomes `file`: that one, if it is one by this name or by what a link of this name leads to.
    pub(super) fn of_file(file: &Path) -> Tally {
        let mut found = Tally::default();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder));
        let given = folder.ok().zip(file.file_name()).map(|(folder, name)| folder.join(name));
        let names = |path: &Path| path.iter().map(OsString::from).collect::<Vec<_>>();
        let is_one = |path: &Path| is_autorun(names(path).iter());
        if [given, file.canonicalize().ok()].iter().flatten().any(|path| is_one(path)) {
            found.add(|| sanitize::short(&file.file_name().unwrap_or_default().to_string_lossy()));
        }
        found
    }

    /// The same, where what is git's own is left out: by its name, or in a repository that is there.
    pub(super) fn without_git(self, is_without_git: bool) -> AutorunFiles {
        AutorunFiles { is_without_git, ..self }
    }

    /// The same, leaving out every such file if `is_without_any`: in an existing folder, other programs already look for them.
    pub(super) fn without_any(self, is_without_any: bool) -> AutorunFiles {
        AutorunFiles { is_without_any, ..self }
    }

    /// Whether what came as `path` is left out: without a file `HEAD`, no folder becomes a repository, whatever its name.
    pub(super) fn leaves_out(&mut self, path: &[OsString], is_folder: bool) -> bool {
        let is_head = !is_folder && path.last().is_some_and(|name| is_head(name));
        if self.is_without_any && is_autorun(self.folder.iter().chain(path)) {
            self.kept_out.add(|| sanitize::short(&links::shown(path)));
            return true;
        }
        self.is_without_git
            && (is_head || path.iter().any(|name| is_git_name(name)) || self.is_in_git_folder(path))
    }

    fn is_in_git_folder(&mut self, path: &[OsString]) -> bool {
        if completes_repository(&self.folder.iter().chain(path).collect::<PathBuf>()) {
            return true;
        }
        let above = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
        let folder = self.folder.iter().chain(above).collect::<PathBuf>();
        match &self.looked_at {
            Some((last, is_gits)) if *last == folder => *is_gits,
            _ => {
                let is_gits = git_folder::is_in_git_folder(&folder);
                self.looked_at = Some((folder, is_gits));
                is_gits
            }
        }
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
    matches!(&*taken_for(name), ".git" | "git~1")
}

/// Whether this is the name of a file that programs look for by themselves, as far as its dot shows: nobody knows all such programs.
pub fn may_be_obeyed(name: &OsStr) -> bool {
    let name = taken_for(name);
    name.starts_with('.') && !HARMLESS.contains(&&*name)
}

/// Whether some file system takes this name for `HEAD`, by which git knows a repository.
pub(super) fn is_head(name: &OsStr) -> bool {
    taken_for(name) == "head"
}

/// Whether `path` is, or is inside, something that turns a folder with an existing `HEAD` into a git repository.
pub fn completes_repository(path: &Path) -> bool {
    path.ancestors().any(|step| {
        let is_part = |name: &OsStr| matches!(&*taken_for(name), "commondir" | "objects" | "refs");
        let has_head = |folder: &Path| folder.join("HEAD").symlink_metadata().is_ok();
        step.file_name().is_some_and(is_part) && step.parent().is_some_and(has_head)
    })
}

/// The name that some file system takes this one for, in lower case.
fn taken_for(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    let shown = name.chars().filter(|c| !sanitize::is_steering(*c)).collect::<String>().to_lowercase();
    shown.trim_end_matches(['.', ' ']).to_owned()
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

fn is_well_known<'a>(path: impl Iterator<Item = &'a OsString>) -> bool {
    let names = path.map(|name| taken_for(name)).collect::<Vec<_>>();
    let Some((last, above)) = names.split_last() else { return false };
    let ends_with = |wanted: &&str| wanted.rsplit('/').eq(names.iter().rev().take(wanted.split('/').count()));
    let stands_for = |wanted: &&str| wanted.split_once('/').is_some_and(|(folder, _)| folder == last);
    let is_below = |wanted: &&str| {
        let count = wanted.split('/').count();
        let is_it = |names: &[String]| wanted.split('/').eq(names);
        let after = |at: usize| above.get(at + count).is_some_and(|name| name == CHECKOUTS);
        above.windows(count).enumerate().any(|(at, names)| is_it(names) && !after(at))
    };
    PATHS.iter().chain(FOLDERS).any(|wanted| ends_with(wanted) || stands_for(wanted))
        || STARTS.iter().any(|start| last.starts_with(start))
        || ENDS.iter().any(|end| last.ends_with(end))
        || (!last.ends_with(".sample") && FOLDERS.iter().any(is_below))
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
            "AGENTS.md",
            "sub/Claude.md",
            ".yarnrc.yml",
            ".githooks/pre-commit",
            ".claude/skills/x/SKILL.md",
            ".claude/worktrees/fix/.claude/commands/x.md",
            ".ssh/rc",
            ".cursor",
            ".hg/hgrc",
            ".Rprofile",
            ".github/hooks/x",
            ".devcontainer/a/devcontainer.json",
            "eslint.config.mjs",
            ".mvn/extensions.xml",
            "QWEN.md",
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
            "agents.md.txt",
            ".claude/worktrees/fix/src/main.rs",
            ".husky/pre-commit.sample",
        ] {
            assert!(!is(path), "{path}");
        }
    }

    #[test]
    fn a_name_with_a_dot_may_be_obeyed() {
        for name in [".pdbrc", ".new-tool.toml", ".X", ".gitignore.sh", ".\u{200b}envrc", ".config"] {
            assert!(may_be_obeyed(OsStr::new(name)), "{name}");
        }
        for name in ["a.txt", ".gitignore", ".GitIgnore", ".env.example", "notes.", "x.rc"] {
            assert!(!may_be_obeyed(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn names_of_git_are_known_however_written() {
        for (name, is_gits, is_its_head) in [
            (".GIT", true, false),
            ("git~1", true, false),
            (".g\u{200c}it. ", true, false),
            ("HEAD", false, true),
            ("head.", false, true),
            ("He\u{200b}ad ", false, true),
            ("HEAD.md", false, false),
            ("ahead", false, false),
        ] {
            let name = OsStr::new(name);
            assert_eq!((is_git_name(name), is_head(name)), (is_gits, is_its_head), "{}", name.display());
        }
    }

    #[test]
    fn one_file_alone_counts() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir_all(at(".git/hooks")).unwrap();
        std::fs::create_dir(at(".claude")).unwrap();
        for (name, counts) in [
            (".envrc", 1),
            (".git/hooks/x", 1),
            (".git/hooks/x.sample", 0),
            (".claude/settings.json", 1),
            ("a", 0),
        ] {
            std::fs::write(at(name), "").unwrap();
            assert_eq!(AutorunFiles::of_file(&at(name)).count, counts, "{name}");
        }
        assert_eq!(AutorunFiles::of_file(&at("new/.claude/settings.json")).count, 1, "not there yet");
        #[cfg(unix)]
        for (link, to, counts) in [("hooks", ".git/hooks", 1), ("rc", ".envrc", 1), ("b", "a", 0)] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
            assert_eq!(AutorunFiles::of_file(&at(link)).count, counts, "{link}");
        }
        #[cfg(unix)]
        assert_eq!(AutorunFiles::of_file(&at("hooks/x")).count, 1, "through a link");
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
