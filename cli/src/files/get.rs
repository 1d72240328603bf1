//! A file or folder from the workspace.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Code, Error, Result};
use crate::files::autorun::{AutorunFiles, completes_repository, is_head, may_be_obeyed};
use crate::files::body::{Body, SURPLUS};
use crate::files::exchange::{Exchange, ExchangeError, Exchanges, Task, TransferError};
use crate::files::failure::FailureKind;
use crate::files::git_folder::is_in_git_folder;
use crate::files::hashing::{Hashed, Stop, pump};
use crate::files::local_file::{self, LocalFile};
use crate::files::place::LocalTarget;
use crate::files::progress::Progress;
use crate::files::remote_listing::split_time;
use crate::files::script::Script;
use crate::files::{Part, Place, RemotePath, Summary, Tally, install, unpack};
use crate::output::foreign::{self, FileName as _};
use crate::output::stdout;
use crate::sys::atomic_file;

/// What is wanted of a file or a folder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Whether links that lead out of the folder are kept.
    pub(super) all_links: bool,
    /// The part of a file.
    pub(super) part: Part,
    /// Whether what is git's own stays where it is, and nothing becomes a file that runs by itself.
    pub(super) careful: bool,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file with this content, or this part of it.
    File(Vec<u8>),
    /// A folder.
    Folder,
}

/// Fetches `remote`; it is whole at its place, or what was there stays.
pub(super) fn get(
    exchanges: &Exchanges<'_>,
    remote: &RemotePath,
    place: &Place,
    wanted: Wanted,
) -> Result<Summary> {
    fetch(exchanges, remote, place, wanted).map_err(|undone| match undone {
        TransferError::Script(failure) if failure.kind == FailureKind::IsFolder && !wanted.part.is_less() => {
            Error::from(failure).hint("say where to put it: --out FOLDER")
        }
        undone => undone.into(),
    })
}

/// A part of a file, in memory.
pub(super) fn content(exchanges: &Exchanges<'_>, remote: &RemotePath, part: Part) -> Result<Content> {
    let folder = atomic_file::temporary_dir("runcode-")?;
    let copy = folder.path().join("f");
    let wanted = Wanted { part, ..Wanted::default() };
    match fetch(exchanges, remote, &Place::As(copy.clone()), wanted) {
        Ok(_) => std::fs::read(&copy)
            .map(Content::File)
            .map_err(|error| Error::io(format_args!("read {}", copy.named()), error)),
        Err(TransferError::Script(failure)) if failure.kind == FailureKind::IsFolder => Ok(Content::Folder),
        Err(undone) => Err(undone.into()),
    }
}

fn fetch(
    exchanges: &Exchanges<'_>,
    remote: &RemotePath,
    place: &Place,
    wanted: Wanted,
) -> Result<Summary, TransferError> {
    let began = Instant::now();
    // What is on stdout cannot be taken back.
    let summary =
        if matches!(place, Place::Stdout) { None } else { once(exchanges, remote, place, wanted, false)? };
    let mut summary = match summary {
        Some(summary) => summary,
        None => once(exchanges, remote, place, wanted, true)?.ok_or_else(|| {
            Error::new(
                Code::Io,
                format!("{} on the workspace keeps changing", foreign::file(&remote.shown())),
            )
        })?,
    };
    summary.seconds = began.elapsed().as_secs_f64();
    Ok(summary)
}

/// One try; none when the workspace has something else by now and a closer look may help, which costs it a process more.
fn once(
    exchanges: &Exchanges<'_>,
    remote: &RemotePath,
    place: &Place,
    wanted: Wanted,
    closely: bool,
) -> Result<Option<Summary>, TransferError> {
    let place = place.clone();
    let part = wanted.part;
    let may_be_folder = !matches!(place, Place::Stdout) && !part.is_less();
    let yes = |yes: bool| if yes { b"yes".to_vec() } else { b"no".to_vec() };
    let [unit, start, count] = part.arguments();
    let arguments = [remote.argument(), yes(may_be_folder), yes(closely), unit, start, count];
    let (remote_name, shown) = (remote.file_name().map(<[u8]>::to_vec), remote.shown());
    let task = Task { script: Script::Get, arguments: &arguments, private: None, path: &remote.shown() };
    exchanges.run(&task, move |exchange| {
        exchange.input = None;
        let record = exchange.record()?;
        let fetch = Fetch { exchange, name: remote_name, shown, wanted };
        match record.split_once(' ') {
            Some(("F", attributes)) => match fetch.file(attributes, &place) {
                Err(ExchangeError::Differs(_)) if !closely => Ok(None),
                done => done.map(Some),
            },
            None if record == "D" => fetch.folder(&place).map(Some),
            _ => Err(ExchangeError::Cut),
        }
    })
}

struct Fetch<'a> {
    exchange: &'a mut Exchange,
    name: Option<Vec<u8>>,
    shown: String,
    wanted: Wanted,
}

