//! The folder that a command is about: by the name that a person knows, and by the one without links.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::sys::env::{Env, Var};

/// A folder by both of its names, which are the same where no link is on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    given: PathBuf,
    real: PathBuf,
}

/// A way up: a folder, and the folders that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayUp {
    /// The link in the first folder; `None` if the way starts at the location itself.
    pub link: Option<PathBuf>,
    /// The folders, nearest first, with links resolved.
    pub folders: Vec<PathBuf>,
}

impl Location {
    /// The working directory, by `$PWD` where that is the same folder: a shell keeps there how the user came to it.
    pub fn current(env: &Env) -> Result<Location> {
        let current =
            std::env::current_dir().map_err(|error| Error::io("find out the current folder", error))?;
        // getcwd(3) has no links in it.
        let real = if cfg!(unix) { current.clone() } else { resolved(&current) };
        let given = env.var(Var::Pwd).map(PathBuf::from).filter(|given| {
            is_plain(given) && (*given == current || given.canonicalize().is_ok_and(|given| given == real))
        });
        Ok(Location { given: given.unwrap_or(current), real })
    }

    /// The folder that an absolute path names, whether or not it is there.
    pub fn of(path: &Path) -> Location {
        Location { given: path.to_owned(), real: resolved(path) }
    }

    /// The path that the user took to it, if there are links in that path.
    pub fn given(&self) -> Option<&Path> {
        (self.given != self.real).then_some(&*self.given)
    }

    /// Whether the user came to it through `given`, and `given` now leads to the folder `real`.
    pub fn is_within(&self, given: &Path, real: &Path) -> bool {
        self.given.starts_with(given) && resolved(given) == real
    }

    /// Its name without links: one for each folder.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// The ways up: one from the folder itself, then one for each link in the given path, from the folder that holds that
    /// link.
    pub fn ways_up(&self) -> Vec<WayUp> {
        let mut ways =
            vec![WayUp { link: None, folders: self.real.ancestors().map(Path::to_owned).collect() }];
        if self.given != self.real {
            let real = self.given.ancestors().map(resolved).collect::<Vec<_>>();
            for (at, given) in self.given.ancestors().enumerate() {
                if real.get(at + 1).is_some_and(|holder| real[at].parent() != Some(holder)) {
                    ways.push(WayUp { link: Some(given.to_owned()), folders: real[at + 1..].to_vec() });
                }
            }
        }
        ways
    }

    /// Whether it holds `folder`, by either name.
    pub fn holds(&self, folder: &Path) -> bool {
        folder.starts_with(&self.given) || folder.starts_with(&self.real)
    }
}

/// Without links where the file system tells; else as it is.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().map_or_else(|_| path.to_owned(), without_prefix)
}

/// `C:\folder` for what Windows resolves to `\\?\C:\folder`: people and their programs write the one.
fn without_prefix(path: PathBuf) -> PathBuf {
    let drive = if cfg!(windows) { path.to_str().and_then(|path| path.strip_prefix(r"\\?\")) } else { None };
    drive.filter(|rest| rest.as_bytes().get(1) == Some(&b':')).map_or(path.clone(), PathBuf::from)
}

/// Absolute, and without `..`, which would name another folder than the components say.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_linked_folder_is_held_by_both_its_parents() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("disk/project/src")).unwrap();
        std::fs::create_dir(root.join("home")).unwrap();
        std::os::unix::fs::symlink(root.join("disk/project"), root.join("home/link")).unwrap();
        let location = Location::of(&root.join("home/link/src"));
        assert_eq!(location.real(), root.join("disk/project/src"));
        let ways = location.ways_up();
        let below =
            |way: &WayUp| way.folders.iter().filter(|it| it.starts_with(&root)).cloned().collect::<Vec<_>>();
        let [own, links] = &ways[..] else { panic!("{ways:?}") };
        let named = |names: &[&str]| names.iter().map(|name| root.join(name)).collect::<Vec<_>>();
        let own_root = [named(&["disk/project/src", "disk/project", "disk"]), vec![root.clone()]].concat();
        assert_eq!(below(own), own_root);
        assert_eq!(below(links), [named(&["home"]), vec![root.clone()]].concat());
        assert_eq!((own.link.as_deref(), links.link.as_deref()), (None, Some(&*root.join("home/link"))));
        assert_eq!(Location::of(&root.join("disk/project")).ways_up().len(), 1);
        let around = Location::of(&root.join("home/link"));
        assert!(around.holds(&root.join("disk/project/src")) && around.holds(&root.join("home/link/x")));
        assert!(!around.holds(&root.join("disk/project-2")));
    }

    #[test]
    fn pwd_counts_where_it_is_this_folder() {
        let here = std::env::current_dir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&here, &link).unwrap();
        let given = |pwd: &Path| Location::current(&Env::fixed([(Var::Pwd, pwd)])).unwrap().given;
        assert_eq!(given(&link), link);
        for other in [folder.path(), Path::new("."), &link.join("../link"), Path::new("/no/such/folder")] {
            assert_eq!(given(other), here, "{}", other.display());
        }
    }
}
