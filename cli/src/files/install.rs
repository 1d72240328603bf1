//! Putting an unpacked folder in its place on this machine: a new one by one rename, else file by file. No link at the
//! place is followed, however it came there: each folder is opened by its name in the one above.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::files::links::{self, Overlay};
use crate::files::local_file::{PREFIX, RANDOM, mark_in_use, parent_of, sweep, write_error};
use crate::files::place::{LocalTarget, judged_folder, open_in};
use crate::files::tally::Tally;
use crate::files::unpack::ROOT;
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::sys::folder::{FileKind, Folder, allow_many_open_files};
use crate::sys::random;

/// A folder in the making; removed when dropped. Whoever may write to the folder that it is in can rename it and put something else
/// in its place: so it is used through what was opened when it was made, never by its path.
pub(super) struct Stage {
    folder: Folder,
    /// What it is in, and under which name.
    parent: Folder,
    name: OsString,
    /// The name in `parent` for its content, if that is new; otherwise `parent` is the target.
    becomes: Option<OsString>,
    _locked: Option<fs::File>,
}

impl Stage {
    /// The folder.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.folder.clear();
        let _ = self.parent.remove_folder(&self.name);
    }
}

/// A fresh private folder on the file system of `target`.
pub(super) fn stage(target: &LocalTarget) -> Result<Stage> {
    allow_many_open_files();
    let path = target.path();
    let failed = |error| write_error(&path, error);
    let (parent, becomes) = match target.open()? {
        Some(there) => {
            sweep(&target.resolved()?);
            (there, None)
        }
        None => {
            let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            let above = judged_folder(parent_of(&path))?;
            sweep(&above);
            (Folder::open_to_use(&above).map_err(failed)?, Some(name.to_owned()))
        }
    };
    let random = random::word();
    let name = OsString::from(format!("{PREFIX}{}", random.get(..RANDOM).unwrap_or(&random)));
    let folder = parent.make_private_folder(&name).map_err(failed)?;
    let locked = folder.as_file();
    locked.iter().for_each(mark_in_use);
    Ok(Stage { folder, parent, name, becomes, _locked: locked })
}

impl Stage {
    /// The target, if it is now a folder. It is judged again if it appeared in the meantime.
    fn target(&self, path: &Path) -> Result<Option<Folder>> {
        let failed = |error| write_error(path, error);
        let Some(new) = &self.becomes else { return self.parent.again().map(Some).map_err(failed) };
        match self.parent.kind(new).map_err(failed)? {
            None => Ok(None),
            Some(FileKind::Folder) => open_in(&self.parent, new, &path.named()).map(Some),
            Some(_) => Err(in_the_way(path, &[])),
        }
    }
}

/// Removes the links of what is in the stage that lead out of `target`: by themselves, or through a link that is there, which is
/// the user's own. What is not there yet counts as it will be.
pub(super) fn prune(stage: &Stage, target: &LocalTarget, left_out: &mut Tally) -> Result<()> {
    let path = target.path();
    let failed = |error| write_error(&path, error);
    let came = stage.folder.folder(OsStr::new(ROOT)).map_err(failed)?;
    let by_itself = |at: &[OsString], target: &[u8]| links::inside(at, target).is_none();
    links::prune(&came, &mut Vec::new(), left_out, &by_itself).map_err(failed)?;
    let Some(there) = stage.target(&path)? else { return Ok(()) };
    let overlay = Overlay::new(&came, &there);
    links::prune(&came, &mut Vec::new(), left_out, &|at, target| overlay.leads_out(at, target))
        .map_err(failed)
}

