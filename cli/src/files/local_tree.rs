//! What there is to send below a folder of this machine.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Code, Error, Result};
use crate::files::git::{Git, Listed};
use crate::files::local::{Local, Opened};
use crate::files::tally::Missing;
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::sys::folder::{FileKind, Found};

/// What is left out.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Patterns as in .gitignore.
    pub exclude: Vec<String>,
    /// The git to ask, if files that it ignores are left out, along with its own folder.
    pub git: Option<Git>,
    /// Whether files with the same size and time are compared by their content.
    pub checksum: bool,
}

/// A file, folder or link to send.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) local: Local,
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
    fn of(found: &Found, now: SystemTime) -> Modified {
        const RECENT: Duration = Duration::from_secs(2);
        let time = found.modified;
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

/// What was found in folders of this machine.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Each folder before what is in it.
    pub(super) entries: Vec<Entry>,
    /// How many are of a kind that cannot be sent.
    pub(super) skipped: u64,
    pub(super) missing: Missing,
}

impl Tree {
    /// Adds `source` and what is in it, under `name`. If `source` is a link, it is followed; links further down are not.
    pub(super) fn walk(&mut self, source: &Path, name: &[u8], selection: &Selection) -> Result<()> {
        let failed = |error| Error::io(format_args!("read {}", source.named()), error);
        let top = fs::canonicalize(source).map_err(failed)?;
        let is_folder = fs::metadata(&top).map_err(failed)?.is_dir();
        let local = if is_folder {
            Local::of_folder(&top)
                .map_err(|error| Error::io(format_args!("list {}", source.named()), error))?
        } else {
            Local::of_file(&top).map_err(failed)?
        };
        let exclude = exclude(&top, &selection.exclude)?;
        let (opened, now) = (Opened::default(), SystemTime::now());
        let mut walk = Walk { tree: self, top: local, opened, name, exclude, now };
        match &selection.git {
            Some(git) if is_folder => walk.listed(git.list(&top)?),
            _ => walk.all(),
        }
    }
}

/// A walk through `top` and what is below it; `top` is called `name` on the workspace.
struct Walk<'a> {
    tree: &'a mut Tree,
    top: Local,
    opened: Opened,
    name: &'a [u8],
    exclude: Gitignore,
    now: SystemTime,
}

