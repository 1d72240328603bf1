//! What is sent, as one tar archive: the folder as `t`, then `end`, which holds the SHA-256 of all that came before it.
//!
//! The workspace hashes what comes while it unpacks it beside the target, and moves nothing into place before both agree.
//!
//! The total length goes first, so a file that turns out shorter, or that cannot be read, is padded with zeros. The last
//! member, `end`, names such files after `-`, and the workspace removes them before it moves anything into place. `end` also
//! holds the new modes of folders that already exist, such as `755 =src`.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};

use tar::{EntryType, Header};

use crate::files::exchange::CHUNK;
use crate::files::hashing::Hash;
use crate::files::local::Opened;
use crate::files::local_tree::{Entry, EntryKind, Modified};
use crate::files::notes::Notes;
use crate::files::progress::Progress;
use crate::files::script;
use crate::files::tally::Missing;
use crate::files::watchdog::Watchdog;

/// What tar counts in.
const BLOCK: usize = 512;

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// The SHA-256 of the archive up to `end`.
    pub(super) sha256: Option<String>,
    /// The files that could not be sent with the size that the listing gave them.
    pub(super) missing: Missing,
    /// What the workspace noted of it.
    pub(super) notes: Notes,
}

/// The mode that a folder is to have which is there already.
#[derive(Debug)]
pub(super) struct FolderMode {
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
}

/// The workspace stopped reading before the end of the archive.
#[derive(Debug)]
pub(super) struct Unsent;

/// How long the archive of `entries` is up to `end`, in bytes: what the SHA-256 is of.
pub(super) fn length(entries: &[Entry]) -> u64 {
    let members = entries.iter().map(|entry| {
        let size = if let EntryKind::File(size) = entry.kind { size } else { 0 };
        head_of(entry).len() as u64 + size.next_multiple_of(BLOCK as u64)
    });
    first(entries).len() as u64 + members.sum::<u64>()
}

/// Writes the archive of `entries` to `to`.
pub(super) fn send(
    to: impl Write,
    entries: &[Entry],
    modes: &[FolderMode],
    progress: &mut Progress,
    watchdog: &Watchdog,
) -> Result<Sent, Unsent> {
    let mut to = Hashing { to: BufWriter::with_capacity(CHUNK, to), hash: Hash::default() };
    let mut sent = Sent::default();
    let (mut chunk, mut opened) = (vec![0; CHUNK], Opened::default());
    let mut end = Vec::new();
    let mut line = |word: &str, name: &[u8]| {
        end.extend_from_slice(format!("\n{word} ").as_bytes());
        end.extend_from_slice(&script::argument(name));
    };
    modes.iter().for_each(|folder| line(&format!("{:o}", folder.mode), &folder.name));
    to.put(&first(entries))?;
    for entry in entries {
        to.put(&head_of(entry))?;
        match &entry.kind {
            EntryKind::Folder => {}
            EntryKind::File(size) => {
                let found = opened.file(&entry.local);
                match file(&mut to, found, *size, &mut chunk, progress, watchdog)? {
                    Ok(()) => {
                        sent.bytes += size;
                        sent.files += 1;
                    }
                    Err(why) => {
                        sent.missing.add(&entry.local.shown().display().to_string(), &why);
                        line("-", &entry.name);
                    }
                }
            }
            EntryKind::Link(_) => sent.files += 1,
        }
    }
    let sha256 = to.hash.clone().hex();
    let end = [sha256.as_bytes(), &end, b"\n"].concat();
    let mut last = head(EntryType::Regular, b"end", b"", 0o600, 0, end.len() as u64);
    last.extend_from_slice(&end);
    last.resize(last.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0); // with the two empty blocks that end an archive
    to.put(&last)?;
    to.to.flush().map_err(|_| Unsent)?;
    sent.sha256 = Some(sha256);
    Ok(sent)
}

/// The folder itself, where the entries do not begin with it.
fn first(entries: &[Entry]) -> Vec<u8> {
    if entries.iter().any(|entry| entry.name.is_empty()) {
        return Vec::new();
    }
    head(EntryType::Directory, b"t", b"", 0o755, 0, 0)
}

