//! Unpacking an archive that a box sent, which is not trusted.
//!
//! It goes into a fresh folder that nobody else may enter, where there are nothing but folders and files of our own making
//! until the very end: links are made last, so no name can lead through one. Devices, owners and set-user-id bits are
//! never made (CVE-2001-1267, CVE-2007-4131, CVE-2018-20834 and their kin).

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Entry, EntryType};

use crate::error::{Code, Error};
use crate::files::local_file::write_error;
use crate::files::talk::Fault;
use crate::sys::platform;

/// What the unpacked folder is called in the stage.
pub(super) const ROOT: &str = "t";

/// The longest name that is believed (`PATH_MAX`), and the largest extended header.
const NAME_MAX: usize = 4096;
const EXTENDED_MAX: u64 = 64 * 1024;

/// What came.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) skipped: u64,
}

/// Unpacks what `from` has into `stage`.
pub(super) fn unpack(from: &mut impl Read, stage: &Path, shown: &str) -> Result<Unpacked, Fault> {
    let mut unpacking = Unpacking { root: stage.join(ROOT), shown, ..Unpacking::default() };
    fs::create_dir(&unpacking.root).map_err(|error| write_error(&unpacking.root, error))?;
    let mut archive = tar::Archive::new(from);
    let mut next = Names::default();
    for entry in archive.entries().map_err(|_| Fault::Cut)?.raw(true) {
        let mut entry = entry.map_err(|_| Fault::Cut)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => next.path = Some(text(&mut entry)?),
            EntryType::GNULongLink => next.link = Some(text(&mut entry)?),
            EntryType::XHeader => next.extend(&extended(&mut entry)?),
            EntryType::XGlobalHeader => {}
            kind => unpacking.entry(kind, entry, std::mem::take(&mut next))?,
        }
    }
    unpacking.finish()
}

/// Names that came in entries of their own, for the entry that follows.
#[derive(Default)]
struct Names {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Names {
    /// What a pax header says (POSIX pax, `path` and `linkpath`).
    fn extend(&mut self, header: &[u8]) {
        for extension in tar::PaxExtensions::new(header).flatten() {
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                _ => {}
            }
        }
    }
}

fn extended(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    entry.take(EXTENDED_MAX).read_to_end(&mut bytes).map_err(|_| Fault::Cut)?;
    Ok(bytes)
}

fn text(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, Fault> {
    let mut bytes = extended(entry)?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}

#[derive(Default)]
struct Unpacking<'a> {
    root: PathBuf,
    shown: &'a str,
    done: Unpacked,
    links: BTreeMap<PathBuf, Vec<u8>>,
    twins: Vec<(PathBuf, PathBuf)>,
    folders: BTreeMap<PathBuf, (u32, u64)>,
    /// Folders that are there: a folder stays one.
    made: HashSet<PathBuf>,
}

impl Unpacking<'_> {
    fn entry(&mut self, kind: EntryType, mut entry: Entry<'_, impl Read>, names: Names) -> Result<(), Fault> {
        let header = entry.header();
        let name = names.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = names.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let mode = header.mode().unwrap_or(0o644) & 0o777;
        let modified = header.mtime().unwrap_or(0);
        let path = self.path(&name)?;
        match kind {
            EntryType::Directory => {
                self.folder(&path)?;
                self.folders.insert(path, (mode, modified));
            }
            EntryType::Regular | EntryType::Continuous => {
                let new = self.create(&path)?;
                let bytes = fill(&mut entry, new, &path, mode, modified)?;
                self.done.bytes += bytes;
                self.done.files += 1;
            }
            EntryType::Symlink => {
                self.vacate(&path)?;
                self.links.insert(path, link.unwrap_or_default());
            }
            EntryType::Link => {
                let target = self.path(&link.unwrap_or_default())?;
                self.vacate(&path)?;
                self.twins.push((target, path));
            }
            _ => self.done.skipped += 1,
        }
        Ok(())
    }

    /// The place of an entry, below the root whatever its name says.
    fn path(&self, name: &[u8]) -> Result<PathBuf, Fault> {
        let is_sound = !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with(b"/");
        let mut path = self.root.clone();
        for component in name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
            path.push(local_component(component).ok_or_else(|| self.hostile(name))?);
        }
        if is_sound { Ok(path) } else { Err(self.hostile(name)) }
    }

    fn hostile(&self, name: &[u8]) -> Fault {
        let name = crate::output::sanitize::short(&String::from_utf8_lossy(name));
        Error::new(
            Code::Io,
            format!("`{}` on the workspace came with a name that is not safe: `{name}`", self.shown),
        )
        .hint("nothing was written")
        .into()
    }

    /// Makes a folder and those above it.
    fn folder(&mut self, path: &Path) -> Result<(), Fault> {
        if self.made.contains(path) {
            return Ok(());
        }
        let inside = path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        if path.ancestors().take(inside.components().count()).any(|above| self.links.contains_key(above)) {
            return Err(self.hostile(inside.as_os_str().as_encoded_bytes()));
        }
        fs::create_dir_all(path).map_err(|error| write_error(inside, error))?;
        self.made.insert(path.to_owned());
        Ok(())
    }

    /// A new file; one that came before under its name gives way.
    fn create(&mut self, path: &Path) -> Result<File, Fault> {
        if let Some(parent) = path.parent().filter(|_| path != self.root) {
            self.folder(parent)?;
        }
        self.links.remove(path);
        if let Ok(file) = File::create_new(path) {
            return Ok(file);
        }
        self.vacate(path)?;
        File::create_new(path).map_err(|error| write_error(path, error).into())
    }

    /// Makes room for a file or link: the folders above it, and nothing in its place. A later entry of a name wins.
    fn vacate(&mut self, path: &Path) -> Result<(), Fault> {
        if path == self.root {
            return Err(self.hostile(b"."));
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        self.links.remove(path);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(path, error).into()),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Unpacked, Fault> {
        for (target, path) in &self.twins {
            if let Some(link) = self.links.get(target).cloned() {
                self.links.insert(path.clone(), link); // a symbolic link of two names
                continue;
            }
            match fs::symlink_metadata(target) {
                Ok(metadata) if metadata.is_file() => {}
                _ => return Err(self.hostile(target.as_os_str().as_encoded_bytes())),
            }
            fs::hard_link(target, path).map_err(|error| write_error(path, error))?;
            self.done.files += 1;
        }
        for (path, target) in &self.links {
            if symlink(target, path).map_err(|error| write_error(path, error))? {
                self.done.files += 1;
            } else {
                self.done.skipped += 1;
            }
        }
        // Inner ones first: what is made in a folder changes its time.
        for (path, (mode, modified)) in self.folders.iter().rev() {
            let kept = platform::set_mode(path, mode | 0o700).and_then(|()| {
                if cfg!(windows) { Ok(()) } else { set_modified(&File::open(path)?, *modified) }
            });
            kept.map_err(|error| write_error(path, error))?;
        }
        Ok(self.done)
    }
}

