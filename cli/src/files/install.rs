//! Putting an unpacked folder in its place on this machine: a new one by one rename, else file by file. No link at the
//! place is followed, however it came there: each folder is opened by its name in the one above.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::files::links::{self, Overlay};
use crate::files::local_file::{PREFIX, RANDOM, made_parent, mark_in_use, sweep, write_error};
use crate::files::place::LocalTarget;
use crate::files::tally::Tally;
use crate::files::unpack::ROOT;
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::sys::folder::{FileKind, Folder, allow_many_open_files};
use crate::sys::platform;

/// A folder in the making; removed when dropped.
pub(super) struct Stage {
    temporary: tempfile::TempDir,
    folder: Folder,
    _open: Option<fs::File>,
}

impl Stage {
    /// The folder.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }
}

/// A fresh private folder on the file system of `target`.
pub(super) fn stage(target: &LocalTarget) -> Result<Stage> {
    allow_many_open_files();
    let path = target.path();
    let at = if target.is_folder()? { path.clone() } else { made_parent(&path)?.to_owned() };
    sweep(&at);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM);
    if let Some(private) = platform::permissions(0o700) {
        builder.permissions(private);
    }
    let failed = |error| write_error(&path, error);
    let temporary = builder.tempdir_in(at).map_err(failed)?;
    let folder = Folder::open(temporary.path()).map_err(failed)?;
    let open = if cfg!(unix) { fs::File::open(temporary.path()).ok() } else { None };
    open.iter().for_each(mark_in_use);
    Ok(Stage { temporary, folder, _open: open })
}

/// Removes the links of what is in the stage that lead out of `target`: by themselves, or through a link that is there, which is
/// the user's own. What is not there yet counts as it will be.
pub(super) fn prune(stage: &Stage, target: &LocalTarget, left_out: &mut Tally) -> Result<()> {
    let path = target.path();
    let failed = |error| write_error(&path, error);
    let came = stage.folder.folder(OsStr::new(ROOT)).map_err(failed)?;
    let by_itself = |at: &[OsString], target: &[u8]| links::inside(at, target).is_none();
    links::prune(&came, &mut Vec::new(), left_out, &by_itself).map_err(failed)?;
    if !target.is_folder()? {
        return Ok(());
    }
    let there = target.open().map_err(failed)?;
    let overlay = Overlay::new(&came, &there);
    links::prune(&came, &mut Vec::new(), left_out, &|at, target| overlay.leads_out(at, target))
        .map_err(failed)
}

/// Makes what is in the stage be `target`, or be in it when that is a folder. Nothing is moved where something is in the
/// way.
pub(super) fn install(stage: &Stage, target: &LocalTarget) -> Result<()> {
    let path = target.path();
    let failed = |error| write_error(&path, error);
    if target.is_folder()? {
        let root = target.open().map_err(failed)?;
        let staged = stage.folder.folder(OsStr::new(ROOT)).map_err(failed)?;
        let mut merge = Merge { shown: &path, at: Vec::new() };
        merge.folder(&staged, &root, Step::Check)?;
        return merge.folder(&staged, &root, Step::Move);
    }
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::rename(stage.temporary.path().join(ROOT), &path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
        Ok(_) => Err(in_the_way(&path, &[])),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Check,
    Move,
}

struct Merge<'a> {
    shown: &'a Path,
    /// The path of the folder that is merged, below the root.
    at: Vec<OsString>,
}

impl Merge<'_> {
    fn folder(&mut self, staged: &Folder, there: &Folder, step: Step) -> Result<()> {
        for name in staged.names().map_err(|error| self.failed(error))? {
            self.at.push(name.map_err(|error| self.failed(error))?);
            self.entry(staged, there, step)?;
            self.at.pop();
        }
        Ok(())
    }

    fn entry(&mut self, staged: &Folder, there: &Folder, step: Step) -> Result<()> {
        let Some(name) = self.at.last() else { return Ok(()) };
        let failed = |error| self.failed(error);
        let came = staged.kind(name).map_err(failed)?;
        let found = there.kind(name).map_err(failed)?;
        match (came, found) {
            (Some(FileKind::Folder), Some(FileKind::Folder)) => {
                let inner = (staged.folder(name).map_err(failed)?, there.folder(name).map_err(failed)?);
                self.folder(&inner.0, &inner.1, step)
            }
            (Some(FileKind::Folder), Some(_)) | (_, Some(FileKind::Folder)) => {
                Err(in_the_way(self.shown, &self.at))
            }
            _ if step == Step::Check => Ok(()),
            _ => staged.rename(name, there, name).map_err(failed),
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(format_args!("write {}", shown(self.shown, &self.at)), error)
    }
}

/// The user's path whole, and the workspace's names below it as names of others.
fn shown(path: &Path, names: &[OsString]) -> String {
    match names {
        [] => format!("{}", path.named()),
        names => format!("{} in {}", foreign::path(&links::shown(names)), path.named()),
    }
}

fn in_the_way(path: &Path, names: &[OsString]) -> Error {
    let what = format!("{} is in the way: it is of another kind", shown(path, names));
    Error::new(Code::Io, what).hint("move it away, or fetch to another place")
}
