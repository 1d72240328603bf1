//! Unpacking an archive that a workspace sent, which is not trusted.
//!
//! It goes into a fresh folder that nobody else may enter, in memory that does not grow with it. Each name is reached folder by
//! folder, and no link is followed. Devices, owners and set-user-id bits are never made (CVE-2001-1267, CVE-2018-20834…).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Entry, EntryType};

use crate::error::{Code, Error};
use crate::files::autorun::AutorunFiles;
use crate::files::exchange::ExchangeError;
use crate::files::links::{self, TARGET_MAX};
use crate::files::local_file::{is_supported, set_attributes};
use crate::files::local_name;
use crate::files::member_names::Names;
use crate::files::notes::Notes;
use crate::files::tar_report::Rest;
use crate::files::twins::{self, There, Twins};
use crate::output::foreign;
use crate::sys::folder::{Attributes, FileKind, Folder};

/// What the unpacked folder is called in the stage.
pub(super) const ROOT: &str = "t";

/// The largest extended header.
const EXTENDED_MAX: u64 = 64 * 1024;

/// How many members an archive may have, and how many bytes of what is not kept: devices, and what follows the last member.
const MEMBERS_MAX: u64 = 10_000_000;
const UNKEPT_MAX: u64 = 64 * 1024 * 1024;

/// What came.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) skipped: u64,
    pub(super) has_links: bool,
    pub(super) autorun: AutorunFiles,
    /// What the file system here could not keep.
    pub(super) notes: Notes,
    /// What came behind the archive.
    pub(super) rest: Rest,
}

/// Unpacks what `from` has into `stage`, and reads it to its end. `autorun` is told of what runs by itself.
pub(super) fn unpack(
    from: &mut impl Read,
    stage: &Folder,
    shown: &str,
    autorun: AutorunFiles,
) -> Result<Unpacked, ExchangeError> {
    let opened = stage.make_folder(OsStr::new(ROOT)).and_then(|()| {
        let root = stage.folder(OsStr::new(ROOT))?;
        Ok((root.again()?, root))
    });
    let (here, root) = opened.map_err(|error| write_error(&[], error))?;
    let (path, done) = (Vec::new(), Unpacked { autorun, ..Unpacked::default() });
    let twins = Twins::on(stage).map_err(|error| write_error(&[], error))?;
    let mut unpacking = Unpacking { root, here, path, root_keeps: None, shown, twins, unkept: 0, done };
    let mut archive = tar::Archive::new(&mut *from);
    let mut next = Names::default();
    let mut members = 0;
    for entry in archive.entries().map_err(|_| ExchangeError::Cut)?.raw(true) {
        let mut entry = entry.map_err(|_| ExchangeError::Cut)?;
        members += 1;
        if members > MEMBERS_MAX {
            return Err(unpacking.endless());
        }
        match entry.header().entry_type() {
            EntryType::GNULongName => next.path = Some(unpacking.text(&mut entry)?),
            EntryType::GNULongLink => next.link = Some(unpacking.text(&mut entry)?),
            EntryType::XHeader => next.extend(&unpacking.extended(&mut entry)?),
            EntryType::XGlobalHeader => unpacking.pass(entry.size())?,
            kind => unpacking.entry(kind, entry, std::mem::take(&mut next))?,
        }
    }
    unpacking.ascend(0)?;
    unpacking.keep()?;
    let rest = &mut from.take(UNKEPT_MAX + 1);
    let length = io::copy(rest, &mut unpacking.done.rest).map_err(|_| ExchangeError::Cut)?;
    unpacking.pass(length)?;
    Ok(unpacking.done)
}

/// An archive half unpacked. Members come folder by folder, so one folder is open at a time, and what a folder is to have
/// in the end is kept for those above it alone.
struct Unpacking<'a> {
    root: Folder,
    /// The open folder.
    here: Folder,
    /// Its path below the root, and what each folder on it gets when it is left: what is made in it changes its time.
    path: Vec<(OsString, Option<Attributes>)>,
    root_keeps: Option<Attributes>,
    shown: &'a str,
    twins: Twins,
    /// How many bytes came that were not kept.
    unkept: u64,
    done: Unpacked,
}

