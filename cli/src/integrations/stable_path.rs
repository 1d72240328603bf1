//! The path by which other programs may call us for good.

use std::path::{Component, Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::integrations::shell_path;
use crate::output::foreign::FileName as _;
use crate::sys::env::{Env, Var};
use crate::sys::project::Project;

/// How the name of the temporary folder of a `runcode dev` begins.
pub const DEV_FOLDER: &str = "runcode-dev-";

/// The absolute path to write into other programs' settings: what `install-path` made, else the link on PATH that leads to this
/// program, else the program itself.
///
/// The launcher keeps its binary outside every versioned plugin folder; a program that lies inside one is refused,
/// because the next version's folder has another name. On Windows with forward slashes, which every shell there reads.
pub fn program(env: &Env) -> Result<String> {
    let project = Project::current();
    let is_ours = |path: &PathBuf| shell_path::is_own_wrapper(path) && !project.holds(path);
    let own = shell_path::wrapper_path(env).ok().filter(is_ours);
    let program = match own {
        Some(path) => path,
        None => {
            let program = this_program()?;
            on_path(&program, env).unwrap_or(program)
        }
    };
    let text = program.to_str().ok_or_else(|| {
        Error::new(Code::Error, format!("the path of this program is not UTF-8: {}", program.named()))
            .hint("install runcode in a folder with a plainer name")
    })?;
    Ok(if cfg!(windows) { text.trim_start_matches(r"\\?\").replace('\\', "/") } else { text.to_owned() })
}

/// The link on PATH that leads to `program`, if there is one: what a package manager gives out (`bin/runcode` of Homebrew, of nix
/// or of a version manager) stays, and the folder behind it has the version in its name. A project's link is the project's to change.
fn on_path(program: &Path, env: &Env) -> Option<PathBuf> {
    let path = env.var(Var::Path)?;
    let project = Project::current();
    let mut places = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    places.find_map(|folder| {
        let link = folder.join(program.file_name()?);
        let leads_here = link.is_symlink() && std::fs::canonicalize(&link).ok()? == *program;
        (leads_here && behind_dev(link.clone()) == link && !is_versioned(&link) && !project.holds(&link))
            .then_some(link)
    })
}

/// The path of this program, when it is one that stays.
pub fn this_program() -> Result<PathBuf> {
    let path = std::env::current_exe().map_err(|error| Error::io("find this program's own path", error))?;
    let path = behind_dev(path);
    if !path.is_file() {
        return Err(Error::new(Code::Error, format!("this program is no longer at {}", path.named()))
            .hint("it was replaced while it ran: try again"));
    }
    if is_versioned(&path) {
        return Err(Error::new(Code::Error, format!("the plugin's next version removes {}", path.named()))
            .hint("run `runcode install-path` first"));
    }
    Ok(path)
}

/// What the link that `runcode dev` gives its command leads to; any other path as it is. macOS and Windows name a program by the
/// link that it was started by, and this one goes away.
fn behind_dev(path: PathBuf) -> PathBuf {
    let folder = path.parent().and_then(Path::parent).and_then(Path::file_name);
    let is_fleeting = folder.and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(DEV_FOLDER));
    if is_fleeting { std::fs::read_link(&path).unwrap_or(path) } else { path }
}

/// Whether the path leads through an agent's plugin cache, `…/plugins/cache/<marketplace>/<plugin>/<version>/…`.
pub fn is_versioned(path: &Path) -> bool {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let names = names.collect::<Vec<_>>();
    names.windows(2).any(|pair| pair == ["plugins", "cache"])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_link_of_dev_is_followed_and_no_other() {
        let top = tempfile::tempdir().unwrap();
        for (name, is_followed) in [("runcode-dev-x1", true), ("opt", false)] {
            let bin = top.path().join(name).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            let link = bin.join("runcode");
            std::os::unix::fs::symlink("/opt/homebrew/bin/runcode", &link).unwrap();
            let path = behind_dev(link.clone());
            assert_eq!(path, if is_followed { PathBuf::from("/opt/homebrew/bin/runcode") } else { link });
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_package_managers_link_is_preferred() {
        let top = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(top.path()).unwrap();
        let program = top.join("Cellar/runcode/1.2.3/bin/runcode");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "").unwrap();
        for folder in ["bin", "runcode-dev-x/bin", "empty", "copy"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::fs::write(top.join("copy/runcode"), "").unwrap();
        let found = |folders: &[&str]| {
            let path = std::env::join_paths(folders.iter().map(|folder| top.join(folder))).unwrap();
            on_path(&program, &Env::fixed([(Var::Path, path)]))
        };
        for link in ["bin/runcode", "runcode-dev-x/bin/runcode"] {
            std::os::unix::fs::symlink(&program, top.join(link)).unwrap();
        }
        assert_eq!(found(&["empty", "copy", "runcode-dev-x/bin", "bin"]), Some(top.join("bin/runcode")));
        assert_eq!(found(&["empty", "copy", "runcode-dev-x/bin"]), None);
        assert_eq!(on_path(&program, &Env::fixed([(Var::Path, "bin:.")])), None);
    }

    #[test]
    fn a_plugin_cache_is_known() {
        assert!(is_versioned(Path::new(
            "/home/u/.claude/plugins/cache/m/runcode/1.2.3/target/release/runcode"
        )));
        assert!(is_versioned(Path::new("/home/u/.codex/plugins/cache/m/runcode/1.2.3/launcher/runcode")));
        assert!(!is_versioned(Path::new("/home/u/.cache/runcode/bin/runcode-v1.0.0-linux-amd64")));
        assert!(!is_versioned(Path::new("/home/u/plugins/my/cache/runcode")));
    }
}
