//! Files that decide what is allowed. They count only where nobody but root and the user can have written them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use crate::error::reason;
use crate::output::foreign::FileName as _;
use crate::sys::platform;

/// How many links a path may lead through, as on Linux.
const LINKS: usize = 40;

/// Whose files are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Root's, and this user's.
    User,
    /// Root's alone.
    Root,
    /// Root's, this user's, and those of the user with this id.
    Also(u32),
}

impl Owner {
    fn is_of(self, metadata: &Metadata) -> bool {
        platform::is_roots(metadata)
            || (self != Owner::Root && platform::is_own(metadata))
            || matches!(self, Owner::Also(user) if platform::is_of_user(metadata, user))
    }
}

/// A file that is believed.
#[derive(Debug)]
pub struct Trusted {
    /// Where it is, with links resolved.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why a file is not believed, as the rest of a sentence about it.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// There is none.
    #[error("is not there")]
    Missing,
    /// It is a folder, a pipe or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// It is too large.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    /// Somebody else owns it, or a folder that it is in.
    #[error("is not to be trusted: {} belongs to another user", .0.named())]
    Owner(PathBuf),
    /// Others may write it, or replace it in a folder that it is in.
    #[error("is not to be trusted: others may write {} (chmod go-w)", .0.named())]
    Writable(PathBuf),
    /// It cannot be read.
    #[error("cannot be read: {}", reason(.0))]
    Io(#[source] io::Error),
}

/// Reads a file of at most `max` bytes whose owner is `owner`, and which nobody else can write or replace: it, and each folder
/// and link that leads to it, are looked at.
pub fn read(path: &Path, owner: Owner, max: usize) -> Result<Trusted, Distrust> {
    let real = resolve(path, owner)?;
    let file = platform::open_unwaited(&real).map_err(Distrust::Io)?;
    // What was opened is judged, whatever has the name by now.
    judge_file(&real, &file.metadata().map_err(Distrust::Io)?, owner)?;
    // Most fit, and are read at once; keys do, of which a growth would leave a part behind. What the file says of its size counts
    // for nothing.
    let mut bytes = Vec::with_capacity(max.saturating_add(1).min(8192));
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(Distrust::Io)?;
    if bytes.len() > max {
        return Err(Distrust::TooLarge(max));
    }
    Ok(Trusted { path: real, bytes })
}

/// As [`read`], for a file that another program is to use: where it is, with links resolved.
pub fn locate(path: &Path, owner: Owner) -> Result<PathBuf, Distrust> {
    let real = resolve(path, owner)?;
    judge_file(&real, &std::fs::symlink_metadata(&real).map_err(Distrust::Io)?, owner)?;
    Ok(real)
}

/// Whether nobody else can make a file in this folder, or replace the folder.
pub fn judge_folder(path: &Path, owner: Owner) -> Result<(), Distrust> {
    if cfg!(windows) {
        return Ok(()); // access control lists stand in for owners and modes
    }
    let real = resolve(path, owner)?;
    let found = std::fs::symlink_metadata(&real).map_err(Distrust::Io)?;
    if !owner.is_of(&found) {
        Err(Distrust::Owner(real))
    } else if platform::is_writable_by_others(&found) {
        Err(Distrust::Writable(real))
    } else {
        Ok(())
    }
}

/// Whether others than the owner may read this file. On Windows, access control lists stand in for modes.
pub fn is_readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| platform::is_readable_by_others(&metadata))
}

fn judge_file(path: &Path, metadata: &Metadata, owner: Owner) -> Result<(), Distrust> {
    if !metadata.is_file() {
        Err(Distrust::NotRegular)
    } else if !owner.is_of(metadata) {
        Err(Distrust::Owner(path.to_owned()))
    } else if platform::is_writable_by_others(metadata) {
        Err(Distrust::Writable(path.to_owned()))
    } else {
        Ok(())
    }
}

/// Where `path` leads, walked name by name as the kernel does (path_resolution(7)). Nobody else can have chosen any step.
fn resolve(path: &Path, owner: Owner) -> Result<PathBuf, Distrust> {
    // What is not there needs no judgement.
    let real = path.canonicalize().map_err(lookup_error)?;
    if cfg!(windows) {
        return Ok(real); // access control lists stand in for owners and modes
    }
    let path = std::path::absolute(path).map_err(Distrust::Io)?;
    let mut todo = names(&path);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let entry = here.join(&name);
        let found = std::fs::symlink_metadata(&entry).map_err(lookup_error)?;
        judge_entry(&here, &entry, &found, owner)?;
        if !found.is_symlink() {
            here = entry;
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(Distrust::Io(io::Error::other("too many levels of symbolic links")));
        }
        let target = std::fs::read_link(&entry).map_err(lookup_error)?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        names(&target).into_iter().rev().for_each(|name| todo.push_front(name));
    }
    Ok(here)
}

/// The names that `path` leads through, `..` among them.
fn names(path: &Path) -> VecDeque<OsString> {
    let steps = path.components().filter(|step| matches!(step, Component::Normal(_) | Component::ParentDir));
    steps.map(|step| step.as_os_str().to_owned()).collect()
}

/// Whether nobody else made or can replace `entry` in `folder`. With the sticky bit, others cannot replace what is not theirs;
/// but they can give a file or a link of the user's a second name there, so it counts for folders alone.
fn judge_entry(folder: &Path, entry: &Path, found: &Metadata, owner: Owner) -> Result<(), Distrust> {
    let metadata = std::fs::symlink_metadata(folder).map_err(lookup_error)?;
    if !owner.is_of(&metadata) {
        return Err(Distrust::Owner(folder.to_owned()));
    }
    let is_kept = found.is_dir() && platform::is_sticky(&metadata);
    if platform::is_writable_by_others(&metadata) && !is_kept {
        return Err(Distrust::Writable(folder.to_owned()));
    }
    if owner.is_of(found) { Ok(()) } else { Err(Distrust::Owner(entry.to_owned())) }
}

