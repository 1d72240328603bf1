//! Files by the addresses that Codex uses for them.
//!
//! Codex runs on this machine, so it names the project by its path here. A path in the attached folder means the same place
//! below the workdir; every other path is a path on the workspace, unchanged.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use url::Url;

use crate::codex::message::{INVALID_PARAMS, Refusal};

/// How the attached folder and the workdir correspond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    /// The attached folder under each of its names; first comes the one that Codex is told.
    folders: Vec<PathBuf>,
    /// The workdir under each of its names, likewise.
    workdirs: Vec<PathBuf>,
}

impl Paths {
    /// `folders` and `workdirs` are absolute, and neither is empty.
    pub(super) fn new(folders: Vec<PathBuf>, workdirs: Vec<PathBuf>) -> Paths {
        Paths { folders, workdirs }
    }

    /// The path on the workspace that an address means: absolute, without `.`, `..` and NUL.
    pub(super) fn remote(&self, address: &str) -> Result<Vec<u8>, Refusal> {
        let path = local(address)?;
        let below = self.folders.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let workdir = self.workdirs.first();
        let path = match (below, workdir) {
            (Some(below), Some(workdir)) if below.as_os_str().is_empty() => workdir.clone(),
            (Some(below), Some(workdir)) => workdir.join(below),
            _ => path,
        };
        Ok(path.into_os_string().into_vec())
    }

    /// The address by which Codex knows a path on the workspace.
    pub(super) fn address(&self, remote: &Path) -> Option<String> {
        let below = self.workdirs.iter().find_map(|workdir| remote.strip_prefix(workdir).ok());
        let path = match (below, self.folders.first()) {
            (Some(below), Some(folder)) if below.as_os_str().is_empty() => folder.clone(),
            (Some(below), Some(folder)) => folder.join(below),
            _ => remote.to_owned(),
        };
        address_of(&path)
    }
}

/// The address of a path, unchanged.
pub(super) fn address_of(path: &Path) -> Option<String> {
    Url::from_file_path(path).ok().map(String::from)
}

/// The path in a `file://` address without a host.
fn local(address: &str) -> Result<PathBuf, Refusal> {
    let bad = |why: &str| Refusal::new(INVALID_PARAMS, format!("runcode: a path {why}"));
    let url = Url::parse(address).map_err(|_| bad("is not a file:// address"))?;
    if url.scheme() != "file" || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("is not a file:// address"));
    }
    if !address.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("file:///")) {
        return Err(bad("names another machine")); // `file://localhost/` too: Codex does not write that
    }
    // Not the way Url does it: Url decodes `%2F` and `%2e` after it has looked for `..`.
    let mut bytes = Vec::with_capacity(url.path().len());
    let mut rest = url.path().as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match after {
            [high, low, after @ ..] if let (Some(high), Some(low)) = (digit(high), digit(low)) => {
                bytes.push(high << 4 | low);
                rest = after;
            }
            _ => return Err(bad("contains a broken escape")),
        }
    }
    if bytes.contains(&0) {
        return Err(bad("contains a NUL"));
    }
    if bytes.split(|&byte| byte == b'/').any(|part| part == b"..") {
        return Err(bad("contains `..`"));
    }
    let path = PathBuf::from(OsString::from_vec(bytes));
    Ok(path.components().collect()) // without `.`, and `/` at the end
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn paths() -> Paths {
        let folder = |text: &str| vec![PathBuf::from(text)];
        Paths::new(
            [folder("/home/me/a b"), folder("/disk/ab")].concat(),
            [folder("/w"), folder("/real")].concat(),
        )
    }

    fn remote(address: &str) -> Option<String> {
        paths().remote(address).ok().map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn the_attached_folder_means_the_workdir() {
        for (address, path) in [
            ("file:///home/me/a%20b", "/w"),
            ("file:///home/me/a%20b/", "/w"),
            ("file:///home/me/a%20b/src/%C3%A9.rs", "/w/src/é.rs"),
            ("file:///disk/ab/x", "/w/x"),
            ("file:///home/me/a%20bc/x", "/home/me/a bc/x"),
            ("file:///home/me", "/home/me"),
            ("file:///w/x", "/w/x"),
            ("file:///", "/"),
            ("file:///a//b/./c", "/a/b/c"),
            ("FILE:///disk/ab/x%25%2Fy", "/w/x%/y"),
            ("file:///home/me/a%20b/../other", "/home/me/other"),
        ] {
            assert_eq!(remote(address).as_deref(), Some(path), "{address}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for address in [
            "",
            "/etc/passwd",
            "etc",
            "http:///x",
            "file:",
            "file:x",
            "file://x",
            "file://host/x",
            "file://localhost/x",
            "file:///x?y",
            "file:///x#y",
            "file:///x%00y",
            "file:///disk/ab/%2e%2e%2fpasswd",
            "file:///x%2f..%2fy",
            "file:///x%",
            "file:///x%4",
            "file:///x%zz",
            "file:/x",
        ] {
            assert_eq!(remote(address), None, "{address}");
        }
    }

    #[test]
    fn paths_of_the_workspace_go_back() {
        let back = |path: &str| paths().address(Path::new(path)).unwrap();
        assert_eq!(back("/real/x y"), "file:///home/me/a%20b/x%20y");
        assert_eq!(back("/w"), "file:///home/me/a%20b");
        assert_eq!(back("/elsewhere"), "file:///elsewhere");
    }

    proptest! {
        #[test]
        fn any_path_survives_its_address(parts in proptest::collection::vec("[^/\0]{1,12}", 0..5)) {
            let parts = parts.into_iter().filter(|part| part != "." && part != "..").collect::<Vec<_>>();
            let inside = Path::new("/home/me/a b").join(parts.join("/"));
            let expected = Path::new("/w").join(parts.join("/"));
            let found = paths().remote(&address_of(&inside).unwrap()).unwrap();
            let found = PathBuf::from(OsString::from_vec(found));
            prop_assert_eq!(found.components().collect::<PathBuf>(), expected.components().collect::<PathBuf>());
        }

        #[test]
        fn no_address_climbs(address in "file:///([a-z./%25]|%2e|%2F|%00){0,24}") {
            if let Ok(path) = paths().remote(&address) {
                prop_assert!(path.first() == Some(&b'/') && !path.contains(&0));
                prop_assert!(!path.split(|&byte| byte == b'/').any(|part| part == b".."));
            }
        }
    }
}
