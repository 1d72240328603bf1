//! Folders and several things at once to the workspace: what it has already does not travel.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::files::archive::{self, FolderMode, Sent, Unsent};
use crate::files::exchange::{Exchange, ExchangeError, Exchanges, Task, TransferError};
use crate::files::failure::FailureKind;
use crate::files::local::Opened;
use crate::files::local_tree::{self, Entry, EntryKind, Selection, Tree};
use crate::files::progress::Progress;
use crate::files::put_file;
use crate::files::remote_listing::{Format, Listing};
use crate::files::script::{self, Script};
use crate::files::twins;
use crate::files::{RemotePath, Summary};
use crate::output::foreign::{self, FileName as _};
use crate::sys::random;

/// So many bytes of names are asked for one by one; for more, all of the target is listed.
const NAMES: usize = 32 * 1024;

/// Sends one folder, which becomes `target` or is merged into it: no names; or several things, which go into it under
/// these names.
pub(super) fn put(
    exchanges: &Exchanges<'_>,
    sources: &[(PathBuf, Vec<u8>)],
    target: &RemotePath,
    selection: &Selection,
) -> Result<Summary> {
    let began = Instant::now();
    let mut tree = Tree::default();
    for (path, name) in sources {
        tree.walk(path, name, selection)?;
    }
    let Tree { entries, skipped, missing } = tree;
    let hashes = if selection.checksum { b"yes".to_vec() } else { b"no".to_vec() };
    let mut arguments = vec![target.argument(), hashes];
    let names = sources.iter().map(|(_, name)| name);
    if sources.iter().any(|(_, name)| name.is_empty()) || names.clone().map(Vec::len).sum::<usize>() > NAMES {
        arguments.push(script::argument(b"."));
    } else {
        arguments.extend(names.map(|name| script::argument(name)));
    }
    let shown = target.shown();
    let all = entries.clone();
    let private = random::word(); // the folder that it is unpacked in
    let task = Task {
        script: Script::PutFolder,
        arguments: &arguments,
        private: Some(&private),
        path: &target.shown(),
    };
    let checksum = selection.checksum;
    let done = exchanges.run(&task, move |exchange| converse(exchange, entries, &shown, checksum));
    let mut summary = Summary::new(target.shown(), began);
    match done {
        Ok((sent, unchanged)) => {
            (summary.files, summary.bytes, summary.sha256) = (sent.files, sent.bytes, sent.sha256);
            (summary.unchanged, summary.missing, summary.notes) = (unchanged, sent.missing, sent.notes);
        }
        Err(TransferError::Script(failure)) if failure.is_without_folders() => {
            one_by_one(exchanges, &all, target, &mut summary)?;
        }
        Err(TransferError::Script(failure)) if failure.kind == FailureKind::Twins => {
            let place = format!("{} on the workspace", foreign::file(&target.shown()));
            return Err(match twins::find(&all) {
                Some((one, other)) => {
                    twins::error(&String::from_utf8_lossy(one), &String::from_utf8_lossy(other), &place)
                }
                None => failure.into(),
            });
        }
        Err(undone) => return Err(undone.into()),
    }
    summary.skipped += skipped;
    summary.missing.append(&missing);
    summary.seconds = began.elapsed().as_secs_f64();
    Ok(summary)
}