impl Unpacking<'_> {
    fn extended(&self, entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, ExchangeError> {
        if entry.size() > EXTENDED_MAX {
            return Err(self.endless());
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|_| ExchangeError::Cut)?;
        Ok(bytes)
    }

    fn text(&self, entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, ExchangeError> {
        let mut bytes = self.extended(entry)?;
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }

    fn entry(
        &mut self,
        kind: EntryType,
        mut entry: Entry<'_, impl Read>,
        names: Names,
    ) -> Result<(), ExchangeError> {
        let header = entry.header();
        let raw = names.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = names.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let mode = header.mode().unwrap_or(0o644) & if kind == EntryType::Directory { 0o1777 } else { 0o777 };
        let modified = header.mtime().unwrap_or(0);
        let path = local_name::path(&raw).ok_or_else(|| self.hostile(&raw))?;
        if self.done.autorun.leaves_out(&path, kind == EntryType::Directory) {
            self.done.skipped += 1;
            return Ok(());
        }
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            self.pass(entry.size())?; // nothing but a file has content that is kept
        }
        match kind {
            EntryType::Directory => {
                self.enter(&path)?;
                let keeps = self.path.last_mut().map_or(&mut self.root_keeps, |(_, keeps)| keeps);
                *keeps = Some(Attributes::new(mode, modified));
            }
            EntryType::Regular | EntryType::Continuous => {
                let name = self.place(&path)?;
                let file = self.create(name, &path)?;
                let (bytes, is_as_asked) = fill(&mut entry, file, &path, mode, modified)?;
                self.done.bytes += bytes;
                if !is_as_asked {
                    self.done.notes.no_mode(&links::shown(&path));
                }
                self.done.files += 1;
                self.done.autorun.see(&path);
            }
            EntryType::Symlink => self.link(&path, &link.unwrap_or_default())?,
            EntryType::Link => self.twin(&path, &link.unwrap_or_default())?,
            _ => self.done.skipped += 1,
        }
        Ok(())
    }

    /// A symbolic link. Those that lead out of the folder are removed once all is there.
    fn link(&mut self, path: &[OsString], target: &[u8]) -> Result<(), ExchangeError> {
        if target.is_empty() || target.len() > TARGET_MAX || target.contains(&0) {
            return Err(self.hostile(links::shown(path).as_bytes()));
        }
        let name = self.place(path)?;
        self.vacate(name, path)?;
        let mut has_links = true;
        let made = self.here.make_link(name, target).map(|made| has_links = made);
        if !is_supported(made).map_err(|error| write_error(path, error))? {
            self.done.notes.no_link(&links::shown(path));
            return Ok(());
        }
        if !has_links {
            self.done.skipped += 1;
            return Ok(());
        }
        self.done.files += 1;
        self.done.autorun.see(path);
        self.done.has_links = true;
        if let Some(leads) = links::inside(path.get(..path.len() - 1).unwrap_or_default(), target) {
            self.done.autorun.see(&leads);
        }
        Ok(())
    }

    /// A second name of what came before; of a link, the same link once more.
    fn twin(&mut self, path: &[OsString], of: &[u8]) -> Result<(), ExchangeError> {
        let source = local_name::path(of).ok_or_else(|| self.hostile(of))?;
        let Some((last, above)) = source.split_last() else { return Err(self.hostile(of)) };
        let folder = self.root.again().and_then(|root| {
            above.iter().try_fold(root, |folder, name| folder.folder(name)) // never through a link
        });
        let found = folder.and_then(|folder| Ok((folder.kind(last)?, folder)));
        let failed = |error| write_error(path, error);
        match found {
            Ok((Some(FileKind::File), folder)) => {
                let name = self.place(path)?;
                self.vacate(name, path)?;
                self.here.make_hard_link(name, &folder, last).map_err(failed)?;
                self.done.files += 1;
                self.done.autorun.see(path);
                Ok(())
            }
            Ok((Some(FileKind::Link), folder)) => {
                let target = folder.read_link(last).map_err(failed)?;
                self.link(path, &target)
            }
            Ok((None, _)) if self.done.notes.lack_something() => {
                self.done.notes.no_link(&links::shown(path));
                Ok(())
            }
            Ok((None, _)) if cfg!(windows) && self.done.skipped > 0 => {
                self.done.skipped += 1; // of a link, which is not made there
                Ok(())
            }
            _ if self.done.autorun.leaves_out(&source, false) => {
                self.done.skipped += 1;
                Ok(())
            }
            _ => Err(self.hostile(of)),
        }
    }

    /// Counts bytes that are not kept.
    fn pass(&mut self, bytes: u64) -> Result<(), ExchangeError> {
        self.unkept = self.unkept.saturating_add(bytes);
        if self.unkept > UNKEPT_MAX { Err(self.endless()) } else { Ok(()) }
    }

    fn endless(&self) -> ExchangeError {
        let what = format!("{} on the workspace is too large, or does not end", foreign::file(self.shown));
        Error::new(Code::Io, what)
            .hint("nothing was written; fetch what you need of it by name, or as one archive file")
            .into()
    }

    fn hostile(&self, name: &[u8]) -> ExchangeError {
        let name = foreign::path(&String::from_utf8_lossy(name));
        Error::new(
            Code::Io,
            format!(
                "{} on the workspace came with a name that is not safe: {name}",
                foreign::file(self.shown)
            ),
        )
        .hint("nothing was written")
        .into()
    }

    /// Opens the folder that a file or link `path` is in: its name there.
    fn place<'p>(&mut self, path: &'p [OsString]) -> Result<&'p OsStr, ExchangeError> {
        let Some((name, above)) = path.split_last() else { return Err(self.hostile(b".")) };
        self.enter(above)?;
        Ok(name)
    }

    fn create(&mut self, name: &OsStr, path: &[OsString]) -> Result<File, ExchangeError> {
        let failed = |error| write_error(path, error);
        match self.here.make_file(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.vacate(name, path)?;
                Ok(self.here.make_file(name).map_err(failed)?)
            }
            done => Ok(done.map_err(failed)?),
        }
    }

    /// Makes room for a file or link: a later member of a name wins.
    fn vacate(&mut self, name: &OsStr, path: &[OsString]) -> Result<(), ExchangeError> {
        self.refuse_twin(name, path)?;
        match self.here.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(path, error).into()),
            _ => Ok(()),
        }
    }

    /// An error when another name is in the place of `name`, the last of `path`, which the open folder takes for the same.
    fn refuse_twin(&mut self, name: &OsStr, path: &[OsString]) -> Result<(), ExchangeError> {
        match self.twins.at(name, &self.here).map_err(|error| write_error(path, error))? {
            There::Own => Ok(()),
            There::Twin(twin) => Err(twins::error_here(&twin, name).into()),
            There::Unclear => Err(self.endless()),
        }
    }

    /// Makes the folder `path` where it is missing, and opens it.
    fn enter(&mut self, path: &[OsString]) -> Result<(), ExchangeError> {
        let common = self.path.iter().zip(path).take_while(|((open, _), wanted)| open == *wanted).count();
        self.ascend(common)?;
        for (depth, name) in path.iter().enumerate().skip(common) {
            let failed = |error| write_error(path.get(..=depth).unwrap_or_default(), error);
            let (next, keeps) = match self.here.folder(name) {
                // It was left before. What it got then it gets once more.
                Ok(found) => {
                    self.refuse_twin(name, path.get(..=depth).unwrap_or_default())?;
                    let keeps = found.attributes().map_err(failed)?;
                    (found, Some(keeps))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.here.make_folder(name).map_err(failed)?;
                    (self.here.folder(name).map_err(failed)?, None)
                }
                Err(_) => return Err(self.hostile(links::shown(path).as_bytes())),
            };
            self.here = next;
            self.path.push((name.clone(), keeps));
        }
        Ok(())
    }

    /// Leaves folders until so many of the path are open.
    fn ascend(&mut self, depth: usize) -> Result<(), ExchangeError> {
        while self.path.len() > depth {
            let names = || self.path.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            let keeps = self.path.last().and_then(|(_, keeps)| *keeps);
            let left = keeps.map_or(Ok(true), |keeps| is_supported(self.here.set_attributes(keeps)));
            if matches!(left, Ok(false)) {
                self.done.notes.no_mode(&links::shown(&names()));
            }
            self.here =
                left.and_then(|_| self.here.parent()).map_err(|error| write_error(&names(), error))?;
            self.path.pop();
        }
        Ok(())
    }

    /// Gives the root what it is to have.
    fn keep(&mut self) -> Result<(), ExchangeError> {
        let kept = self.root_keeps.map_or(Ok(()), |keeps| self.root.set_attributes(keeps));
        if !is_supported(kept).map_err(|error| write_error(&[], error))? {
            self.done.notes.no_mode(".");
        }
        Ok(())
    }
}