impl Walk<'_> {
    /// Adds everything.
    fn all(&mut self) -> Result<()> {
        let mut todo = vec![PathBuf::new()];
        while let Some(at) = todo.pop() {
            if !self.add(&at)? {
                continue;
            }
            match self.opened.names(&self.top.at(&at)) {
                Ok(names) => {
                    // What is below a folder comes right after it: the workspace enters each one once.
                    let mut folders = Vec::new();
                    for path in names.iter().map(|name| at.join(name)) {
                        let found = self.opened.find(&self.top.at(&path));
                        if found.as_ref().is_ok_and(|found| found.kind == FileKind::Folder) {
                            folders.push(path);
                        } else {
                            self.add_found(&path, found)?;
                        }
                    }
                    todo.append(&mut folders);
                }
                Err(error) => {
                    // A folder whose content cannot be listed is not sent.
                    self.tree.entries.pop();
                    self.missing(&at, &error);
                }
            }
        }
        Ok(())
    }

    /// Adds what git lists, and the folders that hold it.
    fn listed(&mut self, listed: Listed) -> Result<()> {
        listed.warnings.iter().for_each(|warning| self.tree.missing.unread.add(|| warning.clone()));
        let mut folders = HashMap::from([(PathBuf::new(), self.add(Path::new(""))?)]);
        let mut last = PathBuf::new();
        for path in listed.paths {
            if path == last {
                continue; // git lists each side of a merge conflict
            }
            if self.is_in(&path, &mut folders)? && !folders.contains_key(&path) && !self.is_gone(&path) {
                let is_folder = self.add(&path)?;
                folders.insert(path.clone(), is_folder);
            }
            last = path;
        }
        Ok(())
    }

    /// Whether the folder of `path` is sent; adds folders that it has not seen before.
    fn is_in(&mut self, path: &Path, folders: &mut HashMap<PathBuf, bool>) -> Result<bool> {
        let above = path.ancestors().skip(1).collect::<Vec<_>>();
        for folder in above.into_iter().rev() {
            let is_sent = match folders.get(folder) {
                Some(is_sent) => *is_sent,
                None => {
                    // A link that replaced a tracked folder must not lead us outside.
                    let found = self.opened.find(&self.top.at(folder));
                    let is_sent = match found {
                        Ok(found) => found.kind == FileKind::Folder && self.add_found(folder, Ok(found))?,
                        Err(_) if self.is_gone(folder) => false,
                        Err(error) => {
                            self.missing(folder, &error);
                            false
                        }
                    };
                    folders.insert(folder.to_owned(), is_sent);
                    is_sent
                }
            };
            if !is_sent {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nothing is there any more: git also lists tracked files that the user has removed.
    fn is_gone(&mut self, path: &Path) -> bool {
        let found = self.opened.find(&self.top.at(path));
        found.is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        })
    }

    /// Adds what is at `path`; whether that is a folder.
    fn add(&mut self, path: &Path) -> Result<bool> {
        let found = self.opened.find(&self.top.at(path));
        self.add_found(path, found)
    }

    fn add_found(&mut self, path: &Path, found: io::Result<Found>) -> Result<bool> {
        let at = self.top.at(path);
        let found = found.and_then(|found| Ok((self.kind(&at, &found)?, found)));
        let (kind, found) = match found {
            Ok(found) => found,
            Err(error) if path.as_os_str().is_empty() => {
                return Err(Error::io(format_args!("read {}", at.shown().named()), error));
            }
            Err(error) => {
                self.missing(path, &error);
                return Ok(false);
            }
        };
        let is_folder = kind == Some(EntryKind::Folder);
        if !path.as_os_str().is_empty() && self.exclude.matched(at.shown(), is_folder).is_ignore() {
            return Ok(false);
        }
        let Some(kind) = kind else {
            self.tree.skipped += 1;
            return Ok(false);
        };
        let mode = mode(&found);
        // Everybody can read most files. If one of the rest cannot be read, sending it will show that.
        if let (EntryKind::File(_), false) = (&kind, mode & 0o444 == 0o444)
            && let Err(error) = self.opened.file(&at)
        {
            self.missing(path, &error);
            return Ok(false);
        }
        self.tree.entries.push(Entry {
            name: below(self.name, path)?,
            mode,
            modified: Modified::of(&found, self.now),
            local: at,
            kind,
        });
        Ok(is_folder)
    }

    fn missing(&mut self, path: &Path, error: &io::Error) {
        self.tree.missing.add(&self.top.at(path).shown().display().to_string(), error);
    }

    fn kind(&mut self, at: &Local, found: &Found) -> io::Result<Option<EntryKind>> {
        Ok(match found.kind {
            FileKind::Folder => Some(EntryKind::Folder),
            FileKind::File => Some(EntryKind::File(found.size)),
            FileKind::Link => {
                let target = self.opened.read_link(at)?;
                if cfg!(not(unix)) && std::str::from_utf8(&target).is_err() {
                    return Err(io::Error::other("it leads to a name that is not valid Unicode"));
                }
                Some(EntryKind::Link(target))
            }
            FileKind::Other => None,
        })
    }
}

fn exclude(source: &Path, patterns: &[String]) -> Result<Gitignore> {
    let mut exclude = GitignoreBuilder::new(source);
    for pattern in patterns {
        let usage = |why: String| {
            Error::new(
                Code::Usage,
                format!("--exclude {} is not a valid pattern: {why}", foreign::file(pattern)),
            )
        };
        if pattern.trim().is_empty() {
            return Err(usage("it is empty".to_owned()));
        }
        let escape = if pattern.starts_with('#') { "\\" } else { "" }; // there are no comments here
        exclude.add_line(None, &format!("{escape}{pattern}")).map_err(|error| usage(error.to_string()))?;
    }
    exclude.build().map_err(|error| Error::new(Code::Usage, error.to_string()))
}

fn mode(found: &Found) -> u32 {
    match found.kind {
        FileKind::Folder if cfg!(windows) => 0o755,
        // Without that bit, whoever may write to it may also replace other people's files in it.
        FileKind::Folder => found.mode & 0o1777,
        _ => found.mode & 0o777,
    }
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
        Error::new(
            Code::Io,
            format!("the name {} is not valid Unicode", foreign::file(&name.to_string_lossy())),
        )
    })?;
    Ok(text.as_bytes())
}
