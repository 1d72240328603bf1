//! Advisory locks between processes: one file, held while its `Lock` lives, freed by the kernel when the holder dies.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::sys::atomic_file::unkept;
use crate::sys::clock::Deadline;
use crate::sys::platform;

/// How long a command waits for another one that works on the same thing: longer than any of them works on it.
pub const PATIENCE: Duration = Duration::from_secs(210);

/// An exclusive lock.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, waiting up to `patience` for whoever holds it.
    pub fn acquire(path: &Path, patience: Duration) -> Result<Lock> {
        let deadline = Deadline::after(patience);
        let mut pause = Duration::from_millis(1);
        loop {
            match attempt(path).map_err(|error| unkept(format_args!("lock {}", path.named()), error))? {
                Some(file) => return Ok(Lock { path: path.to_owned(), _file: file }),
                None if deadline.is_past() => {
                    return Err(Error::new(
                        Code::Error,
                        format!("another runcode has held {} for {} s", path.named(), patience.as_secs()),
                    )
                    .hint("end the other runcode, then try again"));
                }
                None => deadline.pause(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Removes the lock's file and gives the lock up. Whoever waits for it notices and makes a new one.
    pub fn remove(self) -> Result<()> {
        crate::sys::atomic_file::remove(&self.path).map(|_| ())
    }
}

/// One try. A lock on a file that is no longer what `path` names is worth nothing.
fn attempt(path: &Path) -> io::Result<Option<File>> {
    let file = platform::open_private(path)?;
    match file.try_lock() {
        Ok(()) if platform::is_same_file(&file, path)? => Ok(Some(file)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