fn lookup_error(error: io::Error) -> Distrust {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Distrust::Missing,
        _ => Distrust::Io(error),
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::sys::platform::set_mode;

    fn outcome(path: &Path) -> Result<Vec<u8>, String> {
        read(path, Owner::User, 8).map(|file| file.bytes).map_err(|why| why.to_string())
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (folder, file) = (home.path().join("a/b"), home.path().join("a/b/file"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, "x").unwrap();
        set_mode(&file, 0o644).unwrap();
        assert_eq!(outcome(&file).unwrap(), b"x");
        for (path, mode) in [(&*file, 0o664), (&*file, 0o646), (&*folder, 0o775), (&*folder, 0o1777)] {
            let before = std::fs::metadata(path).unwrap();
            set_mode(path, mode).unwrap();
            assert!(outcome(&file).unwrap_err().contains("others may write"), "{} {mode:o}", path.display());
            set_mode(path, platform::mode_of(&before)).unwrap();
        }
        // Above, the sticky bit keeps others from replacing what is not theirs.
        let above = home.path().join("a");
        set_mode(&above, 0o777).unwrap();
        assert!(outcome(&file).is_err());
        set_mode(&above, 0o1777).unwrap();
        assert!(outcome(&file).is_ok());
    }

    #[test]
    fn a_link_counts_as_what_it_leads_to() {
        let home = tempfile::tempdir().unwrap();
        let (open, file, link) =
            (home.path().join("open"), home.path().join("file"), home.path().join("link"));
        std::fs::create_dir(&open).unwrap();
        std::fs::write(&file, "x").unwrap();
        set_mode(&file, 0o600).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, Owner::User, 8).unwrap().path, file.canonicalize().unwrap());
        set_mode(&file, 0o666).unwrap();
        assert!(outcome(&link).is_err());
        set_mode(&file, 0o600).unwrap();
        // Whoever may replace the link chooses what is read.
        std::os::unix::fs::symlink(&file, open.join("link")).unwrap();
        assert!(outcome(&open.join("link")).is_ok());
        set_mode(&open, 0o777).unwrap();
        assert!(outcome(&open.join("link")).unwrap_err().contains("others may write"));
    }

    #[test]
    fn every_link_and_folder_on_the_way_counts() {
        use std::os::unix::fs::{lchown, symlink};
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir_all(at("open/sub")).unwrap();
        std::fs::create_dir(at("kept")).unwrap();
        std::fs::write(at("kept/file"), "x").unwrap();
        set_mode(&at("kept/file"), 0o600).unwrap();
        symlink("../kept/file", at("open/cur")).unwrap();
        symlink("open/cur", at("middle")).unwrap();
        symlink("../kept", at("open/dir")).unwrap();
        symlink("open/dir", at("parent")).unwrap();
        let ways = ["middle", "parent/file", "open/dir/file", "open/sub/../cur"];
        for way in ways {
            assert_eq!(outcome(&at(way)).unwrap(), b"x", "{way}");
        }
        for mode in [0o777, 0o775, 0o1777] {
            set_mode(&at("open"), mode).unwrap();
            for way in ways {
                assert!(outcome(&at(way)).unwrap_err().contains("others may write"), "{way} {mode:o}");
            }
        }
        set_mode(&at("open"), 0o755).unwrap();
        if platform::user_id() == 0 {
            for (foreign, through) in
                [("open/cur", "middle"), ("open/dir", "parent/file"), ("open", "middle")]
            {
                lchown(at(foreign), Some(65534), None).unwrap();
                assert!(outcome(&at(through)).unwrap_err().contains("another user"), "{foreign}");
                lchown(at(foreign), Some(0), None).unwrap();
            }
        }
        symlink("kept/file", at("0")).unwrap();
        (1..LINKS).for_each(|number| symlink((number - 1).to_string(), at(&number.to_string())).unwrap());
        assert!(outcome(&at(&(LINKS - 1).to_string())).is_ok());
    }

    #[test]
    fn only_a_small_regular_file_is_read() {
        let home = tempfile::tempdir().unwrap();
        let (file, pipe) = (home.path().join("file"), home.path().join("pipe"));
        std::fs::write(&file, "123456789").unwrap();
        set_mode(&file, 0o600).unwrap();
        assert!(outcome(&file).unwrap_err().contains("larger than 8"));
        let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(outcome(&pipe).unwrap_err().contains("regular"), "and nobody waits for its other side");
        std::fs::create_dir(home.path().join("folder")).unwrap();
        assert!(outcome(&home.path().join("folder")).unwrap_err().contains("regular"));
        assert!(outcome(&home.path().join("none/x")).unwrap_err().contains("not there"));
        std::os::unix::fs::symlink("loop", home.path().join("loop")).unwrap();
        assert!(outcome(&home.path().join("loop")).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn what_root_names_is_roots() {
        let metadata = std::fs::metadata("/").unwrap();
        assert!(Owner::Root.is_of(&metadata) && Owner::User.is_of(&metadata));
        let home = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(home.path()).unwrap();
        assert!(Owner::User.is_of(&own));
        assert_eq!(Owner::Root.is_of(&own), platform::user_id() == 0);
    }
}
