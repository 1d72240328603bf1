//! Finding programs, as a shell does. What happens to lie in the current folder is never run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The extensions that a program's name may lack.
const EXTENSIONS: &[&str] = if cfg!(windows) { &["", ".exe", ".cmd"] } else { &[""] };

/// The first program of this name in the folders of `path`. Relative folders do not count.
pub fn find(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let folders = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let named =
        |folder: PathBuf| EXTENSIONS.iter().map(move |extension| folder.join(format!("{name}{extension}")));
    folders.flat_map(named).find(|path| is_program(path))
}

/// Whether it is a file that can be run.
#[cfg(unix)]
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether it is a file that can be run.
#[cfg(windows)]
pub fn is_program(path: &Path) -> bool {
    path.is_file()
}
