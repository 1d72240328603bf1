//! What is sent, as one tar archive: the folder as `t`, then the SHA-256 of every file in it, then `end`.
//!
//! The box unpacks it beside the target and has `sha256sum -c` read back what it has written, so that the check goes from
//! our read to its disk. Names that not every `sha256sum` takes stand in a list of their own.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::error::{Code, Error};
use crate::transport::files::flow::{self, Hash};
use crate::transport::files::local_tree::{Entry, Kind};
use crate::transport::files::progress::Progress;
use crate::transport::files::script;
use crate::transport::files::talk::CHUNK;

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// The SHA-256 of the lists.
    pub(super) sha256: Option<String>,
}

/// Why an archive was not sent to its end.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Something here could not be read.
    Here(Error),
    /// The box takes no more.
    There,
}

/// Writes the archive of `entries` to `to`.
pub(super) fn send(to: impl Write, entries: &[Entry], progress: &mut Progress) -> Result<Sent, Unsent> {
    let mut archive = Builder::new(BufWriter::with_capacity(CHUNK, to));
    let mut sent = Sent::default();
    let (mut sums, mut odd) = (Vec::new(), Vec::new());
    if !entries.iter().any(|entry| entry.name.is_empty()) {
        folder(&mut archive, b"t", 0o755, 0)?;
    }
    for entry in entries {
        let name = if entry.name.is_empty() { b"t".to_vec() } else { [b"t/", &entry.name[..]].concat() };
        match &entry.kind {
            Kind::Folder => folder(&mut archive, &name, entry.mode, entry.modified)?,
            Kind::File(size) => {
                let hash = file(&mut archive, &name, entry, *size, progress)?;
                list(&entry.name, &hash, &mut sums, &mut odd);
                sent.bytes += size;
                sent.files += 1;
            }
            Kind::Link(target) => {
                let mut header = header(EntryType::Symlink, 0o777, entry.modified, 0);
                archive.append_link(&mut header, path(&name)?, path(target)?).map_err(there)?;
                sent.files += 1;
            }
        }
    }
    sent.sha256 = Some(flow::sha256(&[&sums[..], &odd].concat()));
    for (name, content) in [("sums", sums), ("odd", odd), ("end", Vec::new())] {
        let mut header = header(EntryType::Regular, 0o600, 0, content.len() as u64);
        archive.append_data(&mut header, name, &content[..]).map_err(there)?;
    }
    let mut to = archive.into_inner().map_err(there)?;
    to.flush().map_err(there)?;
    Ok(sent)
}

fn there(_: io::Error) -> Unsent {
    Unsent::There
}

fn header(kind: EntryType, mode: u32, modified: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn folder<W: Write>(archive: &mut Builder<W>, name: &[u8], mode: u32, modified: u64) -> Result<(), Unsent> {
    let mut header = header(EntryType::Directory, mode, modified, 0);
    archive.append_data(&mut header, path(name)?, io::empty()).map_err(there)
}

fn file<W: Write>(
    archive: &mut Builder<W>,
    name: &[u8],
    entry: &Entry,
    size: u64,
    progress: &mut Progress,
) -> Result<String, Unsent> {
    let here = |error| Unsent::Here(Error::io(format_args!("read `{}`", entry.local.display()), error));
    let mut content = Exactly {
        file: File::open(&entry.local).map_err(here)?,
        left: size,
        hash: Hash::default(),
        failed: None,
        progress,
    };
    let mut header = header(EntryType::Regular, entry.mode, entry.modified, size);
    let appended = archive.append_data(&mut header, path(name)?, &mut content);
    if let Some(error) = content.failed {
        return Err(here(error));
    }
    if appended.is_ok() && content.left > 0 {
        let shown = entry.local.display();
        let error = Error::new(Code::Io, format!("`{shown}` became shorter while it was read"));
        return Err(Unsent::Here(error.hint("nothing was changed; run the command again")));
    }
    appended.map_err(there)?;
    Ok(content.hash.hex())
}

/// As much of a file as its header promised, hashed.
struct Exactly<'a> {
    file: File,
    left: u64,
    hash: Hash,
    failed: Option<io::Error>,
    progress: &'a mut Progress,
}

impl Read for Exactly<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(to.len());
        match self.file.read(to.get_mut(..wanted).unwrap_or_default()) {
            Ok(read) => {
                self.hash.update(to.get(..read).unwrap_or_default());
                self.progress.add(read as u64);
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

/// Adds a line for a file to one of the lists: `sha256sum -c` reads the one, our script the other.
fn list(name: &[u8], hash: &str, sums: &mut Vec<u8>, odd: &mut Vec<u8>) {
    let is_odd = name.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\');
    if is_odd {
        let argument = script::octal(&[b"./", name].concat());
        odd.extend_from_slice(format!("{hash} %").as_bytes());
        let spaces = |byte: u8| if byte == b' ' { b"\\0040".to_vec() } else { vec![byte] };
        odd.extend(argument.into_iter().flat_map(spaces));
        odd.push(b'\n');
    } else {
        sums.extend_from_slice(format!("{hash}  ./").as_bytes());
        sums.extend_from_slice(name);
        sums.push(b'\n');
    }
}

#[cfg(unix)]
fn path(name: &[u8]) -> Result<&std::path::Path, Unsent> {
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    Ok(name.as_ref())
}

#[cfg(not(unix))]
fn path(name: &[u8]) -> Result<&std::path::Path, Unsent> {
    let name = std::str::from_utf8(name).map_err(|_| Unsent::There)?;
    Ok(name.as_ref())
}
