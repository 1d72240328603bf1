//! Putting an unpacked folder in its place on this machine: new ones by one rename, else file by file.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::files::local_file::{PREFIX, RANDOM, made_parent, mark_in_use, sweep, write_error};
use crate::sys::platform;

/// A folder in the making; removed when dropped.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    _open: Option<fs::File>,
}

impl Stage {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A fresh private folder on the file system of `target`.
pub(super) fn stage(target: &Path) -> Result<Stage> {
    let folder = if target.is_dir() { target } else { made_parent(target)? };
    sweep(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM);
    if let Some(private) = platform::permissions(0o700) {
        builder.permissions(private);
    }
    let folder = builder.tempdir_in(folder).map_err(|error| write_error(target, error))?;
    let open = if cfg!(unix) { fs::File::open(folder.path()).ok() } else { None };
    open.iter().for_each(mark_in_use);
    Ok(Stage { folder, _open: open })
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
