//! Asks git which files of a folder count: those that it tracks, and those that it does not ignore. Only git knows, because
//! its rules come from many files: in the tree, in the repository, and wherever its configuration names or includes them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::sys::env::{Env, Var};
use crate::sys::program;

/// Variables that would point git to a repository other than the folder's own, as they do inside a git hook.
const ELSEWHERE: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"];

/// A repository's own configuration must not run anything, and listing files must not fetch or lock anything.
const CAUTION: [(&str, &str); 5] = [
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C"),
];

/// Where git is looked for.
#[derive(Debug, Clone)]
pub struct Git {
    path: Option<OsString>,
}

/// What git lists of a folder.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The paths below the folder. What is tracked may be gone by now.
    pub(super) paths: Vec<PathBuf>,
    /// Git's messages about what it could not read.
    pub(super) warnings: Vec<String>,
}

impl Git {
    /// The first one on PATH.
    pub fn from_env(env: &Env) -> Git {
        Git { path: env.var(Var::Path) }
    }

    /// What `git ls-files --cached --others --exclude-standard` says of `folder`, and of the repositories in it. Outside of any
    /// repository, nothing is tracked.
    pub(super) fn list(&self, folder: &Path) -> Result<Listed> {
        let name = if cfg!(windows) { "git.exe" } else { "git" };
        let git = program::find(name, self.path.as_deref()).ok_or_else(|| {
            Error::new(Code::Unavailable, "--git needs the program `git`, which is not on PATH")
                .hint("install git, or use --exclude instead of --git")
        })?;
        let mut listed = Listed::default();
        let mut todo = vec![PathBuf::new()];
        while let Some(at) = todo.pop() {
            let found = ask(&git, &folder.join(&at), !at.as_os_str().is_empty())?;
            listed.warnings.extend(found.warnings);
            for path in found.paths {
                let path = at.join(path);
                // Of a repository in this one, git lists its folder alone.
                let is_repository = fs::symlink_metadata(folder.join(&path))
                    .is_ok_and(|found| found.is_dir())
                    && fs::symlink_metadata(folder.join(&path).join(".git")).is_ok();
                if is_repository { todo.push(path) } else { listed.paths.push(path) }
            }
        }
        Ok(listed)
    }
}

/// What git lists in one repository's `folder`. A folder outside any repository gets an empty stand-in, unless it `is_nested`.
fn ask(git: &Path, folder: &Path, is_nested: bool) -> Result<Listed> {
    let mut command = Command::new(git);
    // The folder may belong to another user: the settings above protect us from its configuration.
    command.args(["--no-pager", "-c", "core.fsmonitor=", "-c", "safe.directory=*"]).current_dir(folder);
    command.args(["-c", "safe.bareRepository=explicit"]); // a folder of a checkout may look like one
    ELSEWHERE.iter().for_each(|name| _ = command.env_remove(name));
    command.envs(CAUTION);
    let is_in_repository =
        is_nested || folder.ancestors().any(|folder| fs::symlink_metadata(folder.join(".git")).is_ok());
    let _stand_in = if is_in_repository {
        None
    } else {
        let stand_in = stand_in().map_err(|error| Error::io("make a temporary folder", error))?;
        let option = |name: &str, path: &Path| {
            let mut option = OsString::from(name);
            option.push(path);
            option
        };
        command.arg(option("--git-dir=", stand_in.path())).arg(option("--work-tree=", folder));
        Some(stand_in)
    };
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io(format_args!("run {}", git.named()), error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let what = format!("git could not list {}; {}", folder.named(), foreign::said("it", last));
        return Err(Error::new(Code::Io, what)
            .hint("run `git status` there to see why, or use --exclude instead of --git"));
    }
    let paths = output.stdout.split(|&byte| byte == 0).filter_map(path).collect();
    Ok(Listed { paths, warnings: said.lines().map(|line| foreign::said("git", line)).collect() })
}

/// A folder that git accepts as an empty repository.
fn stand_in() -> std::io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("HEAD"), "ref: refs/heads/none\n")?;
    fs::create_dir(folder.path().join("objects"))?;
    fs::create_dir(folder.path().join("refs"))?;
    Ok(folder)
}

/// A path that git lists; `None` if it leads out of the folder.
fn path(listed: &[u8]) -> Option<PathBuf> {
    let listed = listed.strip_suffix(b"/").unwrap_or(listed);
    #[cfg(unix)]
    let text: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(listed);
    #[cfg(not(unix))]
    let text = OsStr::new(std::str::from_utf8(listed).ok()?);
    let path = Path::new(text);
    let leads_down = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (!listed.is_empty() && leads_down).then(|| path.to_owned())
}
