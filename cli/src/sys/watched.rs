//! Files whose change matters, and how they looked when they were read.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// A file or folder as it was at some moment. Two that look alike are taken to hold the same: every program that saves a file
/// changes its time, its size or its inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    path: PathBuf,
    /// None where there is none, or it cannot be looked at.
    look: Option<Look>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    size: u64,
    /// Nanoseconds since 1970; 0 for a time before.
    modified: u64,
    /// 0 where the system has none.
    inode: u64,
}

impl Watched {
    /// The file as it is now.
    pub fn now(path: &Path) -> Watched {
        Watched { path: path.to_owned(), look: look(path) }
    }

    /// Whether it looks as it did.
    pub fn is_unchanged(&self) -> bool {
        look(&self.path) == self.look
    }
}

fn look(path: &Path) -> Option<Look> {
    let found = std::fs::metadata(path).ok()?;
    let modified = found.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Look { size: found.len(), modified: u64::try_from(modified.as_nanos()).unwrap_or_default(), inode })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let absent = Watched::now(&path);
        assert!(absent.is_unchanged());
        std::fs::write(&path, "one").unwrap();
        assert!(!absent.is_unchanged());
        let written = Watched::now(&path);
        assert!(written.is_unchanged());
        std::fs::write(folder.path().join("other"), "two").unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        assert!(!written.is_unchanged());
        let replaced = Watched::now(&path);
        std::fs::write(&path, "longer").unwrap();
        assert!(!replaced.is_unchanged());
        std::fs::remove_file(&path).unwrap();
        assert!(!Watched::now(folder.path()).path.as_os_str().is_empty() && absent.is_unchanged());
    }
}