fn fill(
    entry: &mut Entry<'_, impl Read>,
    mut file: File,
    path: &Path,
    mode: u32,
    modified: u64,
) -> Result<u64, Fault> {
    let failed = |error| Fault::Told(write_error(path, error));
    let size = entry.size();
    let mut chunk = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, super::talk::CHUNK)];
    let mut bytes = 0;
    loop {
        let read = entry.read(&mut chunk).map_err(|_| Fault::Cut)?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, chunk.get(..read).unwrap_or_default()).map_err(failed)?;
        bytes += read as u64;
    }
    if bytes != size {
        return Err(Fault::Cut);
    }
    if let Some(permissions) = platform::permissions(mode) {
        file.set_permissions(permissions).map_err(failed)?;
    }
    set_modified(&file, modified).map_err(failed)?;
    Ok(bytes)
}

/// Sets the time that the archive tells, in seconds since 1970; one that no clock here can show is left out.
fn set_modified(file: &File, seconds: u64) -> io::Result<()> {
    let is_sane = seconds < 1 << 33; // the year 2242
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| is_sane) {
        Some(time) => file.set_modified(time),
        None => Ok(()),
    }
}

/// A name of the box as one name of this machine, unless it means something else here.
pub(super) fn local_component(name: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    let name: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    #[cfg(not(unix))]
    let name: &OsStr = {
        let text = std::str::from_utf8(name).ok()?;
        let reserved = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
        if text.contains(reserved) || text.ends_with([' ', '.']) {
            return None;
        }
        OsStr::new(text)
    };
    if name.as_encoded_bytes().contains(&0) {
        return None;
    }
    let path = Path::new(name);
    let mut components = path.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Some(path.to_owned()),
        _ => None,
    }
}

/// Makes a symbolic link; whether this system has them.
#[cfg(unix)]
fn symlink(target: &[u8], path: &Path) -> io::Result<bool> {
    let target: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(target);
    std::os::unix::fs::symlink(target, path).map(|()| true)
}

#[cfg(not(unix))]
fn symlink(_target: &[u8], _path: &Path) -> io::Result<bool> {
    Ok(false)
}

/// What the fuzz target `archive` calls.
#[cfg(fuzzing)]
pub fn fuzz(mut archive: &[u8], stage: &Path) -> Option<u64> {
    unpack(&mut archive, stage, "x").ok().map(|unpacked| unpacked.files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_time_beyond_all_clocks_is_left_out() {
        for seconds in [u64::MAX, 1 << 62, i64::MAX as u64] {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            header.set_mtime(seconds);
            let mut folder = header.clone();
            folder.set_size(0);
            folder.set_entry_type(EntryType::Directory);
            let mut archive = tar::Builder::new(Vec::new());
            archive.append_data(&mut folder, "d", io::empty()).unwrap();
            archive.append_data(&mut header, "d/f", &b"x"[..]).unwrap();
            let stage = tempfile::tempdir().unwrap();
            let done = unpack(&mut &archive.into_inner().unwrap()[..], stage.path(), "x").unwrap();
            assert_eq!(done.files, 1);
            assert_eq!(fs::read(stage.path().join("t/d/f")).unwrap(), b"x");
        }
    }
}
