//! Which files of this machine the tools may send and make: those of the project, or of a folder that the user named.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::files::{completes_repository, is_git_name, is_in_git_folder, may_be_obeyed};
use crate::mcp::workspace::Context;
use crate::output::foreign::FileName as _;

/// What is to be done with a file of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It is sent.
    Read,
    /// It is made or replaced.
    Write,
}

/// What decides.
#[derive(Debug, Default)]
struct Rules {
    /// Where relative paths start.
    base: PathBuf,
    /// The folders that all is to be below, with links resolved.
    roots: Vec<PathBuf>,
    /// Folders with secrets of ours.
    secret: Vec<PathBuf>,
}

/// The path that a call names, with links resolved.
pub(super) fn path(context: &Context<'_>, given: &str, to: Use) -> Result<PathBuf> {
    let project = context.project.as_ref().and_then(|folder| folder.canonicalize().ok());
    // The whole home is no project whose files may be used.
    let project = project.filter(|folder| !context.service.homes.contains(folder));
    let named = context.service.options.local_roots.iter().filter_map(|root| root.canonicalize().ok());
    let roots = project.into_iter().chain(named).collect::<Vec<_>>();
    let Some(base) = roots.first().cloned() else {
        return Err(Error::new(
            Code::Usage,
            "files of this machine are only used below the project, and it is not known which folder that is",
        )
        .hint("the user can name a folder: runcode mcp --local-root DIR"));
    };
    let paths = context.app.paths()?;
    let secret =
        [paths.config(), paths.cache()].map(|folder| folder.canonicalize().unwrap_or(folder.to_owned()));
    Rules { base, roots, secret: secret.to_vec() }.path(Path::new(given), to)
}

impl Rules {
    fn path(&self, given: &Path, to: Use) -> Result<PathBuf> {
        let path = self.base.join(given);
        let refuse = |why: &str| Error::new(Code::Usage, format!("{} {why}", given.named()));
        let real = resolve(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if to == Use::Read => {
                Error::new(Code::NotFound, format!("{} does not exist on this machine", given.named()))
            }
            io::ErrorKind::NotFound => refuse("leads through a link that leads nowhere"),
            _ => Error::io(format_args!("find {}", given.named()), error),
        })?;
        if to == Use::Read && real.symlink_metadata().is_err() {
            return Err(Error::new(
                Code::NotFound,
                format!("{} does not exist on this machine", given.named()),
            ));
        }
        let Some(below) = self.roots.iter().find_map(|root| real.strip_prefix(root).ok()) else {
            return Err(refuse("is outside of the project")
                .hint("use a path of the project; the user can allow another folder with --local-root DIR"));
        };
        let is_gits =
            || below.iter().any(is_git_name) || is_in_git_folder(&real) || completes_repository(&real);
        if to == Use::Write && is_gits() {
            return Err(refuse("is git's own").hint("use another place"));
        }
        // Below such a folder, too: `.venv`, `.config`.
        if to == Use::Write && below.iter().any(may_be_obeyed) {
            return Err(refuse("may be run or obeyed by other programs as soon as it is there")
                .hint("use another place, or ask the user to fetch it"));
        }
        if self.secret.iter().any(|secret| real.starts_with(secret) || secret.starts_with(&real)) {
            return Err(refuse("holds keys of runcode, or is one").hint("use another place"));
        }
        Ok(real)
    }
}

/// The path with links resolved; of what is not there yet, the folders that are.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        match known.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if known.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::NotFound.into()); // a link to nothing
        }
        match (known.components().next_back(), known.parent()) {
            (Some(Component::Normal(name)), Some(parent)) => {
                missing.push(name.to_owned());
                known = parent;
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_of_the_roots_is_used() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        for folder in [
            "project/.git",
            "project/sub",
            "other",
            "home/.config",
            "project/.cache",
            "project/bare/objects",
            "project/bare/refs",
            "project/half",
        ] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        for file in [
            "project/file",
            "other/file",
            "project/.cache/key",
            "project/.git/config",
            "project/bare/HEAD",
            "project/half/HEAD",
        ] {
            std::fs::write(top.join(file), "").unwrap();
        }
        for (to, link) in [
            ("other", "project/out"),
            ("other/file", "project/sub/leads"),
            ("sub", "project/in"),
            ("none", "project/nowhere"),
            (".git", "project/alias"),
        ] {
            let to = if to.contains("other") { top.join(to) } else { PathBuf::from(to) };
            symlink(to, top.join(link)).unwrap();
        }
        let rules = Rules {
            base: top.join("project"),
            roots: vec![top.join("project")],
            secret: vec![top.join("project/.cache")],
        };
        let outcome = |given: &str, to| match rules.path(Path::new(given), to) {
            Ok(path) => path.strip_prefix(&top).unwrap().display().to_string(),
            Err(error) => error.code().as_str().to_owned(),
        };
        for (given, read, write) in [
            ("file", "project/file", "project/file"),
            ("./sub/../file", "project/file", "project/file"),
            ("in", "project/sub", "project/sub"),
            ("in/new/deep", "not_found", "project/sub/new/deep"),
            ("new", "not_found", "project/new"),
            ("new/../../other/x", "io", "io"),
            ("../other/file", "usage", "usage"),
            ("out", "usage", "usage"),
            ("out/new", "not_found", "usage"),
            ("sub/leads", "usage", "usage"),
            ("nowhere", "not_found", "usage"),
            ("nowhere/x", "not_found", "usage"),
            (".git/config", "project/.git/config", "usage"),
            (".git", "project/.git", "usage"),
            ("alias/hooks/x", "not_found", "usage"),
            ("sub/.GIT/x", "not_found", "usage"),
            ("bare/hooks/x", "not_found", "usage"),
            ("half/refs", "not_found", "usage"),
            ("half/Objects/ab/x", "not_found", "usage"),
            ("half/file", "not_found", "project/half/file"),
            ("bare/HEAD", "project/bare/HEAD", "usage"),
            (".cache/key", "usage", "usage"),
            (".", "usage", "usage"),
            ("/etc/passwd", "usage", "usage"),
        ] {
            assert_eq!(
                (outcome(given, Use::Read), outcome(given, Use::Write)),
                (read.to_owned(), write.to_owned()),
                "{given}"
            );
        }
    }
}
