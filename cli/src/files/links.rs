//! Symbolic links that came with a folder: those that stay in it are kept, the others only on request.
//!
//! A link stays when its target climbs no higher than the folder, and climbs only at its beginning: `../lib/x`, but not
//! `a/../x`. What `..` means behind a name depends on what that name is, and a later transfer could make it a link. So by
//! induction no chain of such links leads out: each begins in a real folder, and each name in it is a folder of the tree
//! or another such link.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;

use crate::files::local_name;
use crate::files::tally::Tally;
use crate::output::sanitize;
use crate::sys::folder::{FileKind, Folder};

/// The longest target (`PATH_MAX`, limits.h(0p)).
pub(super) const TARGET_MAX: usize = 4095;

/// How many links one path may lead through (`SYMLOOP_MAX` is 8 at least, 40 on Linux).
const CHAIN: usize = 40;

/// How many steps all the links of a folder may take together: so many, and so many more for each. Those of a project's folder
/// take ten or twenty; a workspace can make up some that take a million each.
const STEPS: u64 = 50_000;
const STEPS_EACH: u64 = 128;

/// A link, as shown to people.
fn link(name: &[OsString], target: &[u8]) -> String {
    format!("{} -> {}", sanitize::short(&shown(name)), sanitize::short(&String::from_utf8_lossy(target)))
}

/// A path below the folder, for people.
pub(super) fn shown(names: &[OsString]) -> String {
    names.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Where a link in the folder `at` leads, as a path below the root; none when it leads out, or could.
pub(super) fn inside(at: &[OsString], target: &[u8]) -> Option<Vec<OsString>> {
    if target.is_empty() || target.starts_with(b"/") {
        return None;
    }
    let parts = target.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let (mut path, mut climbs) = (at.to_vec(), true);
    for part in parts {
        if part == b".." {
            path.pop().filter(|_| climbs)?;
        } else {
            climbs = false;
            path.push(local_name::component(part)?);
        }
    }
    Some(path)
}

/// What a folder is to be: what came, laid over what is there.
pub(super) struct Overlay<'a> {
    /// What came.
    pub(super) came: &'a Folder,
    /// The folder that it goes into.
    pub(super) there: &'a Folder,
    /// How many steps are left.
    steps: Cell<u64>,
}

impl<'a> Overlay<'a> {
    /// What `came`, laid over what is `there`.
    pub(super) fn new(came: &'a Folder, there: &'a Folder) -> Overlay<'a> {
        Overlay { came, there, steps: Cell::new(STEPS) }
    }

    /// Takes this many steps; none when so many are not left.
    fn step(&self, count: usize) -> Option<()> {
        let left = self.steps.get().checked_sub(u64::try_from(count).ok()?);
        self.steps.set(left.unwrap_or(0));
        left.map(|_| ())
    }

    /// Whether a link in the folder `at` leads through a link that leads out: one of the user's own, whatever else that came
    /// is on the way. One for which no steps are left counts as such a link.
    pub(super) fn leads_out(&self, at: &[OsString], target: &[u8]) -> bool {
        self.steps.set(self.steps.get().saturating_add(STEPS_EACH));
        self.walk(at, target).unwrap_or(true)
    }

    /// None when that cannot be told.
    fn walk(&self, at: &[OsString], target: &[u8]) -> Option<bool> {
        let top = || Some((Some(self.came.again().ok()?), Some(self.there.again().ok()?)));
        let (mut todo, mut here) = (VecDeque::from(inside(at, target)?), Vec::new());
        let (mut came, mut there) = top()?;
        let mut chain = 0;
        while let Some(name) = todo.pop_front() {
            self.step(1)?;
            let (new, old) = (kind(came.as_ref(), &name)?, kind(there.as_ref(), &name)?);
            match new.or(old) {
                Some(FileKind::Folder) => {
                    came = below(came.as_ref(), new, &name)?;
                    there = below(there.as_ref(), old, &name)?;
                    here.push(name);
                }
                Some(FileKind::Link) => {
                    chain += 1;
                    let holder = if new.is_some() { &came } else { &there };
                    let target = holder.as_ref()?.read_link(&name).ok()?;
                    let path = inside(&here, &target).filter(|_| chain <= CHAIN)?;
                    self.step(path.len())?;
                    path.into_iter().rev().for_each(|name| todo.push_front(name));
                    (came, there) = top()?;
                    here.clear();
                }
                _ => return Some(false),
            }
        }
        Some(false)
    }
}

