//! Files and folders to the workspace and back: as raw bytes over the session's own connection, in constant memory.
//!
//! A transfer is one exchange with a small POSIX script (`script`): the workspace needs a shell and coreutils or busybox.
//! The receiving side writes beside the target, compares the SHA-256 of what it has with the sender's, and renames; a
//! transfer that fails or is cut leaves what was there. Folders travel as one tar archive, which the workspace's tar reads
//! and writes.

mod archive;
mod autorun;
mod autorun_names;
mod body;
mod edit;
mod exchange;
mod failure;
mod get;
mod git;
mod git_folder;
mod hashing;
mod install;
mod links;
mod local;
mod local_file;
mod local_name;
mod local_tree;
mod member_names;
mod notes;
mod part;
mod place;
mod progress;
mod put_file;
mod put_folder;
mod remote_listing;
mod remote_path;
mod script;
mod search;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod splice;
mod summary;
mod tally;
mod tar_report;
mod twins;
mod unpack;
mod watchdog;

#[cfg(fuzzing)]
pub use unpack::fuzz as unpack_for_fuzzing;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use autorun::{completes_repository, is_git_name, may_be_obeyed};
pub use edit::{Change, Edited, edit};
pub use exchange::{Exchanges, Start};
pub use get::Content;
pub use git::Git;
pub use git_folder::is_in_git_folder;
pub use local_tree::Selection;
pub use notes::Notes;
pub use part::Part;
pub use place::Place;
pub use put_file::Writing;
pub use remote_path::RemotePath;
pub use search::{Found, Lines, NamesFound, Search, search};
pub use summary::Summary;
pub use tally::{Missing, Tally};

use crate::error::{Code, Error, Result};
use crate::output::foreign::{self, FileName as _};

/// Sends what comes on `source`; it becomes the content of the file `remote`, whose mode stays.
pub fn write(
    exchanges: &Exchanges<'_>,
    source: impl Read + Send + 'static,
    remote: &RemotePath,
) -> Result<Summary> {
    put_file::write(exchanges, source, remote, Writing::default())
}

/// As [`write()`], where the file is to be as `writing` says.
pub fn write_as(
    exchanges: &Exchanges<'_>,
    source: impl Read + Send + 'static,
    remote: &RemotePath,
    writing: Writing,
) -> Result<Summary> {
    put_file::write(exchanges, source, remote, writing)
}

/// Sends files and folders. One becomes `remote`, or is merged into it where both are folders; a file goes into a folder
/// that is there; a `remote` that ends in `/`, and any `remote` for several, is the folder that they go into.
pub fn put(
    exchanges: &Exchanges<'_>,
    sources: &[PathBuf],
    remote: &RemotePath,
    selection: &Selection,
) -> Result<Summary> {
    let read = |source: &PathBuf| {
        fs::metadata(source).map_err(|error| {
            let failed = Error::io(format_args!("read {}", source.named()), error);
            if source.as_os_str() == "-" {
                failed.hint("to send stdin, use `runcode write PATH`")
            } else {
                failed
            }
        })
    };
    let mut are_folders = Vec::new();
    for source in sources {
        let found = read(source)?;
        if !found.is_dir() {
            local_file::open_named(source)?; // of several, one that cannot be sent is no surprise for later
        }
        are_folders.push(found.is_dir());
    }
    let into = remote.names_a_folder();
    match (sources, &are_folders[..]) {
        ([source], [false]) if into => {
            let (_, name) = put_folder::names(std::slice::from_ref(source))?.remove(0);
            put_file::put(exchanges, source, &remote.join(&name), None)
        }
        ([source], [false]) => {
            let name = source.file_name().map(local_tree::bytes).transpose()?;
            put_file::put(exchanges, source, remote, name)
        }
        ([source], [true]) if into && source.file_name().is_some() && !names_content(source) => {
            let (_, name) = put_folder::names(std::slice::from_ref(source))?.remove(0);
            put_folder::put(exchanges, &[(source.clone(), Vec::new())], &remote.join(&name), selection)
        }
        ([source], _) => put_folder::put(exchanges, &[(source.clone(), Vec::new())], remote, selection),
        _ => put_folder::put(exchanges, &put_folder::names(sources)?, remote, selection),
    }
}

/// Whether `source` ends in `.`, and so means what is in the folder, as for cp(1).
fn names_content(source: &Path) -> bool {
    let bytes = source.as_os_str().as_encoded_bytes();
    bytes.rsplit(|&byte| std::path::is_separator(byte.into())).next() == Some(b".")
}

/// Sends the content of one file, its mode and its time; it becomes the file `remote`.
pub fn put_as(exchanges: &Exchanges<'_>, source: &Path, remote: &RemotePath) -> Result<Summary> {
    put_file::put(exchanges, source, remote, None)
}

/// Fetches a part of one file to stdout.
pub fn get_part(exchanges: &Exchanges<'_>, remote: &RemotePath, part: Part) -> Result<Summary> {
    get::get(exchanges, remote, &Place::Stdout, get::Wanted { part, ..get::Wanted::default() })
}

/// The content of a file, or its first `max` bytes.
pub fn read(exchanges: &Exchanges<'_>, remote: &RemotePath, max: u64) -> Result<Content> {
    get::content(exchanges, remote, Part::Bytes { offset: 0, limit: Some(max) })
}

/// Fetches one file or folder for an agent that may have been talked into it: without what is git's own, which git would obey, and
/// not to the place of a file that other programs run by themselves.
pub fn get_carefully(exchanges: &Exchanges<'_>, remote: &RemotePath, place: &Place) -> Result<Summary> {
    get::get(exchanges, remote, place, get::Wanted { careful: true, ..get::Wanted::default() })
}

/// Fetches files and folders to `place`, one after the other. Links that lead out of a folder are left out unless
/// `all_links`.
pub fn get(
    exchanges: &Exchanges<'_>,
    remotes: &[RemotePath],
    place: &Place,
    all_links: bool,
) -> Result<Summary> {
    let mut names = remotes.iter().map(RemotePath::file_name).collect::<Vec<_>>();
    names.sort_unstable();
    if let Some([Some(name), _]) = names.windows(2).find(|two| two[0].is_some() && two[0] == two[1]) {
        let name = crate::output::sanitize::short(&String::from_utf8_lossy(name));
        return Err(Error::new(Code::Usage, format!("two of them are called {}", foreign::file(&name)))
            .hint("fetch them one at a time, each with --out NAME"));
    }
    let mut all = None::<Summary>;
    for remote in remotes {
        let mut one =
            get::get(exchanges, remote, place, get::Wanted { all_links, ..get::Wanted::default() })?;
        if let (Place::Into(folder), 2..) = (place, remotes.len()) {
            one.to = folder.display().to_string();
        }
        all = Some(match all {
            None => one,
            Some(mut all) => {
                all.add(&one);
                all
            }
        });
    }
    all.ok_or_else(|| Error::new(Code::Usage, "nothing to fetch"))
}
