//! Folders that git keeps a repository in, whatever they are called: it runs and obeys what is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether `path` is such a folder or leads into one: by what the folder holds, or because a `.git` file above `path` names it.
/// What is above the checkout that `path` is in does not count: a checkout may lie in its own repository.
pub fn is_in_git_folder(path: &Path) -> bool {
    for folder in path.ancestors() {
        let git = folder.join(".git");
        let Ok(found) = fs::symlink_metadata(&git) else {
            if is_git_folder(folder) {
                return true;
            }
            continue;
        };
        return !found.is_dir()
            && named_by(&git).is_some_and(|named| {
                let shared = named_in(&named, &named.join("commondir"), "");
                let mut all = [Some(named), shared].into_iter().flatten();
                all.any(|named| path.starts_with(&named) && !folder.starts_with(&named))
            });
    }
    false
}

/// As git itself tells it: by what the folder of a repository has, or that of a further checkout.
fn is_git_folder(folder: &Path) -> bool {
    let is_there = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok();
    is_there("HEAD") && (is_there("commondir") || (is_there("objects") && is_there("refs")))
}

/// The folder that a `.git` file names.
fn named_by(git: &Path) -> Option<PathBuf> {
    named_in(git.parent()?, git, "gitdir:")
}

/// The folder that a small file names after `start`, as seen from `from`.
fn named_in(from: &Path, file: &Path, start: &str) -> Option<PathBuf> {
    const LONGEST: u64 = 8192;
    if !fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= LONGEST) {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let folder = from.join(text.strip_prefix(start)?.trim());
    // What is not there yet has no real path; nor has it links.
    Some(folder.canonicalize().unwrap_or_else(|_| plain(&folder)))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_repository_of_any_name_is_known() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let make = |name: &str, text: &str| {
            let file = top.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for folder in ["a/.bare/objects", "a/.bare/refs", "b/objects", "b/refs", "plain/.git"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        make("a/.git", "gitdir: ./.bare\n");
        make("a/.bare/HEAD", "x");
        make("a/main/.git", "gitdir: ../.bare/worktrees/main\n");
        make("a/.bare/worktrees/main/HEAD", "x");
        make("a/.bare/worktrees/main/commondir", "../..\n");
        make("b/HEAD", "x");
        // A checkout in its own repository, and a name for what is not there yet.
        make("b/main/.git", &format!("gitdir: {}\n", top.join("b/worktrees/main").display()));
        make("b/worktrees/main/HEAD", "x");
        make("b/worktrees/main/commondir", "../..\n");
        make("c/.git", "gitdir: to/../come\n");
        make("plain/HEAD", "x");
        for (path, is_in) in [
            ("a/.bare/hooks/post-checkout", true),
            ("a/.bare", true),
            ("a/.bare/worktrees/main/config.worktree", true),
            ("a/main/file", false),
            ("a/file", false),
            ("b/hooks/x", true),
            ("b/main/hooks/x", false),
            ("c/come/config", true),
            ("c/came/config", false),
            ("plain/x", false),
            ("none/x", false),
        ] {
            assert_eq!(is_in_git_folder(&top.join(path)), is_in, "{path}");
        }
    }
}
