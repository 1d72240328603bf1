//! What past calls printed, kept for a day so that it can be read in parts: files of the user's alone, in the cache.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::sys::paths::Paths;
use crate::sys::{atomic_file, platform, random};

/// The most that is kept of a stream, in bytes: a call has two.
pub(super) const STREAM_MAX: u64 = 32 << 20;

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
        let folder = paths.kept_outputs();
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
                .hint("output is kept for a day, while there is room; the id is at the end of what exec said")
        };
        if !is_kept_id(id) {
            return Err(gone());
        }
        let place = Place { folder: paths.kept_outputs(), id: id.to_owned() };
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
        remove_surplus(folder, ALL_MAX);
    }
}

/// Removes the calls that are too old, and the oldest ones that are too much: each as a whole.
fn remove_surplus(folder: &Path, all_max: u64) {
    let mut calls = HashMap::<OsString, (SystemTime, u64, Vec<PathBuf>)>::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(metadata) = entry.metadata().ok().filter(std::fs::Metadata::is_file) else { continue };
        let (path, time) = (entry.path(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let Some(id) = path.file_stem() else { continue };
        let call = calls.entry(id.to_owned()).or_insert((time, 0, Vec::new()));
        call.0 = call.0.max(time);
        call.1 += metadata.len().max(4096);
        call.2.push(path);
    }
    let mut calls = calls.into_values().collect::<Vec<_>>();
    calls.sort_unstable_by_key(|call| std::cmp::Reverse(call.0)); // newest first
    let mut total = 0;
    for (time, length, files) in calls {
        total += length;
        if total > all_max || time.elapsed().is_ok_and(|age| age > AGE) {
            for file in files {
                let _ = std::fs::remove_file(file);
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
        atomic_file::write_unsynced(&self.entry(), &bytes, 0o600)?;
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

/// Whether this is the id of a call, which no job has.
pub(super) fn is_kept_id(id: &str) -> bool {
    id.len() == 8 && id.starts_with('x') && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_old(metadata: &std::fs::Metadata) -> bool {
    metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > AGE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn calls_that_are_too_much_go_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for (id, age) in [("xold", 30), ("xmiddle", 20), ("xnew", 10), ("xancient", 25 * 3600)] {
            for suffix in ["out", "err", "json"] {
                let file = File::create(folder.path().join(format!("{id}.{suffix}"))).unwrap();
                file.set_len(10_000).unwrap();
                file.set_modified(now - Duration::from_secs(age)).unwrap();
            }
        }
        // The oldest file of the newest call is older than others'.
        let early = File::options().write(true).open(folder.path().join("xnew.out")).unwrap();
        early.set_modified(now - Duration::from_secs(25)).unwrap();
        remove_surplus(folder.path(), 65_000);
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names = names.map(|name| name.into_string().unwrap()).collect::<Vec<_>>();
        names.sort();
        assert_eq!(
            names,
            ["xmiddle.err", "xmiddle.json", "xmiddle.out", "xnew.err", "xnew.json", "xnew.out"]
        );
    }
}
