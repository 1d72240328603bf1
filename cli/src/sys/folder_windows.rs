//! Folders below which no link is followed, on Windows: by path, since `std` opens no file relative to a folder. Nothing
//! here makes a link, so those that are found are the user's own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{FileKind, Found};
use crate::sys::platform;

/// The mode and the modification time of a folder, which are not kept here.
#[derive(Debug, Clone, Copy)]
pub struct Attributes;

impl Attributes {
    /// Permission bits, and seconds since 1970.
    pub fn new(_mode: u32, _seconds: u64) -> Attributes {
        Attributes
    }
}

/// A folder. Each name that its methods take is one component: never `.`, `..` or a path.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder that `path` leads to; links in it are followed.
    pub fn open(path: &Path) -> io::Result<Folder> {
        if fs::metadata(path)?.is_dir() {
            Ok(Folder(path.to_owned()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// The folder that `path` leads to, for what is done in it by name.
    pub fn open_to_use(path: &Path) -> io::Result<Folder> {
        Folder::open(path)
    }

    /// Makes the folder `name`, which access control lists protect as they do the one that it is in.
    pub fn make_private_folder(&self, name: &OsStr) -> io::Result<Folder> {
        self.make_folder(name)?;
        self.folder(name)
    }

    /// Removes everything in it.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes the empty folder `name`.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    /// No folder is locked here.
    pub fn as_file(&self) -> Option<File> {
        None
    }

    /// The folder `name` in this one. A link to a folder is an error.
    pub fn folder(&self, name: &OsStr) -> io::Result<Folder> {
        match self.kind(name)? {
            Some(FileKind::Folder) => Ok(Folder(self.0.join(name))),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The folder that this one is in.
    pub fn parent(&self) -> io::Result<Folder> {
        let parent = self.0.parent().ok_or(io::ErrorKind::NotFound)?;
        Ok(Folder(parent.to_owned()))
    }

    /// This folder once more.
    pub fn again(&self) -> io::Result<Folder> {
        Ok(Folder(self.0.clone()))
    }

    /// Makes the folder `name`.
    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    /// Makes the file `name`, which must not be there.
    pub fn make_file(&self, name: &OsStr) -> io::Result<File> {
        File::create_new(self.0.join(name))
    }

    /// Makes no symbolic link: `false`. To make one takes a privilege that few users have.
    pub fn make_link(&self, _name: &OsStr, _target: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    /// Gives the file `from` in the folder `at` the second name `name`, in this folder.
    pub fn make_hard_link(&self, name: &OsStr, at: &Folder, from: &OsStr) -> io::Result<()> {
        fs::hard_link(at.0.join(from), self.0.join(name))
    }

    /// What `name` stands for; `None` when nothing is there.
    pub fn kind(&self, name: &OsStr) -> io::Result<Option<FileKind>> {
        match self.find(name) {
            Ok(found) => Ok(Some(found.kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The metadata of `name`.
    pub fn find(&self, name: &OsStr) -> io::Result<Found> {
        Ok(about(&fs::symlink_metadata(self.0.join(name))?))
    }

    /// The metadata of the folder itself.
    pub fn find_itself(&self) -> io::Result<Found> {
        Ok(about(&fs::metadata(&self.0)?))
    }

    /// The folder at `path` below this one; `path` has only plain names. A link on the way is an error.
    pub fn below(&self, path: &Path) -> io::Result<Folder> {
        path.components().try_fold(self.again()?, |folder, part| match part {
            Component::Normal(name) => folder.folder(name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
    }

    /// Opens the file `name` to read; a link is an error.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        match self.kind(name)? {
            Some(FileKind::File) => File::open(self.0.join(name)),
            Some(_) => Err(io::ErrorKind::InvalidInput.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Where the symbolic link `name` leads.
    pub fn read_link(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(fs::read_link(self.0.join(name))?.into_os_string().into_encoded_bytes())
    }

    /// Removes the file or link `name`.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    /// Moves `name` into the folder `to`, where it takes the place of a file or link.
    pub fn rename(&self, name: &OsStr, to: &Folder, new: &OsStr) -> io::Result<()> {
        fs::rename(self.0.join(name), to.0.join(new))
    }

    /// The names in it.
    pub fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
        Ok(fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.file_name())))
    }

    /// Its mode and time.
    pub fn attributes(&self) -> io::Result<Attributes> {
        Ok(Attributes)
    }

    /// Neither is kept here.
    pub fn set_attributes(&self, _attributes: Attributes) -> io::Result<()> {
        Ok(())
    }
}

fn about(found: &fs::Metadata) -> Found {
    let kind = match found.file_type() {
        kind if kind.is_symlink() => FileKind::Link,
        kind if kind.is_dir() => FileKind::Folder,
        kind if kind.is_file() => FileKind::File,
        _ => FileKind::Other,
    };
    Found { kind, mode: platform::mode_of(found), size: found.len(), modified: found.modified().ok() }
}

/// There is no such limit here.
pub fn allow_many_open_files() {}
