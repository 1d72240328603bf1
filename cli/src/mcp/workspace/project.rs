//! The folder of the user's project, which the current folder need not be.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use url::Url;

use crate::sys::env::{Env, Var};
use crate::sys::location::Location;

/// What lies in the folder of a plugin, where one client starts its servers.
const PLUGIN: &str = ".codex-plugin/plugin.json";

/// The project as the process knows it: what the client's variable says, else the current folder, unless that is a plugin's.
pub(super) fn of_process(env: &Env) -> Option<PathBuf> {
    let named = env.var(Var::ClaudeProjectDir).map(PathBuf::from);
    let current = || std::env::current_dir().ok().filter(|folder| !folder.join(PLUGIN).exists());
    named.filter(|folder| folder.is_absolute()).or_else(current)
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

/// Where attachments are looked for, and made. Without a project that is the folder that holds all others: an attachment of it
/// counts for each project that has none of its own.
pub(super) fn location(project: Option<&Path>) -> Location {
    Location::of(project.unwrap_or(Path::new("/")))
}
