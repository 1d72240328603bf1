//! The files of a log: where they are, and how they are opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// The files of the log at a path.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    log: PathBuf,
    stem: String,
}

impl Files {
    pub(crate) fn at(log: &Path) -> Files {
        let name = log.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = name.strip_suffix(".jsonl").unwrap_or(&name).to_owned();
        Files { log: log.to_owned(), stem }
    }

    /// The log itself.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// What the log ends with, and the key of the next record.
    pub(crate) fn state(&self) -> PathBuf {
        self.log.with_file_name(format!("{}.state", self.stem))
    }

    /// The records from this one on, which were rotated away.
    pub(crate) fn segment(&self, first: u64) -> PathBuf {
        self.log.with_file_name(format!("{}-{first}.jsonl", self.stem))
    }

    /// The bytes that stood where a record was to be.
    pub(crate) fn torn(&self, seq: u64) -> PathBuf {
        self.log.with_file_name(format!("{}.torn-{seq}", self.stem))
    }

    fn folder(&self) -> &Path {
        self.log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// What was rotated away, in order.
    pub(crate) fn segments(&self) -> Result<Vec<(u64, PathBuf)>, Failure> {
        let folder = self.folder();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::io("read", folder, error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Failure::io("read", folder, error))?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| {
                name.strip_prefix(self.stem.as_str())?.strip_prefix('-')?.strip_suffix(".jsonl")?.parse().ok()
            });
            // Other spellings of a number are no names of ours.
            found.extend(
                number
                    .map(|first| (first, entry.path()))
                    .filter(|(first, path)| *path == self.segment(*first)),
            );
        }
        found.sort();
        Ok(found)
    }

    /// Waits for the lock, up to `patience`. It is free when the file is dropped, or the process ends.
    pub(crate) fn lock(&self, patience: Duration) -> Result<File, Failure> {
        let path = self.log.with_file_name(format!("{}.lock", self.stem));
        let file = private().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| Failure::io("open", &path, error))?;
        let began = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if began.elapsed() > patience => {
                    return Err(Failure::Busy(path));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
                Err(TryLockError::Error(error)) => return Err(Failure::io("lock", &path, error)),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// Opens the log to read and append; whether it is new.
    pub(crate) fn open_log(&self) -> Result<(File, bool), Failure> {
        // On Windows, what may only be appended to cannot be made shorter either.
        let open = |is_new: bool| {
            let mut options = private();
            options.create_new(is_new).read(true);
            if cfg!(windows) {
                options.write(true)
            } else {
                options.append(true)
            };
            options.open(&self.log)
        };
        let failed = |error| Failure::io("write", &self.log, error);
        match open(false) {
            Ok(file) => Ok((file, false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = open(true).map_err(failed)?;
                self.sync_folder();
                Ok((file, true))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens the state to read and write; `None` if there is none.
    pub(crate) fn open_state(&self, is_new: bool) -> Result<Option<File>, Failure> {
        let path = self.state();
        match private().create_new(is_new).read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_new => Ok(None),
            Err(error) => Err(Failure::io("write", &path, error)),
        }
    }

    /// Moves the log away, as what holds the records from `first` on.
    pub(crate) fn rotate(&self, first: u64) -> Result<(), Failure> {
        let segment = self.segment(first);
        let taken = std::fs::symlink_metadata(&segment).is_ok();
        let moved = if taken {
            Err(io::ErrorKind::AlreadyExists.into())
        } else {
            std::fs::rename(&self.log, &segment)
        };
        moved.map_err(|error| Failure::io("write", &segment, error))?;
        self.sync_folder();
        Ok(())
    }

    /// Keeps bytes that are no record.
    pub(crate) fn keep_torn(&self, seq: u64, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.torn(seq);
        let write = || {
            let mut file = private().create(true).truncate(true).write(true).open(&path)?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_data()
        };
        write().map_err(|error| Failure::io("write", &path, error))
    }

    /// A name that the power cannot take away again. Not every system can do that, and none needs it to go on.
    pub(crate) fn sync_folder(&self) {
        if cfg!(unix) {
            let _ = File::open(self.folder()).and_then(|folder| folder.sync_all());
        }
    }
}

/// Files that nobody else may read.
fn private() -> OpenOptions {
    #[cfg(unix)]
    {
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
    }
    #[cfg(not(unix))]
    OpenOptions::new()
}

/// The bytes from `start` up to `end`.
pub(crate) fn read_at(mut file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whose the log is.
#[cfg(unix)]
pub(crate) fn owner(log: &File) -> Option<u32> {
    log.metadata().ok().map(|found| std::os::unix::fs::MetadataExt::uid(&found))
}

/// Whose the log is.
#[cfg(not(unix))]
pub(crate) fn owner(_: &File) -> Option<u32> {
    None
}
