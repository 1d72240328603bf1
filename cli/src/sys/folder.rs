//! Folders below which no link is ever followed: each system in its own way.

#[cfg(unix)]
#[path = "folder_unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "folder_windows.rs"]
mod platform;

pub use platform::{Attributes, Folder, allow_many_open_files};

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