/// Makes what is in the stage be `target`, or be in it when that is a folder. Nothing is moved where something is in the
/// way.
pub(super) fn install(stage: &Stage, target: &LocalTarget) -> Result<()> {
    let path = target.path();
    let failed = |error| write_error(&path, error);
    if let Some(root) = stage.target(&path)? {
        let staged = stage.folder.folder(OsStr::new(ROOT)).map_err(failed)?;
        let mut merge = Merge { shown: &path, at: Vec::new() };
        merge.folder(&staged, &root, Step::Check)?;
        return merge.folder(&staged, &root, Step::Move);
    }
    let new = stage.becomes.as_ref().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    stage.folder.rename(OsStr::new(ROOT), &stage.parent, new).map_err(failed)
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
                let came = staged.folder(name).map_err(failed)?;
                let there = open_in(there, name, &shown(self.shown, &self.at))?;
                self.folder(&came, &there, step)
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

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    /// Others create the new folder, or a link, while its content arrives: theirs gets nothing, and nothing goes through a link.
    #[test]
    fn a_target_made_meanwhile_is_judged() {
        use std::os::unix::fs::{PermissionsExt as _, lchown};
        let is_root = rustix::process::geteuid().is_root();
        // Who owns it, and whether the user gives the target as their own link to it.
        for (kind, owner, is_merged) in [
            ("folder", 65_534, false),
            ("folder", 0, true),
            ("full", 65_534, false),
            ("link", 65_534, false),
            ("link", 0, false),
        ] {
            if !is_root && owner != 0 {
                continue;
            }
            for is_chained in [false, true] {
                let top = tempfile::tempdir().unwrap();
                let at = |name: &str| top.path().join(name);
                for folder in ["victim/sub", "shared"] {
                    fs::create_dir_all(at(folder)).unwrap();
                }
                fs::set_permissions(at("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
                symlink("shared", at("chained")).unwrap();
                let given = if is_chained { at("chained/new") } else { at("shared/new") };
                let target = LocalTarget::Given(given);
                let made = stage(&target).unwrap();
                made.folder().make_folder(OsStr::new(ROOT)).unwrap();
                let came = made.folder().folder(OsStr::new(ROOT)).unwrap();
                came.make_folder(OsStr::new("sub")).unwrap();
                drop(came.folder(OsStr::new("sub")).unwrap().make_file(OsStr::new("came")).unwrap());
                let new = at("shared/new");
                match kind {
                    "link" => symlink(at("victim"), &new).unwrap(),
                    "full" => fs::create_dir_all(new.join("sub")).unwrap(),
                    _ => fs::create_dir(&new).unwrap(),
                }
                if is_root {
                    lchown(&new, Some(owner), None).unwrap();
                }
                let installed = install(&made, &target);
                assert_eq!(installed.is_ok(), is_merged, "{kind} {owner}: {installed:?}");
                assert_eq!(new.join("sub/came").exists(), is_merged, "{kind} {owner}");
                assert!(!at("victim/sub/came").exists());
            }
        }
    }

    /// What somebody who may write to the target's folder puts in the place of the stage.
    #[test]
    fn a_swapped_stage_moves_and_removes_nothing() {
        for is_link in [true, false] {
            for is_installed in [true, false] {
                let top = tempfile::tempdir().unwrap();
                let at = |name: &str| top.path().join(name);
                fs::create_dir_all(at("victim/t")).unwrap();
                fs::write(at("victim/t/keep"), "mine").unwrap();
                fs::create_dir(at("shared")).unwrap();
                let target = LocalTarget::Given(at("shared/new"));
                let made = stage(&target).unwrap();
                made.folder().make_folder(OsStr::new(ROOT)).unwrap();
                let came = made.folder().folder(OsStr::new(ROOT)).unwrap();
                drop(came.make_file(OsStr::new("came")).unwrap());
                let place = at("shared").join(&made.name);
                fs::rename(&place, at("shared/away")).unwrap();
                if is_link {
                    symlink(at("victim"), &place).unwrap();
                } else {
                    fs::rename(at("victim"), &place).unwrap();
                }
                if is_installed {
                    install(&made, &target).unwrap();
                }
                drop(made);
                assert_eq!(fs::read(place.join("t/keep")).unwrap(), b"mine", "{is_link} {is_installed}");
                assert_eq!(at("shared/new/came").exists(), is_installed, "{is_link}");
                assert_eq!(fs::read_dir(at("shared/away")).unwrap().count(), 0);
            }
        }
    }
}
