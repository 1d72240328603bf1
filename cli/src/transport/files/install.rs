//! Putting an unpacked folder in its place on this machine: new ones by one rename, else file by file.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::sys::platform;
use crate::transport::files::local_file::{PREFIX, made_parent, write_error};

/// A fresh private folder on the file system of `target`; removed when dropped.
pub(super) fn stage(target: &Path) -> Result<tempfile::TempDir> {
    let folder = if target.is_dir() { target } else { made_parent(target)? };
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(16);
    if let Some(private) = platform::permissions(0o700) {
        builder.permissions(private);
    }
    builder.tempdir_in(folder).map_err(|error| write_error(target, error))
}

/// Makes the folder `staged` be `target`, or be in it when it is there. Nothing is moved where something is in the way.
pub(super) fn install(staged: &Path, target: &Path) -> Result<()> {
    if target.is_dir() {
        merge(staged, target, Step::Check)?;
        return merge(staged, target, Step::Move);
    }
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::rename(staged, target).map_err(|error| write_error(target, error))
        }
        Err(error) => Err(write_error(target, error)),
        Ok(_) => Err(in_the_way(target)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Check,
    Move,
}

/// No link in `target` is followed: a folder below it has to be one.
fn merge(staged: &Path, target: &Path, step: Step) -> Result<()> {
    for entry in fs::read_dir(staged).map_err(|error| write_error(target, error))? {
        let entry = entry.map_err(|error| write_error(target, error))?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        match fs::symlink_metadata(&to) {
            Ok(there) if is_folder && there.is_dir() => merge(&from, &to, step)?,
            Ok(there) if is_folder || there.is_dir() => return Err(in_the_way(&to)),
            _ if step == Step::Move => fs::rename(&from, &to).map_err(|error| write_error(&to, error))?,
            _ => {}
        }
    }
    Ok(())
}

fn in_the_way(target: &Path) -> Error {
    Error::new(Code::Io, format!("`{}` is in the way: it is of another kind", target.display()))
        .hint("move it away, or fetch to another place")
}
