//! Folders below which no link is ever followed: each system in its own way.

use std::time::SystemTime;

#[cfg(unix)]
#[path = "folder_unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "folder_windows.rs"]
mod platform;

pub use platform::{Attributes, Folder, allow_many_open_files};

/// The metadata of a name, without following links.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// What the name stands for.
    pub kind: FileKind,
    /// Its permission bits, including the special ones.
    pub mode: u32,
    /// In bytes.
    pub size: u64,
    /// When it was last modified; `None` before 1970.
    pub modified: Option<SystemTime>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A folder, which is no link to one.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link or a junction, wherever it leads.
    Link,
    /// A device, a pipe or a socket.
    Other,
}
