//! What there is to send below a folder of this machine.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

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
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
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
    let mut skipped = 0;
    for found in walker(source, selection)?.build() {
        let found = found.map_err(|error| {
            let why = error.io_error().map_or_else(|| error.to_string(), crate::error::reason);
            Error::new(Code::Io, format!("cannot read what is in `{}`: {why}", source.display()))
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
            modified: modified(&metadata),
            kind,
        });
    }
    Ok(skipped)
}

fn walker(source: &Path, selection: &Selection) -> Result<WalkBuilder> {
    let mut walker = WalkBuilder::new(source);
    walker.standard_filters(false).follow_links(false);
    if selection.git {
        walker.git_ignore(true).git_exclude(true).git_global(true).parents(true).require_git(false);
        walker.filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
    }
    let mut overrides = OverrideBuilder::new(source);
    for pattern in &selection.exclude {
        let usage = |error: ignore::Error| {
            Error::new(Code::Usage, format!("--exclude `{pattern}` is no pattern: {error}"))
        };
        overrides.add(&format!("!{pattern}")).map_err(usage)?;
    }
    let overrides = overrides.build().map_err(|error| Error::new(Code::Usage, error.to_string()))?;
    if !selection.exclude.is_empty() {
        walker.overrides(overrides);
    }
    Ok(walker)
}

fn kind(path: &Path, metadata: &Metadata) -> Result<Option<Kind>> {
    Ok(if metadata.is_dir() {
        Some(Kind::Folder)
    } else if metadata.is_file() {
        Some(Kind::File(metadata.len()))
    } else if metadata.is_symlink() {
        let target = fs::read_link(path)
            .map_err(|error| Error::io(format_args!("read the link `{}`", path.display()), error))?;
        Some(Kind::Link(bytes(target.as_os_str())?.to_vec()))
    } else {
        None
    })
}

fn mode(metadata: &Metadata) -> u32 {
    if cfg!(windows) && metadata.is_dir() { 0o755 } else { platform::mode_of(metadata) & 0o777 }
}

fn modified(metadata: &Metadata) -> u64 {
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    time.map_or(0, |since| since.as_secs())
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

/// The bytes of a name as the box gets them.
pub(super) fn bytes(name: &OsStr) -> Result<&[u8]> {
    if cfg!(unix) {
        return Ok(name.as_encoded_bytes());
    }
    let text = name.to_str().ok_or_else(|| {
        Error::new(Code::Io, format!("the name `{}` is not valid Unicode", name.to_string_lossy()))
    })?;
    Ok(text.as_bytes())
}
