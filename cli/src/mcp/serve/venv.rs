//! A Python environment with packages that have a runspec.toml.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sys::trusted_file::{self, Distrust, Owner};

/// The files of every package that requires runspec. `owner` says whose files are trusted: the error is the first
/// file that is not, and why.
pub(super) fn files(venv: &Path, owner: Owner) -> Result<Vec<PathBuf>, (PathBuf, Distrust)> {
    let judge = |folder: &Path| trusted_file::judge_folder(folder, owner).map_err(|why| (folder.into(), why));
    judge(venv)?;
    let mut found = Vec::new();
    for python in children(&venv.join("lib")) {
        let name = python.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let site = python.join("site-packages");
        if !name.starts_with("python") || !site.is_dir() {
            continue;
        }
        judge(&site)?;
        for info in children(&site) {
            let is_info = info.extension().is_some_and(|extension| extension == "dist-info");
            if is_info && requires_runspec(&info) {
                judge(&info)?;
                let own = recorded(&site, &info);
                found.extend(if own.is_empty() { editable(&info) } else { own });
            }
        }
    }
    // Packages of one source share its files.
    let mut seen = HashSet::new();
    found.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    Ok(found)
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()));
    let mut found = entries.map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    found.sort();
    found
}

fn requires_runspec(info: &Path) -> bool {
    let metadata = std::fs::read_to_string(info.join("METADATA")).unwrap_or_default();
    let headers = metadata.lines().take_while(|line| !line.is_empty());
    headers.filter_map(|line| line.strip_prefix("Requires-Dist:")).any(|line| {
        let end = |c: char| c.is_whitespace() || "[;>=<!~(".contains(c);
        line.trim().split(end).next().is_some_and(|name| name.eq_ignore_ascii_case("runspec"))
    })
}

/// The runspec.toml that was installed with the package.
fn recorded(site: &Path, info: &Path) -> Vec<PathBuf> {
    let record = std::fs::read_to_string(info.join("RECORD")).unwrap_or_default();
    let paths = record.lines().filter_map(|line| match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => line.split(',').next(),
    });
    let of_name = |path: &&str| Path::new(path).file_name().is_some_and(|name| name == "runspec.toml");
    paths.filter(of_name).map(|path| site.join(path)).filter(|path| path.is_file()).take(1).collect()
}

/// Those of the source that an editable package points to.
fn editable(info: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(info.join("direct_url.json")).unwrap_or_default();
    let said = serde_json::from_str::<Value>(&text).unwrap_or_default();
    if said["dir_info"]["editable"] != true {
        return Vec::new();
    }
    let url = said["url"].as_str().and_then(|url| url::Url::parse(url).ok());
    let Some(source) = url.and_then(|url| url.to_file_path().ok()) else { return Vec::new() };
    let is_hidden =
        |folder: &PathBuf| folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let folders = children(&source).into_iter().filter(|folder| !is_hidden(folder));
    folders.map(|folder| folder.join("runspec.toml")).filter(|file| file.is_file()).collect()
}
