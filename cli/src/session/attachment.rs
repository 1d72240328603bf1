//! The sticky pointer: which workspace `connect` attached, and from which folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::sys::atomic_file;
use crate::sys::paths::Paths;

/// What `<cache>/current` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The attached workspace.
    pub workspace_id: u64,
    /// The folder that `connect` ran in; none when its name is not text.
    pub folder: Option<String>,
    /// The control plane that the workspace belongs to.
    pub api_base: String,
}

impl Attachment {
    /// Attaches a workspace from this process's folder.
    pub fn here(workspace_id: u64, api_base: &str) -> Attachment {
        let folder =
            std::env::current_dir().ok().and_then(|folder| folder.into_os_string().into_string().ok());
        Attachment { workspace_id, folder, api_base: api_base.to_owned() }
    }

    /// The attachment, if there is one. A pointer that cannot be understood points nowhere.
    pub fn read(paths: &Paths) -> Result<Option<Attachment>> {
        if !atomic_file::is_own_dir(paths.cache())? {
            return Ok(None);
        }
        let bytes = atomic_file::read(&paths.current(), 64 * 1024)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Makes this the attachment, atomically.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        atomic_file::private_dir(paths.cache())?;
        let bytes = serde_json::to_vec(self).map_err(|error| Error::new(Code::Error, error.to_string()))?;
        atomic_file::write(&paths.current(), &bytes, 0o600)
    }

    /// Detaches `workspace_id`, or whatever is attached; says whether something was.
    pub fn clear(paths: &Paths, workspace_id: Option<u64>) -> Result<bool> {
        match Attachment::read(paths)? {
            Some(attachment) if workspace_id.is_none_or(|id| id == attachment.workspace_id) => {
                atomic_file::remove(&paths.current())
            }
            Some(_) => Ok(false),
            None if workspace_id.is_none() => atomic_file::remove(&paths.current()).map(|_| false),
            None => Ok(false),
        }
    }

    /// The folder that attached it.
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(PathBuf::from)
    }

    /// Whether `folder` is inside or around the attaching one, by path components.
    pub fn concerns(&self, folder: &Path) -> bool {
        self.folder().is_some_and(|own| own.starts_with(folder) || folder.starts_with(&own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_concerns_by_component() {
        let attachment =
            Attachment { workspace_id: 7, folder: Some("/home/u/project".into()), api_base: String::new() };
        for (folder, concerned) in [
            ("/home/u/project", true),
            ("/home/u/project/src", true),
            ("/home/u", true),
            ("/home/u/project2", false),
            ("/tmp", false),
        ] {
            assert_eq!(attachment.concerns(Path::new(folder)), concerned, "{folder}");
        }
    }
}