fn head_of(entry: &Entry) -> Vec<u8> {
    let name = if entry.name.is_empty() { b"t".to_vec() } else { [b"t/", &entry.name[..]].concat() };
    let seconds = entry.modified.seconds;
    match &entry.kind {
        EntryKind::Folder => head(EntryType::Directory, &name, b"", entry.mode, seconds, 0),
        EntryKind::File(size) => {
            [exact_time(entry.modified), head(EntryType::Regular, &name, b"", entry.mode, seconds, *size)]
                .concat()
        }
        EntryKind::Link(target) => head(EntryType::Symlink, &name, target, 0o777, seconds, 0),
    }
}

/// The time with its nanoseconds, where they count: in a member of its own before the file's (POSIX pax, `mtime`). A tar
/// that does not know it passes it over.
fn exact_time(modified: Modified) -> Vec<u8> {
    if !modified.is_recent {
        return Vec::new();
    }
    let record = format!(" mtime={}.{:09}\n", modified.seconds, modified.nanos);
    let length = record.len() + 2; // its own two digits included: 99 is far
    let record = format!("{length}{record}");
    let mut bytes = block(EntryType::XHeader, b"mtime", b"", 0o644, 0, record.len() as u64).to_vec();
    bytes.extend_from_slice(record.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// What stands before a member's content. Names and links are written byte for byte; a long one in a member of its own,
/// as GNU tar has it.
fn head(kind: EntryType, name: &[u8], link: &[u8], mode: u32, modified: u64, size: u64) -> Vec<u8> {
    const FITS: usize = 99;
    let mut bytes = Vec::new();
    for (kind, text) in [(EntryType::GNULongLink, link), (EntryType::GNULongName, name)] {
        if text.len() > FITS {
            let length = text.len() + 1;
            bytes.extend_from_slice(&block(kind, b"././@LongLink", b"", 0o644, 0, length as u64));
            bytes.extend_from_slice(text);
            bytes.resize((bytes.len() + 1).next_multiple_of(BLOCK), 0);
        }
    }
    let short = |text: &[u8]| text.get(..text.len().min(FITS)).unwrap_or_default().to_vec();
    bytes.extend_from_slice(&block(kind, &short(name), &short(link), mode, modified, size));
    bytes
}

fn block(kind: EntryType, name: &[u8], link: &[u8], mode: u32, modified: u64, size: u64) -> [u8; BLOCK] {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.name.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        gnu.linkname.iter_mut().zip(link).for_each(|(to, from)| *to = *from);
    }
    header.set_cksum();
    *header.as_bytes()
}

/// The way to the workspace; what passes is hashed.
struct Hashing<W: Write> {
    to: BufWriter<W>,
    hash: Hash,
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        self.hash.update(bytes);
        self.to.write_all(bytes).map_err(|_| Unsent)
    }
}

