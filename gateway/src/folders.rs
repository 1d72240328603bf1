//! Paths of project folders as clients are told them.

use std::collections::HashMap;
use std::path::Path;

use runcode_plane::{Error, Workspace};

/// The folders' plain names. A client refuses a path that a shell or an ssh config could misread; such a folder gets a
/// link to it with a plain name.
pub(crate) struct Folders {
    names: HashMap<u64, String>,
    /// Holds the links.
    _links: Option<tempfile::TempDir>,
}

impl Folders {
    /// Finds a plain name for each workspace's folder.
    pub(crate) fn of(workspaces: &[Workspace]) -> Result<Folders, Error> {
        let links = private_folder().map_err(Error::io("a temporary folder"))?;
        let mut names = HashMap::new();
        for workspace in workspaces {
            let name =
                plain_name(workspace.id, &workspace.dir, links.path()).map_err(|e| Error::Workspace {
                    title: workspace.title.clone(),
                    reason: format!("a plain name for {}: {e}", workspace.dir.display()),
                })?;
            names.insert(workspace.id, name);
        }
        // A plane that is killed leaves nothing behind where nothing was needed.
        let links =
            Some(links).filter(|folder| std::fs::read_dir(folder).is_ok_and(|mut e| e.next().is_some()));
        Ok(Folders { names, _links: links })
    }

    /// The plain name of a workspace's folder.
    pub(crate) fn name(&self, workspace: u64) -> Option<String> {
        self.names.get(&workspace).cloned()
    }
}

/// A temporary folder for this user alone, whatever the umask.
fn private_folder() -> std::io::Result<tempfile::TempDir> {
    let mut folder = tempfile::Builder::new();
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    folder.prefix("runcode-plane-").tempdir()
}

/// The folder's own path when a client takes it as it stands, else a link to it with a name that is plain.
fn plain_name(id: u64, dir: &Path, links: &Path) -> std::io::Result<String> {
    let plain = |path: &Path| {
        let text = path.to_str()?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
        (text.bytes().all(allowed) && text.starts_with('/') && text.len() <= 1024).then(|| text.to_owned())
    };
    if let Some(path) = plain(dir) {
        return Ok(path);
    }
    let link = links.join(format!("workspace-{id}"));
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir, &link)?;
    Ok(plain(&link).unwrap_or_else(|| dir.to_string_lossy().into_owned()))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    #[test]
    fn a_temporary_folder_is_for_this_user_alone() {
        let folder = super::private_folder().unwrap();
        let permissions = std::fs::metadata(folder.path()).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o700);
    }
}
