//! What past calls printed, kept for a day so that it can be read in parts: files of the user's alone, in the cache.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::sys::paths::Paths;
use crate::sys::{atomic_file, platform, random};

/// The most that is kept of a call, in bytes.
pub(super) const CALL_MAX: u64 = 64 << 20;

/// The most that is kept of all calls.
const ALL_MAX: u64 = 256 << 20;

/// How long.
const AGE: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked for what is too much.
const SWEEP: Duration = Duration::from_secs(300);
const SWEEP_AFTER: u64 = 16 << 20;

const ENTRY_MAX: usize = 4096;

/// A stream of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Its stdout.
    Out,
    /// Its stderr.
    Err,
}

impl Side {
    /// As the `stream` argument names it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Side::Out => "stdout",
            Side::Err => "stderr",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Side::Out => "out",
            Side::Err => "err",
        }
    }
}

/// What is known of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// How it ended.
    pub(super) state: String,
    /// What there was of each stream, kept or not.
    pub(super) stdout_bytes: u64,
    /// Likewise.
    pub(super) stderr_bytes: u64,
}

/// When it was last looked for what is too much, and what was kept since.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<(Option<Instant>, u64)>);

/// The place of one call.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
    id: String,
}

impl Shelf {
    /// A place for a call. Nothing is written yet.
    pub(super) fn place(&self, paths: &Paths) -> Place {
        let folder = folder(paths);
        loop {
            let id = format!("x{}", random::word().get(..7).unwrap_or_default());
            let place = Place { folder: folder.clone(), id };
            if !place.entry().exists() && !place.file(Side::Out.suffix()).exists() {
                return place;
            }
        }
    }

    /// What is kept of the call `id`: the entry and its place.
    pub(super) fn find(&self, paths: &Paths, id: &str) -> Result<(Entry, Place)> {
        let gone = || {
            Error::new(Code::NotFound, format!("nothing is kept of a call {}", foreign::word(id)))
                .hint("output is kept for a day; the id is at the end of what exec said")
        };
        let is_id = (2..=16).contains(&id.len())
            && id.starts_with('x')
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_id {
            return Err(gone());
        }
        let place = Place { folder: folder(paths), id: id.to_owned() };
        let file = place.entry();
        if std::fs::metadata(&file).is_ok_and(|metadata| is_old(&metadata)) {
            return Err(gone());
        }
        let entry =
            atomic_file::read(&file, ENTRY_MAX)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok((entry.ok_or_else(gone)?, place))
    }

    /// Removes what is too old or too much, now and then.
    fn sweep(&self, folder: &Path, added: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += added;
        if state.0.is_some_and(|last| last.elapsed() < SWEEP) && state.1 < SWEEP_AFTER {
            return;
        }
        *state = (Some(Instant::now()), 0);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((
                metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                metadata.len(),
                is_old(&metadata),
                entry.path(),
            ))
        });
        let mut files = files.collect::<Vec<_>>();
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.0)); // newest first
        let mut total = 0;
        for (_, length, is_old, path) in files {
            total += length.max(4096);
            if is_old || total > ALL_MAX {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Place {
    /// The name of the call.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// A new file for a stream.
    pub(super) fn create(&self, side: Side) -> Result<File> {
        if let Some(cache) = self.folder.parent() {
            atomic_file::private_dir(cache)?;
        }
        atomic_file::private_dir(&self.folder)?;
        platform::open_private(&self.file(side.suffix())).map_err(|error| Error::io("keep the output", error))
    }

    /// From now on it can be found.
    pub(super) fn finish(&self, shelf: &Shelf, entry: &Entry, kept: u64) -> Result<()> {
        let bytes = serde_json::to_vec(entry).map_err(|error| Error::new(Code::Error, error.to_string()))?;
        let mut file =
            platform::open_private(&self.entry()).map_err(|error| Error::io("keep the output", error))?;
        file.write_all(&bytes)?;
        shelf.sweep(&self.folder, kept);
        Ok(())
    }

    /// Forgets it.
    pub(super) fn remove(&self) {
        for suffix in ["out", "err", "json"] {
            let _ = std::fs::remove_file(self.file(suffix));
        }
    }

    /// Up to `limit` bytes of a stream after `offset`, and how many there are in all.
    pub(super) fn read(&self, side: Side, offset: i64, limit: usize) -> Result<(u64, Vec<u8>, u64)> {
        let doing = |error| Error::io("read the output that was kept", error);
        let mut file = match File::open(self.file(side.suffix())) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, Vec::new(), 0)),
            Err(error) => return Err(doing(error)),
        };
        let total = file.metadata().map_err(doing)?.len();
        let start = match u64::try_from(offset) {
            Ok(offset) => offset.min(total),
            Err(_) => total.saturating_sub(offset.unsigned_abs()),
        };
        file.seek(SeekFrom::Start(start)).map_err(doing)?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes).map_err(doing)?;
        Ok((start, bytes, total))
    }

    fn entry(&self) -> PathBuf {
        self.file("json")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.id))
    }
}

fn folder(paths: &Paths) -> PathBuf {
    paths.cache().join("mcp")
}

fn is_old(metadata: &std::fs::Metadata) -> bool {
    metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > AGE))
}