/// Sends as many bytes of a file as its header promised, padded with zeros; `Err` says why padding was needed.
fn file<W: Write>(
    to: &mut Hashing<W>,
    found: io::Result<File>,
    size: u64,
    chunk: &mut [u8],
    progress: &mut Progress,
    watchdog: &Watchdog,
) -> Result<io::Result<()>, Unsent> {
    let mut left = size;
    let mut file = found.map(|file| watchdog.local(file));
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let part = chunk.get_mut(..wanted).unwrap_or_default();
        let read = match &mut file {
            Ok(file) => file.read(part),
            Err(_) => {
                part.fill(0);
                Ok(wanted)
            }
        };
        match read {
            Ok(0) => file = Err(io::Error::other("it shrank while it was read")),
            Ok(read) => {
                to.put(part.get(..read).unwrap_or_default())?;
                progress.add(read as u64);
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => file = Err(error),
        }
    }
    let padding = size.next_multiple_of(BLOCK as u64) - size;
    to.put([0; BLOCK].get(..usize::try_from(padding).unwrap_or_default()).unwrap_or_default())?;
    Ok(file.map(drop))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::files::local::Local;

    #[test]
    fn the_hash_is_of_what_the_length_says() {
        let local = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(local.path(), vec![7; 1025]).unwrap();
        let entry = |name: &[u8], kind| Entry {
            local: Local::of_file(local.path()).unwrap(),
            name: name.to_vec(),
            kind,
            mode: 0o640,
            modified: Modified { seconds: 12, nanos: 5, is_recent: name == b"empty" },
        };
        let long = |length| vec![b'n'; length];
        let all = [
            entry(b"", EntryKind::Folder),
            entry(b"a\nb\xff", EntryKind::File(1025)),
            entry(b"empty", EntryKind::File(0)),
            entry(&long(97), EntryKind::File(512)),
            entry(&long(98), EntryKind::File(1)),
            entry(&long(510), EntryKind::Folder),
            entry(&long(3000), EntryKind::Link(long(511))),
            entry(b"l", EntryKind::Link(b".//x/./y/".to_vec())),
        ];
        for entries in [&all[..], &all[1..], &all[..1], &[]] {
            let mut sent = Vec::new();
            let done = send(
                &mut sent,
                entries,
                &[],
                &mut Progress::new(None),
                &Watchdog::new(std::time::Duration::MAX),
            )
            .unwrap();
            let length = usize::try_from(length(entries)).unwrap();
            assert_eq!(done.sha256, Some(crate::files::hashing::sha256(&sent[..length])));
            let mut archive = tar::Archive::new(&sent[..]);
            let mut found = Vec::new();
            for member in archive.entries().unwrap() {
                let member = member.unwrap();
                let link = member.link_name_bytes().unwrap_or_default().into_owned();
                found.push((member.path_bytes().into_owned(), link, member.size()));
            }
            let last = found.pop().unwrap();
            assert_eq!((&last.0[..], last.2), (&b"end"[..], 65));
            if !entries.first().is_some_and(|entry| entry.name.is_empty()) {
                assert_eq!(found.remove(0).0, b"t");
            }
            for (found, entry) in found.iter().zip(entries) {
                assert!(found.0 == b"t" || found.0[2..] == entry.name);
                match &entry.kind {
                    EntryKind::Folder => {}
                    EntryKind::File(size) => assert_eq!(found.2, *size),
                    EntryKind::Link(target) => assert_eq!(&found.1, target),
                }
            }
            assert_eq!(found.len(), entries.len());
        }
    }

    /// One has disappeared, one is a folder by now, and one has shrunk. The others arrive.
    #[test]
    fn what_cannot_be_read_is_named_at_the_end() {
        let top = tempfile::tempdir().unwrap();
        for (name, content) in [("whole", "12"), ("short", "1"), ("last", "3")] {
            std::fs::write(top.path().join(name), content).unwrap();
        }
        std::fs::create_dir(top.path().join("other")).unwrap();
        let entries = ["whole", "gone", "other", "short", "last"].map(|name| Entry {
            local: Local::of_file(&top.path().join(name)).unwrap(),
            name: format!("{name}\n").into_bytes(),
            kind: EntryKind::File(if name == "last" { 1 } else { 2 }),
            mode: 0o640,
            modified: Modified { seconds: 12, nanos: 5, is_recent: false },
        });
        let mut archive = Vec::new();
        let watchdog = Watchdog::new(std::time::Duration::MAX);
        let modes = [FolderMode { name: b"d".to_vec(), mode: 0o700 }];
        let sent = send(&mut archive, &entries, &modes, &mut Progress::new(None), &watchdog).unwrap();
        assert_eq!((sent.files, sent.bytes), (2, 3));
        assert_eq!((sent.missing.unread.count, sent.missing.vanished.count), (2, 1));
        let hashed = usize::try_from(length(&entries)).unwrap();
        let sha256 = crate::files::hashing::sha256(&archive[..hashed]);
        let mut archive = tar::Archive::new(&archive[..]);
        let mut end = String::new();
        for member in archive.entries().unwrap() {
            end.clear();
            member.unwrap().read_to_string(&mut end).unwrap();
        }
        assert_eq!(end, format!("{sha256}\n700 =d\n- %gone\\0012\n- %other\\0012\n- %short\\0012\n"));
    }
}