/// A failure to write what came as `path`: the name is the workspace's.
fn write_error(path: &[OsString], error: io::Error) -> Error {
    let name = if path.is_empty() { ".".to_owned() } else { links::shown(path) };
    Error::io(format_args!("write {}", foreign::path(&name)), error)
}

fn fill(
    entry: &mut Entry<'_, impl Read>,
    mut file: File,
    path: &[OsString],
    mode: u32,
    modified: u64,
) -> Result<(u64, bool), ExchangeError> {
    let failed = |error| ExchangeError::Told(write_error(path, error));
    let size = entry.size();
    let mut chunk = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, super::exchange::CHUNK)];
    let mut bytes = 0;
    loop {
        let read = entry.read(&mut chunk).map_err(|_| ExchangeError::Cut)?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, chunk.get(..read).unwrap_or_default()).map_err(failed)?;
        bytes += read as u64;
    }
    if bytes != size {
        return Err(ExchangeError::Cut);
    }
    // A time that no clock here can show is left out.
    let is_sane = modified < 1 << 33; // the year 2242
    let modified = UNIX_EPOCH.checked_add(Duration::from_secs(modified)).filter(|_| is_sane);
    let is_as_asked = set_attributes(&file, mode, modified).map_err(failed)?;
    Ok((bytes, is_as_asked))
}

/// What the fuzz target `archive` calls.
#[cfg(fuzzing)]
pub fn fuzz(mut archive: &[u8], stage: &std::path::Path) -> Option<u64> {
    let stage = Folder::open(stage).ok()?;
    unpack(&mut archive, &stage, "x", AutorunFiles::default()).ok().map(|unpacked| unpacked.files)
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
