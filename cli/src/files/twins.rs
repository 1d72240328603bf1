//! Names that differ only in case, which some file systems treat as one: those of macOS and Windows, and some volumes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;

use crate::error::{Code, Error};
use crate::files::local_tree::Entry;
use crate::output::{foreign, sanitize};
use crate::sys::folder::Folder;

/// The first two names in a transfer that differ only in case.
pub(super) fn find(entries: &[Entry]) -> Option<(&[u8], &[u8])> {
    let mut seen = HashMap::new();
    entries.iter().find_map(|entry| {
        let before =
            seen.insert(String::from_utf8_lossy(&entry.name).to_lowercase(), entry.name.as_slice())?;
        (before != entry.name).then_some((before, entry.name.as_slice()))
    })
}

/// How many names may be read in all to find twins. Only an archive that was made for it needs so many.
const READ_MAX: u64 = 20_000_000;

/// What is in the place of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum There {
    /// Nothing, or the name itself.
    Own,
    /// A name that differs only in case.
    Twin(String),
    /// Finding out takes too long.
    Unclear,
}

/// Looks for twins while an archive is unpacked.
pub(super) struct Twins {
    /// Whether the file system treats names that differ only in case as one.
    ignores_case: bool,
    /// How many names may still be read.
    left: u64,
}

impl Twins {
    /// For the file system of a folder that contains a `t`.
    pub(super) fn on(folder: &Folder) -> io::Result<Twins> {
        Ok(Twins { ignores_case: folder.kind(OsStr::new("T"))?.is_some(), left: READ_MAX })
    }

    /// What is in the place of `name`.
    pub(super) fn at(&mut self, name: &OsStr, folder: &Folder) -> io::Result<There> {
        if !self.ignores_case || folder.kind(name)?.is_none() {
            return Ok(There::Own);
        }
        let mut there = Vec::new();
        for other in folder.names()? {
            let Some(left) = self.left.checked_sub(1) else { return Ok(There::Unclear) };
            self.left = left;
            there.push(other?);
        }
        let twin = in_place_of(name, there).map(|twin| twin.to_string_lossy().into_owned());
        Ok(twin.map_or(There::Own, There::Twin))
    }
}

/// Of the names in a folder that ignores case, the one that is in the place of `name`; none when that is `name` itself.
fn in_place_of(name: &OsStr, there: impl IntoIterator<Item = OsString>) -> Option<OsString> {
    let folded = |name: &OsStr| name.to_string_lossy().to_lowercase();
    let mut twin = None;
    for other in there {
        if other == name {
            return None;
        }
        if folded(&other) == folded(name) {
            twin = Some(other);
        }
    }
    twin
}

/// The error when an archive has both names.
pub(super) fn error_here(twin: &str, name: &OsStr) -> Error {
    error(twin, &name.to_string_lossy(), "this machine's folder")
}

/// What the user is told.
pub(super) fn error(one: &str, other: &str, place: &str) -> Error {
    let [one, other] = [one, other].map(|name| foreign::path(&sanitize::short(name)).to_string());
    let what =
        format!("{one} and {other} differ only in case, and the file system of {place} treats them as one");
    Error::new(Code::Io, what).hint(
        "nothing was changed; rename one of them, or choose a target whose file system tells them apart",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::files::local::Local;
    use crate::files::local_tree::{EntryKind, Modified};

    #[test]
    fn names_that_differ_in_case_alone_are_found() {
        let find = |names: &[&str]| {
            let modified = Modified { seconds: 1, nanos: 0, is_recent: false };
            let entry = |name: &&str| {
                let local = Local::of_file("/x".as_ref()).unwrap();
                let name = name.as_bytes().to_vec();
                Entry { local, name, kind: EntryKind::File(1), mode: 0o644, modified }
            };
            let entries = names.iter().map(entry).collect::<Vec<_>>();
            super::find(&entries).map(|(one, other)| (one.to_vec(), other.to_vec()))
        };
        for (names, found) in [
            (&["", "Makefile", "makefile"][..], Some(("Makefile", "makefile"))),
            (&["a/B", "a/c", "A/b"], Some(("a/B", "A/b"))),
            (&["src", "src/x", "SRC"], Some(("src", "SRC"))),
            (&["\u{c9}", "\u{e9}"], Some(("\u{c9}", "\u{e9}"))),
            (&["a/b", "b/a", "a"], None),
            (&[], None),
        ] {
            let found = found.map(|(one, other)| (one.as_bytes().to_vec(), other.as_bytes().to_vec()));
            assert_eq!(find(names), found, "{names:?}");
        }
    }

    #[test]
    fn a_name_in_anothers_place_is_found() {
        let found = |name: &str, there: &[&str]| {
            in_place_of(OsStr::new(name), there.iter().map(OsString::from))
                .map(|name| name.into_string().unwrap())
        };
        assert_eq!(found("makefile", &["a", "Makefile"]), Some("Makefile".to_owned()));
        assert_eq!(found("makefile", &["Makefile", "makefile"]), None);
        assert_eq!(found("makefile", &["make"]), None);
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_listed_a_bounded_number_of_times() {
        let made = tempfile::tempdir().unwrap();
        (0..10).for_each(|number| std::fs::write(made.path().join(number.to_string()), "").unwrap());
        let folder = Folder::open(made.path()).unwrap();
        let mut twins = Twins { ignores_case: true, left: 15 };
        for _ in 0..100 {
            assert_eq!(twins.at(OsStr::new("new"), &folder).unwrap(), There::Own);
        }
        assert_eq!(twins.left, 15, "a free name needs no look at the others");
        assert_eq!(twins.at(OsStr::new("3"), &folder).unwrap(), There::Own);
        assert_eq!(twins.at(OsStr::new("3"), &folder).unwrap(), There::Unclear);
    }

    #[test]
    fn both_names_are_told() {
        let error = error("Makefile", "make\u{1b}file", "`x`");
        assert!(
            error.message().contains("Makefile") && !error.message().contains('\u{1b}'),
            "{}",
            error.message()
        );
    }
}