/// What was sent, and how many files did not need to be.
fn converse(
    exchange: &mut Exchange,
    mut entries: Vec<Entry>,
    target: &str,
    checksum: bool,
) -> Result<(Sent, u64), ExchangeError> {
    let format = match exchange.record()?.as_str() {
        "T 0" => Some(Format::Printf),
        "T 1" => Some(Format::Stat),
        "T -" => None,
        _ => return Err(ExchangeError::Cut),
    };
    let before = files(&entries);
    let has_twins = twins::find(&entries).is_some();
    let mut modes = Vec::<FolderMode>::new();
    if let Some(format) = format {
        let mut listing = Listing::read(&mut exchange.output, format, &exchange.mark, &entries)?;
        if checksum {
            listing.read_hashes(&mut exchange.output, &exchange.mark)?;
        }
        let mut lacking = Vec::new();
        for entry in entries {
            modes.extend(listing.new_mode(&entry));
            if listing.lacks(&entry, target)? || (checksum && listing.differs(&entry)) {
                lacking.push(entry);
            }
        }
        entries = lacking;
        modes.reverse(); // what is in a folder before it is closed
        if entries.is_empty() && modes.is_empty() {
            let input = exchange.input.take();
            input.ok_or(ExchangeError::Cut)?.write_all(b"none\n").map_err(|_| ExchangeError::Cut)?;
            exchange.done()?;
            return Ok((Sent::default(), before));
        }
    }
    let unchanged = before - files(&entries);
    let input = exchange.input.take();
    let (sender, sent) = mpsc::channel();
    let mark = exchange.mark.clone();
    std::thread::spawn(move || {
        let Some(mut input) = input else { return };
        let total =
            entries.iter().map(|entry| if let EntryKind::File(size) = entry.kind { size } else { 0 }).sum();
        let twins = if has_twins { " yes" } else { "" };
        let first = format!("{mark} {}{twins}\n", archive::length(&entries));
        let done = match input.write_all(first.as_bytes()) {
            Ok(()) => {
                let watchdog = input.watchdog().clone();
                archive::send(&mut input, &entries, &modes, &mut Progress::new(Some(total)), &watchdog)
            }
            Err(_) => Err(Unsent),
        };
        let _ = sender.send(done); // before the end of the input, so that it is there when the workspace answers
        drop(input);
    });
    let done = exchange.done();
    match (done, sent.try_recv()) {
        (Ok(()), Ok(Ok(mut sent))) => {
            sent.notes = std::mem::take(&mut exchange.notes);
            Ok((sent, unchanged))
        }
        (Err(fault), _) => Err(fault),
        (Ok(()), _) => Err(ExchangeError::Cut),
    }
}

fn files(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| entry.kind != EntryKind::Folder).count() as u64
}

/// The way to a workspace that has no tar: every file by itself. Links stay behind, and are counted.
fn one_by_one(
    exchanges: &Exchanges<'_>,
    entries: &[Entry],
    target: &RemotePath,
    summary: &mut Summary,
) -> Result<()> {
    let mut opened = Opened::default();
    for entry in entries {
        match entry.kind {
            EntryKind::Folder => {}
            EntryKind::Link(_) => summary.skipped += 1,
            EntryKind::File(_) => match opened.file(&entry.local) {
                Ok(file) => {
                    let (shown, to) = (entry.local.shown(), target.join(&entry.name));
                    summary.add(&put_file::put_opened(exchanges, file, shown, &to, None)?);
                }
                Err(error) => summary.missing.add(&entry.local.shown().display().to_string(), &error),
            },
        }
    }
    Ok(())
}

/// The names under which several sources go into a folder; two of the same name are an error.
pub(super) fn names(sources: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut seen = HashSet::new();
    let name = |source: &PathBuf| {
        let usage = |what: &str| Error::new(Code::Usage, format!("{} {what}", source.named()));
        let name = match source.file_name() {
            Some(name) => name.to_owned(),
            None => std::fs::canonicalize(source)
                .ok()
                .and_then(|path| path.file_name().map(ToOwned::to_owned))
                .ok_or_else(|| usage("has no name to send it under"))?,
        };
        let name = local_tree::bytes(&name)?.to_vec();
        if seen.insert(name.clone()) {
            Ok((source.clone(), name))
        } else {
            Err(usage("has the same name as another one"))
        }
    };
    sources.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::sys::env::Env;
    use std::cell::Cell;

    /// A session that cannot be had (HTTP 503) is as unavailable as a `tar`, but says nothing of folders.
    #[test]
    fn only_a_missing_tar_sends_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let target = RemotePath::parse("there".as_ref(), None).unwrap();
        let sources = [(folder.path().to_owned(), Vec::new())];
        for code in [Code::Unavailable, Code::Transport] {
            let starts = Cell::new(0);
            let start = |_: &_, _: &_| {
                starts.set(starts.get() + 1);
                Err(Error::new(code, "no session"))
            };
            let exchanges = Exchanges::new(&start, &Env::fixed::<&str>([]));
            let put = put(&exchanges, &sources, &target, &Selection::default());
            assert_eq!((put.unwrap_err().code(), starts.get()), (code, 1));
        }
    }
}