fn kind(folder: Option<&Folder>, name: &OsStr) -> Option<Option<FileKind>> {
    folder.map_or(Some(None), |folder| folder.kind(name).ok())
}

/// The folder `name`, where it is one.
fn below(folder: Option<&Folder>, kind: Option<FileKind>, name: &OsStr) -> Option<Option<Folder>> {
    match (folder, kind) {
        (Some(folder), Some(FileKind::Folder)) => folder.folder(name).ok().map(Some),
        _ => Some(None),
    }
}

/// Removes the links below `folder`, which is `at` below the root, of which `leads_out` says so; they are added to `left_out`.
pub(super) fn prune(
    folder: &Folder,
    at: &mut Vec<OsString>,
    left_out: &mut Tally,
    leads_out: &dyn Fn(&[OsString], &[u8]) -> bool,
) -> io::Result<()> {
    let (kept, before) = (folder.attributes()?, left_out.count);
    for name in folder.names()? {
        let name = name?;
        at.push(name);
        let Some((name, above)) = at.split_last() else { continue };
        match folder.kind(name)? {
            Some(FileKind::Folder) => prune(&folder.folder(name)?, at, left_out, leads_out)?,
            Some(FileKind::Link) => {
                let target = folder.read_link(name)?;
                if leads_out(above, &target) {
                    folder.remove(name)?;
                    left_out.add(|| link(at, &target));
                }
            }
            _ => {}
        }
        at.pop();
    }
    if left_out.count > before { folder.set_attributes(kept) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::files::tally::KEPT;
    #[cfg(unix)]
    use proptest::prelude::*;

    fn names(path: &str) -> Vec<OsString> {
        path.split('/').filter(|name| !name.is_empty()).map(OsString::from).collect()
    }

    #[test]
    fn links_stay_in_the_tree_or_lead_out() {
        for (at, target, leads) in [
            ("node_modules/.bin", "../pkg/cli.js", Some("node_modules/pkg/cli.js")),
            ("", "a", Some("a")),
            ("", ".//a/./b/", Some("a/b")),
            ("a/b", "../..", Some("")),
            ("", ".", Some("")),
            ("a/b", "../../../x", None),
            ("", "..", None),
            ("", "/etc/passwd", None),
            ("", "//etc", None),
            ("", "", None),
            ("", "a/../b", None),
            ("a", "../b/../../x", None),
            ("a", "./../c", Some("c")),
            ("", "...", Some("...")),
        ] {
            assert_eq!(inside(&names(at), target.as_bytes()), leads.map(names), "{at:?} {target}");
        }
    }

    #[test]
    fn what_was_left_out_is_named_up_to_a_bound() {
        let mut left_out = Tally::default();
        for _ in 0..1000 {
            left_out.add(|| link(&names("a/\u{1b}[2J"), &[b'x'; 4000]));
        }
        assert_eq!((left_out.count, left_out.named.len()), (1000, KEPT));
        assert!(left_out.named.iter().all(|name| name.len() < 500 && !name.contains('\u{1b}')));
    }

    #[cfg(unix)]
    fn small_name() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "c", "..", "."])
    }

    #[cfg(unix)]
    proptest! {
        /// The oracle is the kernel: whatever tree of folders and such links there is, no path in it leads out.
        #[test]
        fn no_chain_of_links_leads_out(
            entries in prop::collection::vec(
                (prop::collection::vec(small_name(), 1..4), prop::collection::vec(small_name(), 0..5)), 1..12),
            tried in prop::collection::vec(small_name(), 1..6),
        ) {
            let top = tempfile::tempdir().unwrap();
            let root = top.path().canonicalize().unwrap().join("root");
            std::fs::create_dir(&root).unwrap();
            for (name, target) in entries {
                let name = name.into_iter().filter(|part| !part.starts_with('.')).collect::<Vec<_>>();
                let Some((last, at)) = name.split_last() else { continue };
                let folder = at.iter().fold(root.clone(), |path, part| path.join(part));
                // As when unpacking: the folders above it are real ones.
                if std::fs::create_dir_all(&folder).is_err() || folder.canonicalize().unwrap() != folder {
                    continue;
                }
                let target = target.join("/");
                if inside(&names(&at.join("/")), target.as_bytes()).is_some() {
                    let _ = std::os::unix::fs::symlink(&target, folder.join(last));
                } else {
                    let _ = std::fs::create_dir(folder.join(last));
                }
            }
            let down = tried.into_iter().filter(|part| !part.starts_with('.'));
            let path = down.fold(root.clone(), |path, part| path.join(part));
            if let Ok(found) = path.canonicalize() {
                prop_assert!(found.starts_with(&root), "{} is {}", path.display(), found.display());
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_through_the_users_own_are_told() {
        use std::os::unix::fs::symlink;
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("d/e")).unwrap();
        symlink("/etc", top.path().join("d/mine")).unwrap();
        symlink("d", top.path().join("in")).unwrap();
        symlink("loop", top.path().join("loop")).unwrap();
        let new = tempfile::tempdir().unwrap();
        std::fs::create_dir(new.path().join("d")).unwrap();
        symlink("d", new.path().join("came")).unwrap();
        symlink("../came/mine", new.path().join("d/chain")).unwrap();
        let (came, there) = (Folder::open(new.path()).unwrap(), Folder::open(top.path()).unwrap());
        let overlay = Overlay::new(&came, &there);
        for (at, target, through) in [
            ("", "came/mine", true),
            ("", "d/chain", true),
            ("new", "../came/mine/x", true),
            ("", "came/e", false),
            ("", "came/none", false),
            ("", "d/mine/passwd", true),
            ("", "in/mine", true),
            ("d/e", "../mine", true),
            ("", "loop/x", true),
            ("", "in/e", false),
            ("", "d/e/new/x", false),
            ("d", "../d/e", false),
        ] {
            assert_eq!(overlay.leads_out(&names(at), target.as_bytes()), through, "{at} {target}");
        }
    }

    /// The work is counted: a clock would tell of the machine.
    #[cfg(unix)]
    #[test]
    fn links_that_take_long_cost_little() {
        use std::os::unix::fs::symlink;
        let (new, top) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let deep = "d/".repeat(100);
        std::fs::create_dir_all(new.path().join(&deep)).unwrap();
        std::fs::create_dir_all(new.path().join("pkg/bin")).unwrap();
        symlink("pkg", new.path().join("own")).unwrap();
        // Down to the bottom; and from there up to the top, and down again.
        symlink(&deep, new.path().join("down")).unwrap();
        symlink(format!("{}down", "../".repeat(100)), new.path().join(&deep).join("again")).unwrap();
        let (came, there) = (Folder::open(new.path()).unwrap(), Folder::open(top.path()).unwrap());
        let overlay = Overlay::new(&came, &there);
        let rounds = format!("down/{}", "again/".repeat(19));
        let mut taken = 0;
        let mut judge = |at: &str, target: &str| {
            let before = overlay.steps.get();
            let leads_out = overlay.leads_out(&names(at), target.as_bytes());
            taken += before + STEPS_EACH - overlay.steps.get();
            leads_out
        };
        for _ in 0..1000 {
            assert!(!judge("a/b", "../../own/bin"), "what takes few steps stays");
        }
        let left_out = (0..1000).filter(|_| judge("", &rounds)).count();
        assert!((900..1000).contains(&left_out), "{left_out}");
        assert!(!judge("a/b", "../../own/bin"), "those before it take nothing from the next one");
        assert!(taken <= STEPS + 2001 * STEPS_EACH, "{taken}");
    }
}