impl Fetch<'_> {
    /// An error if the fetch is to be careful, and the target would be a file that other programs run, or the place of such files.
    fn refuse_autorun(&self, target: Option<&LocalTarget>, is_folder: bool) -> Result<()> {
        let Some(path) = target.filter(|_| self.wanted.careful).map(LocalTarget::path) else { return Ok(()) };
        let what = if AutorunFiles::of_file(&path).count > 0
            || is_in_git_folder(&path)
            || path.file_name().is_some_and(may_be_obeyed)
        {
            format!("other programs may run or obey {} as soon as it is there", path.named())
        } else if (!is_folder && path.file_name().is_some_and(is_head)) || completes_repository(&path) {
            format!("{} could make git take its folder for a repository", path.named())
        } else {
            return Ok(());
        };
        Err(Error::new(Code::Usage, what).hint(
            "nothing was written; fetch it under another name or into another folder, or ask the user to fetch it",
        ))
    }

    fn file(self, attributes: &str, place: &Place) -> Result<Summary, ExchangeError> {
        let (size, mode, modified) = parse_attributes(attributes).ok_or(ExchangeError::Cut)?;
        let target = place.of_file(self.name.as_deref())?;
        self.refuse_autorun(target.as_ref(), false)?;
        let limit = self.wanted.part.at_most(size, SURPLUS);
        let mut body = Body::of_lines(&mut self.exchange.output, limit, self.wanted.part.lines_at_most());
        let mut progress = Progress::new((!self.wanted.part.is_less()).then_some(size));
        let mut file = target.as_ref().map(LocalFile::create).transpose()?;
        let target = target.map(|target| target.path());
        let moved = match &mut file {
            Some(file) => pump(&mut body, file.file(), &mut progress),
            None => pump(&mut body, &mut io::stdout().lock(), &mut progress),
        };
        let (bytes, sha256) = match (moved, &target) {
            (Ok(moved), _) => moved,
            (Err(Stop::Read(_)), _) => return Err(ExchangeError::Cut),
            (Err(Stop::Write(error)), None) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Err(stdout::reader_gone().into());
            }
            (Err(Stop::Write(error)), None) => return Err(Error::io("write to stdout", error).into()),
            (Err(Stop::Write(error)), Some(target)) => {
                return Err(local_file::write_error(target, error).into());
            }
        };
        body.finish(&self.exchange.mark, &sha256, &self.shown, size > 0)?;
        let is_as_asked = file.map_or(Ok(true), |file| file.commit(mode, modified))?;
        let to = target.as_ref().map_or_else(|| "stdout".to_owned(), |target| target.display().to_string());
        let mut summary = Summary::new(to, Instant::now());
        if !is_as_asked {
            summary.notes.no_mode(&summary.to);
        }
        (summary.files, summary.bytes, summary.sha256) = (1, bytes, Some(sha256));
        summary.autorun = target.as_deref().map(AutorunFiles::of_file).unwrap_or_default();
        Ok(summary)
    }

    fn folder(self, place: &Place) -> Result<Summary, ExchangeError> {
        let target = place.of_folder(self.name.as_deref())?.ok_or(ExchangeError::Cut)?;
        self.refuse_autorun(Some(&target), true)?;
        let stage = install::stage(&target)?;
        let mut body = Body::new(&mut self.exchange.output, u64::MAX);
        let mut hashed = Hashed::new(&mut body, Progress::new(None));
        let autorun = AutorunFiles::below(&target.path())
            .without_git(self.wanted.careful)
            .without_any(self.wanted.careful && target.path().is_dir());
        let mut unpacked = unpack::unpack(&mut hashed, stage.folder(), &self.shown, autorun)?;
        let sha256 = hashed.hex();
        body.finish(&self.exchange.mark, &sha256, &self.shown, true)?;
        let missing = unpacked.rest.missing().ok_or_else(|| {
            Error::new(
                Code::Io,
                format!("{} on the workspace could not be read completely", foreign::file(&self.shown)),
            )
            .hint("nothing was written; run the command again, or fetch the parts that you need by name")
        })?;
        let mut left_out = Tally::default();
        if unpacked.has_links && !self.wanted.all_links {
            install::prune(&stage, &target, &mut left_out)?;
        }
        install::install(&stage, &target)?;
        unpacked.files = unpacked.files.saturating_sub(left_out.count);
        let mut summary = Summary::new(target.path().display().to_string(), Instant::now());
        (summary.files, summary.bytes, summary.skipped) = (unpacked.files, unpacked.bytes, unpacked.skipped);
        (summary.left_out, summary.autorun) = (left_out, unpacked.autorun.found);
        summary.kept_out = unpacked.autorun.kept_out;
        (summary.missing, summary.notes) = (missing, unpacked.notes);
        summary.sha256 = Some(sha256);
        Ok(summary)
    }
}

/// `<size> <octal mode> <seconds>[.<fraction>]`.
fn parse_attributes(text: &str) -> Option<(u64, u32, Option<SystemTime>)> {
    let mut words = text.split(' ');
    let (size, mode, time) = (words.next()?, words.next()?, words.next()?);
    let (seconds, nanos) = split_time(time)?;
    let modified = seconds.parse().ok().and_then(|secs| UNIX_EPOCH.checked_add(Duration::new(secs, nanos)));
    Some((size.parse().ok()?, u32::from_str_radix(mode, 8).ok()?, modified))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn attributes_of_gnu_busybox_and_bsd() {
        let time = |secs, nanos| UNIX_EPOCH.checked_add(Duration::new(secs, nanos));
        assert_eq!(parse_attributes("7 644 12.5"), Some((7, 0o644, time(12, 500_000_000))));
        assert_eq!(parse_attributes("0 4755 12"), Some((0, 0o4755, time(12, 0))));
        for bad in ["", "x 644 1", "1 9 1", "1 644", "-1 644 1", "1 644 1.x"] {
            assert_eq!(parse_attributes(bad), None, "{bad}");
        }
    }
}
