//! Files that decide what is allowed. They count only where nobody but root and the user can have written them.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::error::reason;
use crate::sys::platform;

/// Whose files are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Root's, and this user's.
    User,
    /// Root's alone.
    Root,
}

impl Owner {
    fn is_of(self, metadata: &Metadata) -> bool {
        platform::is_roots(metadata) || (self == Owner::User && platform::is_own(metadata))
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
    #[error("is not to be trusted: `{}` belongs to another user", .0.display())]
    Owner(PathBuf),
    /// Others may write it, or replace it in a folder that it is in.
    #[error("is not to be trusted: others may write `{}` (chmod go-w)", .0.display())]
    Writable(PathBuf),
    /// It cannot be read.
    #[error("cannot be read: {}", reason(.0))]
    Io(#[source] io::Error),
}

/// Reads a file of at most `max` bytes whose owner is `owner`, and which nobody else can write or replace: it, its folder and
/// the folders above are looked at, where it is and where links to it are.
pub fn read(path: &Path, owner: Owner, max: usize) -> Result<Trusted, Distrust> {
    let real = real(path)?;
    judge_place(path, &real, owner)?;
    let file = platform::open_unwaited(&real).map_err(Distrust::Io)?;
    // What was opened is judged, whatever has the name by now.
    judge_file(&real, &file.metadata().map_err(Distrust::Io)?, owner)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(Distrust::Io)?;
    if bytes.len() > max {
        return Err(Distrust::TooLarge(max));
    }
    Ok(Trusted { path: real, bytes })
}

/// As [`read`], for a file that another program is to use: where it is, with links resolved.
pub fn locate(path: &Path, owner: Owner) -> Result<PathBuf, Distrust> {
    let real = real(path)?;
    judge_place(path, &real, owner)?;
    judge_file(&real, &std::fs::symlink_metadata(&real).map_err(Distrust::Io)?, owner)?;
    Ok(real)
}

fn real(path: &Path) -> Result<PathBuf, Distrust> {
    path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Distrust::Missing,
        _ => Distrust::Io(error),
    })
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

/// The folders of the file, and of the link that led to it.
fn judge_place(path: &Path, real: &Path, owner: Owner) -> Result<(), Distrust> {
    let named_in = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named_in = named_in.canonicalize().map_err(Distrust::Io)?;
    let folder = real.parent().unwrap_or(real);
    judge_folders(folder, owner)?;
    if named_in == folder { Ok(()) } else { judge_folders(&named_in, owner) }
}

/// In a folder with the sticky bit, others may add files and not replace any: fine for the folders above.
fn judge_folders(folder: &Path, owner: Owner) -> Result<(), Distrust> {
    for above in folder.ancestors() {
        let metadata = std::fs::symlink_metadata(above).map_err(Distrust::Io)?;
        if !owner.is_of(&metadata) {
            return Err(Distrust::Owner(above.to_owned()));
        }
        let is_kept = above != folder && platform::is_sticky(&metadata);
        if platform::is_writable_by_others(&metadata) && !is_kept {
            return Err(Distrust::Writable(above.to_owned()));
        }
    }
    Ok(())
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
    fn only_a_small_regular_file_is_read() {
        let home = tempfile::tempdir().unwrap();
        let (file, pipe) = (home.path().join("file"), home.path().join("pipe"));
        std::fs::write(&file, "123456789").unwrap();
        set_mode(&file, 0o600).unwrap();
        assert!(outcome(&file).unwrap_err().contains("larger than 8"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
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
