//! The folder of the user's project, which the current folder need not be.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use url::Url;

use crate::sys::env::{Env, Var};
use crate::sys::location::Location;
use crate::sys::paths;
use crate::sys::project::home;

/// The project as the process knows it: what the client's variable says, else the current folder, unless that is our plugin's.
pub(super) fn of_process(env: &Env) -> Option<PathBuf> {
    let named = env.var(Var::ClaudeProjectDir).map(PathBuf::from).filter(|folder| folder.is_absolute());
    named.or_else(|| std::env::current_dir().ok().filter(|folder| !is_our_plugin(folder, env)))
}

/// Whether the launcher that started us, in the folder `launcher` of its plugin, is this folder's: one client starts its servers
/// in there. A file could say so of any folder.
fn is_our_plugin(folder: &Path, env: &Env) -> bool {
    let launcher = env.var(Var::RuncodeLauncher).map(PathBuf::from).filter(|file| file.is_absolute());
    let plugin = launcher.as_deref().and_then(Path::parent).and_then(Path::parent);
    plugin.is_some_and(|plugin| real(plugin) == real(folder))
}

/// The project that a call is about, as Codex says it.
pub(super) fn of_call(meta: &Map<String, Value>) -> Option<PathBuf> {
    let folder = meta.get("codex/sandbox-state")?.get("sandboxCwd")?.as_str()?;
    let path = match Url::parse(folder) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok()?,
        _ => PathBuf::from(folder),
    };
    path.is_absolute().then_some(path)
}

/// The user's home folders: as the system knows it, and as the variable says.
pub(super) fn homes(env: &Env) -> Vec<PathBuf> {
    let said = paths::home(env).ok().map(|home| real(&home));
    home().into_iter().chain(said).collect()
}

/// Whether the folder is above one of these homes, or above everything: then it is no project, and what is attached to it would be
/// every other project's.
pub(super) fn holds_a_home(folder: &Path, homes: &[PathBuf]) -> bool {
    let folder = real(folder);
    folder.parent().is_none() || homes.iter().any(|home| *home != folder && home.starts_with(&folder))
}

fn real(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// Where attachments are looked for. Without a project that is the folder that holds all others.
pub(super) fn location(project: Option<&Path>) -> Location {
    Location::of(project.unwrap_or(Path::new("/")))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_planted_file_makes_no_plugin() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        for name in ["project/.codex-plugin/plugin.json", "plugin/launcher/runcode"] {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), "{}").unwrap();
        }
        std::os::unix::fs::symlink(at("plugin"), at("link")).unwrap();
        for launcher in ["plugin/launcher/runcode", "link/launcher/runcode"] {
            let env = Env::fixed([(Var::RuncodeLauncher, at(launcher).to_str().unwrap())]);
            assert!(is_our_plugin(&at("plugin"), &env) && !is_our_plugin(&at("project"), &env));
        }
        assert!(!is_our_plugin(&at("project"), &Env::fixed::<&str>([])));
    }

    #[test]
    fn no_project_holds_a_home() {
        let homes = ["/none/home/me", "/none/other"].map(PathBuf::from);
        for (folder, holds) in [
            ("/", true),
            ("/none", true),
            ("/none/home", true),
            ("/none/home/me", false),
            ("/none/home/me/x", false),
            ("/none/home/you", false),
        ] {
            assert_eq!(holds_a_home(Path::new(folder), &homes), holds, "{folder}");
        }
        assert!(holds_a_home(Path::new("/"), &[]));
    }
}
