//! Owners, modes and processes on Windows, where the user profile's access control lists stand in for mode bits.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

/// This user's home folder as Windows knows it, which no variable changes.
pub fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned())
}

/// What this machine calls itself, to tell it from others that share a folder.
pub fn machine_name() -> Vec<u8> {
    std::env::var_os("COMPUTERNAME").unwrap_or_default().into_encoded_bytes()
}

/// Files below the user's profile are the user's own.
pub fn is_own(_metadata: &Metadata) -> bool {
    true
}

/// Users have no such ids here.
pub fn is_of_user(_metadata: &Metadata, _user: u32) -> bool {
    false
}

/// The profile's access control lists keep other users out.
pub fn is_planted(_found: &Metadata, _folder: &Metadata) -> bool {
    false
}

/// The profile's access control lists keep other users out.
pub fn is_private(_metadata: &Metadata) -> bool {
    true
}

/// The profile's access control lists keep other users out.
pub fn is_writable_by_others(_metadata: &Metadata) -> bool {
    false
}

/// Access control lists stand in for modes.
pub fn is_readable_by_others(_metadata: &Metadata) -> bool {
    false
}

/// Access control lists stand in for owners.
pub fn is_roots(_metadata: &Metadata) -> bool {
    true
}

/// There is no such bit here.
pub fn is_sticky(_metadata: &Metadata) -> bool {
    false
}

/// Opens a file to read.
pub fn open_unwaited(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Windows writes no memory to a file unless its administrator says so.
pub fn forbid_core_dumps() {}

/// Creates one folder.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// Mode bits do not exist here.
pub fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Mode bits do not exist here.
pub fn permissions(_mode: u32) -> Option<Permissions> {
    None
}

/// Mode bits do not exist here: a read-only file counts as 0444, any other as 0644.
pub fn mode_of(metadata: &Metadata) -> u32 {
    if metadata.permissions().readonly() { 0o444 } else { 0o644 }
}

/// Opens or creates a file.
pub fn open_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Folders cannot be synced here; NTFS journals its own metadata.
pub fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// There is no such call here.
pub fn exchange(_one: &Path, _other: &Path) -> io::Result<bool> {
    Ok(false)
}

/// A locked file cannot be replaced here.
pub fn is_same_file(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Ctrl-C reaches every process of the console by itself.
pub fn pass_on(_child: &mut std::process::Child, _signal: i32) -> io::Result<()> {
    Ok(())
}

/// There is no such folder here.
pub fn shows_processes(_folder: &Path) -> bool {
    false
}
