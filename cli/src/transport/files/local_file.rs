//! A file of this machine in the making: beside its target, under a random name, until it takes the target's place.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Code, Error, Result};
use crate::sys::platform;

/// What all our temporary files and folders are called at first.
pub(super) const PREFIX: &str = ".runcode-";

/// A file that is not there yet. Dropping it leaves nothing.
pub(super) struct LocalFile {
    target: PathBuf,
    staged: tempfile::NamedTempFile,
}

impl LocalFile {
    /// The file that is to be `target`; folders above it are made.
    pub(super) fn create(target: &Path) -> Result<LocalFile> {
        if target.is_dir() {
            return Err(Error::new(Code::Io, format!("`{}` is a folder", target.display())));
        }
        let parent = made_parent(target)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).rand_bytes(16);
        if let Some(private) = platform::permissions(0o600) {
            builder.permissions(private);
        }
        let staged = builder.tempfile_in(parent).map_err(|error| write_error(target, error))?;
        Ok(LocalFile { target: target.to_owned(), staged })
    }

    /// Where its content goes.
    pub(super) fn file(&mut self) -> &mut File {
        self.staged.as_file_mut()
    }

    /// Puts it in its place. A link that is there is replaced, not followed.
    pub(super) fn commit(self, mode: u32, modified: Option<SystemTime>) -> Result<()> {
        let failed = |error| write_error(&self.target, error);
        let file = self.staged.as_file();
        if let Some(permissions) = platform::permissions(mode & 0o777) {
            file.set_permissions(permissions).map_err(failed)?;
        }
        if let Some(modified) = modified {
            file.set_modified(modified).map_err(failed)?;
        }
        self.staged.persist(&self.target).map_err(|error| write_error(&self.target, error.error))?;
        Ok(())
    }
}

/// The folder that `target` is in, made where it is missing.
pub(super) fn made_parent(target: &Path) -> Result<&Path> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .map_err(|error| Error::io(format_args!("make the folder `{}`", parent.display()), error))?;
    Ok(parent)
}

pub(super) fn write_error(target: &Path, error: std::io::Error) -> Error {
    Error::io(format_args!("write `{}`", target.display()), error)
}
