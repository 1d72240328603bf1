//! The files and folders that a client has open, and what its names mean.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many handles a client may have open.
pub(super) const HANDLE_LIMIT: usize = 1000;

/// What a handle stands for.
#[cfg_attr(
    windows,
    expect(clippy::large_enum_variant, reason = "a folder's listing is large there, and rare")
)]
pub(super) enum Open {
    File { file: File, append: bool },
    Folder(Folder),
}

/// A folder being listed; `.` and `..` come first, as readdir(3) gives them.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) dots: Vec<&'static str>,
    pub(super) entries: ReadDir,
}

/// A client's view: where relative names begin, and its handles.
pub(super) struct Files {
    home: PathBuf,
    open: HashMap<u32, Open>,
    next: u32,
}

impl Files {
    pub(super) fn new(home: PathBuf) -> Self {
        Files { home, open: HashMap::new(), next: 0 }
    }

    /// What a name means: relative ones begin at home.
    pub(super) fn path(&self, name: &[u8]) -> PathBuf {
        self.home.join(path_of(name))
    }

    /// A name with `~` for home, made absolute (PROTOCOL, section 4.9).
    pub(super) fn expand(&self, name: &[u8]) -> PathBuf {
        match name {
            b"~" => self.home.clone(),
            [b'~', b'/', rest @ ..] => self.home.join(path_of(rest)),
            _ => self.path(name),
        }
    }

    /// The one absolute name of a file; of one that does not exist, when its folder does.
    pub(super) fn real(path: &Path) -> io::Result<PathBuf> {
        match std::fs::canonicalize(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (Some(folder), Some(Component::Normal(name))) =
                    (path.parent(), path.components().next_back())
                else {
                    return Err(e);
                };
                Ok(std::fs::canonicalize(folder)?.join(name))
            }
            other => other,
        }
    }

    /// Gives a handle.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn insert(&mut self, open: Open) -> io::Result<[u8; 4]> {
        if self.open.len() >= HANDLE_LIMIT {
            return Err(io::Error::other("too many open handles"));
        }
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let handle = self.next;
        self.next = handle.wrapping_add(1);
        self.open.insert(handle, open);
        Ok(handle.to_be_bytes())
    }

    /// What a handle stands for.
    ///
    /// # Errors
    /// When it stands for nothing.
    pub(super) fn by_handle(&mut self, handle: &[u8]) -> io::Result<&mut Open> {
        let open = <[u8; 4]>::try_from(handle).ok().and_then(|h| self.open.get_mut(&u32::from_be_bytes(h)));
        open.ok_or_else(|| io::Error::other("invalid handle"))
    }

    /// The file that a handle stands for.
    ///
    /// # Errors
    /// When it stands for nothing, or for a folder.
    pub(super) fn file(&mut self, handle: &[u8]) -> io::Result<(&File, bool)> {
        match self.by_handle(handle)? {
            Open::File { file, append } => Ok((file, *append)),
            Open::Folder(_) => Err(io::Error::other("not a file's handle")),
        }
    }

    /// Closes a handle; false when it stood for nothing.
    pub(super) fn close(&mut self, handle: &[u8]) -> bool {
        <[u8; 4]>::try_from(handle).is_ok_and(|h| self.open.remove(&u32::from_be_bytes(h)).is_some())
    }
}

#[cfg(unix)]
pub(super) fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

#[cfg(not(unix))]
pub(super) fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

/// The bytes of a name.
#[cfg(unix)]
pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(not(unix))]
pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}
