//! What there is to send below a folder of this machine.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignore::WalkBuilder;
use ignore::gitignore::GitignoreBuilder;

use crate::error::{Code, Error, Result};
use crate::sys::platform;

/// What is left out.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Patterns as in .gitignore.
    pub exclude: Vec<String>,
    /// Whether what git ignores is left out, and its own folder.
    pub git: bool,
}

/// A file, folder or link to send.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) local: PathBuf,
    /// Its path below the target, parted by `/`; empty for the target itself.
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) mode: u32,
    pub(super) modified: Modified,
}

/// When a file was last modified: seconds since 1970, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modified {
    pub(super) seconds: u64,
    pub(super) nanos: u32,
    /// Whether it was just now, so that it may be modified once more in the same second. What is sent then has to be told
    /// apart from what comes after it (as git has it: racy-git(5)).
    pub(super) is_recent: bool,
}

impl Modified {
    fn of(metadata: &Metadata, now: SystemTime) -> Modified {
        const RECENT: Duration = Duration::from_secs(2);
        let time = metadata.modified().ok();
        let is_recent = time.is_some_and(|time| now.duration_since(time).map_or(true, |age| age < RECENT));
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Modified { seconds: since.as_secs(), nanos: since.subsec_nanos(), is_recent }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    /// Of so many bytes.
    File(u64),
    /// To this.
    Link(Vec<u8>),
}

/// Adds what `source` is and has to `entries`, under `name`; returns how much is of a kind that cannot be sent. A link that
/// is named itself is followed, one further down is not.
pub(super) fn walk(
    source: &Path,
    name: &[u8],
    selection: &Selection,
    entries: &mut Vec<Entry>,
) -> Result<u64> {
    let failed = |error| Error::io(format_args!("read `{}`", source.display()), error);
    let source = &fs::canonicalize(source).map_err(failed)?;
    let (now, mut skipped) = (SystemTime::now(), 0);
    for found in walker(source, selection)?.build() {
        let found = found.map_err(|error| {
            let kind = error.io_error().map(std::io::Error::kind); // its own words name the path once more
            let why = kind.map_or_else(|| error.to_string(), |kind| crate::error::reason(&kind.into()));
            Error::new(Code::Io, format!("cannot list `{}`: {why}", source.display()))
        })?;
        let path = found.path();
        let metadata = fs::symlink_metadata(path)
            .map_err(|error| Error::io(format_args!("read `{}`", path.display()), error))?;
        let Some(kind) = kind(path, &metadata)? else {
            skipped += 1;
            continue;
        };
        entries.push(Entry {
            local: path.to_owned(),
            name: below(name, path.strip_prefix(source).unwrap_or(path))?,
            mode: mode(&metadata),
            modified: Modified::of(&metadata, now),
            kind,
        });
    }
    Ok(skipped)
}

fn walker(source: &Path, selection: &Selection) -> Result<WalkBuilder> {
    let mut walker = WalkBuilder::new(source);
    walker.standard_filters(false).follow_links(false);
    if selection.git {
        // What lies above a repository is not its business, as for git; outside of any, only what is sent counts.
        let is_in_repository = source.ancestors().any(|folder| folder.join(".git").exists());
        walker.git_ignore(true).git_exclude(true).git_global(true);
        walker.parents(is_in_repository).require_git(is_in_repository);
    }
    let mut exclude = GitignoreBuilder::new(source);
    for pattern in &selection.exclude {
        let usage = |why: String| {
            Error::new(Code::Usage, format!("--exclude `{pattern}` is not a valid pattern: {why}"))
        };
        if pattern.trim().is_empty() {
            return Err(usage("it is empty".to_owned()));
        }
        let escape = if pattern.starts_with('#') { "\\" } else { "" }; // there are no comments here
        exclude.add_line(None, &format!("{escape}{pattern}")).map_err(|error| usage(error.to_string()))?;
    }
    let exclude = exclude.build().map_err(|error| Error::new(Code::Usage, error.to_string()))?;
    let is_git = selection.git;
    walker.filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() == 0
            || !(is_git && entry.file_name() == ".git"
                || exclude.matched(entry.path(), is_folder).is_ignore())
    });
    Ok(walker)
}

fn kind(path: &Path, metadata: &Metadata) -> Result<Option<EntryKind>> {
    Ok(if metadata.is_dir() {
        Some(EntryKind::Folder)
    } else if metadata.is_file() {
        Some(EntryKind::File(metadata.len()))
    } else if metadata.is_symlink() {
        let target = fs::read_link(path)
            .map_err(|error| Error::io(format_args!("read the link `{}`", path.display()), error))?;
        Some(EntryKind::Link(bytes(target.as_os_str())?.to_vec()))
    } else {
        None
    })
}

fn mode(metadata: &Metadata) -> u32 {
    if cfg!(windows) && metadata.is_dir() { 0o755 } else { platform::mode_of(metadata) & 0o777 }
}

fn below(name: &[u8], path: &Path) -> Result<Vec<u8>> {
    let mut all = name.to_vec();
    for component in path.components() {
        if !all.is_empty() {
            all.push(b'/');
        }
        all.extend_from_slice(bytes(component.as_os_str())?);
    }
    Ok(all)
}

/// The bytes of a name as the workspace gets them.
pub(super) fn bytes(name: &OsStr) -> Result<&[u8]> {
    if cfg!(unix) {
        return Ok(name.as_encoded_bytes());
    }
    let text = name.to_str().ok_or_else(|| {
        Error::new(Code::Io, format!("the name `{}` is not valid Unicode", name.to_string_lossy()))
    })?;
    Ok(text.as_bytes())
}
