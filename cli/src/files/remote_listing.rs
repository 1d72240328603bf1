//! What is at the target already, as the workspace lists it, and what of ours that leaves to send.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read as _};

use crate::error::{Code, Error, Result};
use crate::files::archive::FolderMode;
use crate::files::exchange::ExchangeError;
use crate::files::local_tree::{Entry, EntryKind};
use crate::output::foreign;

/// The longest record that is read.
const RECORD: u64 = 64 * 1024;

/// How many records are read, and how many bytes.
const RECORDS: u64 = if cfg!(test) { 1000 } else { 20_000_000 };
const BYTES: u64 = 8 << 30;

/// How the workspace lists: by `find -printf`, NUL between all; or by `stat`, a line each, links without their target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Printf,
    Stat,
}

/// Something at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    kind: SeenKind,
    mode: u32,
    /// Seconds since 1970, and nanoseconds; 0 where they are not told.
    modified: (u64, u32),
    /// The SHA-256 of its content, where it was asked for.
    sha256: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SeenKind {
    Folder,
    File(u64),
    Link(Option<Vec<u8>>),
    Other,
}

/// What is at the target, by path.
#[derive(Debug, Default)]
pub(super) struct Listing(HashMap<Vec<u8>, Seen>);

impl Listing {
    /// Reads a listing to the mark at its end, and keeps what it says of `entries`: a workspace that lists without end costs
    /// no memory. What cannot be understood counts as not there.
    pub(super) fn read(
        from: &mut impl BufRead,
        format: Format,
        mark: &str,
        entries: &[Entry],
    ) -> Result<Listing, ExchangeError> {
        let ours = entries.iter().map(|entry| entry.name.as_slice()).collect::<HashSet<_>>();
        let end = if format == Format::Printf { 0 } else { b'\n' };
        let (mut records, mut total) = (0, 0);
        let mut record = || -> Result<Vec<u8>, ExchangeError> {
            let mut bytes = Vec::new();
            if records > RECORDS || total > BYTES {
                let error =
                    Error::new(Code::Io, "the list of what is at the target on the workspace does not end");
                return Err(error.hint("put into a folder with less in it").into());
            }
            from.take(RECORD).read_until(end, &mut bytes).map_err(|_| ExchangeError::Cut)?;
            records += 1;
            total += bytes.len() as u64;
            if bytes.pop() == Some(end) { Ok(bytes) } else { Err(ExchangeError::Cut) }
        };
        let mut listing = Listing::default();
        loop {
            let first = record()?;
            if first == mark.as_bytes() {
                return Ok(listing);
            }
            let entry = match format {
                Format::Printf => printf(&first, record()?),
                Format::Stat => stat(&first),
            };
            if let Some((name, seen)) = entry.filter(|(name, _)| ours.contains(name.as_slice())) {
                listing.0.insert(name, seen);
            }
        }
    }

    /// Reads what the files that are there contain: a line of `sha256sum` each, to the mark. A name that it escapes, and one that
    /// does not come, counts as another content.
    pub(super) fn read_hashes(&mut self, from: &mut impl BufRead, mark: &str) -> Result<(), ExchangeError> {
        for _ in 0..RECORDS {
            let mut line = Vec::new();
            from.take(RECORD).read_until(b'\n', &mut line).map_err(|_| ExchangeError::Cut)?;
            if line.pop() != Some(b'\n') {
                return Err(ExchangeError::Cut);
            }
            if line == mark.as_bytes() {
                return Ok(());
            }
            let Some((hash, [_, _, name @ ..])) = line.split_at_checked(64) else { continue };
            if let (Some(seen), Ok(hash)) = (self.0.get_mut(&plain(name)), std::str::from_utf8(hash)) {
                seen.sha256 = Some(hash.to_owned());
            }
        }
        Err(ExchangeError::Cut)
    }

    /// Whether the content of a file is not what is there.
    pub(super) fn differs(&self, entry: &Entry) -> bool {
        let there = self.0.get(&entry.name).and_then(|seen| seen.sha256.as_deref());
        let is_file = matches!(entry.kind, EntryKind::File(_));
        is_file && (there.is_none() || there != entry.local.sha256().ok().as_deref())
    }

    /// The mode that the folder `entry`, which is there, is to have and has not. A folder that is merged into keeps what its
    /// mode denies, and one with special bits (such as `/tmp`) keeps all of it.
    pub(super) fn new_mode(&self, entry: &Entry) -> Option<FolderMode> {
        let there = self.0.get(&entry.name).filter(|seen| seen.kind == SeenKind::Folder)?.mode;
        let denied = if entry.name.is_empty() { there | 0o1000 } else { 0o1777 };
        let mode = entry.mode & denied;
        let is_wanted = entry.kind == EntryKind::Folder && there & 0o7000 == 0 && there != mode && cfg!(unix);
        is_wanted.then(|| FolderMode { name: entry.name.clone(), mode })
    }

    /// Whether `entry` has to be sent; an error when something of another kind is in its place.
    pub(super) fn lacks(&self, entry: &Entry, target: &str) -> Result<bool> {
        let Some(seen) = self.0.get(&entry.name) else { return Ok(true) };
        match (&entry.kind, &seen.kind) {
            (EntryKind::Folder, SeenKind::Folder) => Ok(false),
            (EntryKind::Folder, _) | (_, SeenKind::Folder) => {
                let name = foreign::file(&String::from_utf8_lossy(&entry.name));
                let target = foreign::file(target);
                Err(Error::new(
                    Code::Io,
                    format!("{name} in {target} on the workspace is in the way: it is of another kind"),
                )
                .hint("move it away first; nothing was changed"))
            }
            (EntryKind::File(size), SeenKind::File(there)) => {
                let (ours, (seconds, nanos)) = (entry.modified, seen.modified);
                let differs = ours.nanos != nanos && ours.nanos != 0 && nanos != 0;
                Ok((*size, entry.mode, ours.seconds) != (*there, seen.mode & 0o777, seconds) || differs)
            }
            (EntryKind::Link(target), SeenKind::Link(Some(there))) => Ok(target != there),
            _ => Ok(true),
        }
    }
}

/// The seconds, as they stand, and the nanoseconds of `<seconds>[.<fraction>]`.
pub(super) fn split_time(text: &str) -> Option<(&str, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    Some((seconds, format!("{fraction:0<9}").get(..9)?.parse().ok()?))
}

fn time(text: &str) -> Option<(u64, u32)> {
    let (seconds, nanos) = split_time(text)?;
    Some((seconds.parse().ok()?, nanos))
}

/// `<type> <octal mode> <size> <time> <name>` and the link's target.
fn printf(record: &[u8], link: Vec<u8>) -> Option<(Vec<u8>, Seen)> {
    let (words, name) = words::<4>(record)?;
    let kind = match words[0] {
        "d" => SeenKind::Folder,
        "f" => SeenKind::File(words[2].parse().ok()?),
        "l" => SeenKind::Link(Some(link)),
        _ => SeenKind::Other,
    };
    let mode = u32::from_str_radix(words[1], 8).ok()? & 0o7777;
    Some((plain(name), Seen { kind, mode, modified: time(words[3])?, sha256: None }))
}

/// `<hexadecimal st_mode> <size> <seconds> <name>`.
fn stat(record: &[u8]) -> Option<(Vec<u8>, Seen)> {
    let (words, name) = words::<3>(record)?;
    let mode = u32::from_str_radix(words[0], 16).ok()?;
    let kind = match mode & 0o170_000 {
        0o040_000 => SeenKind::Folder,
        0o100_000 => SeenKind::File(words[1].parse().ok()?),
        0o120_000 => SeenKind::Link(None),
        _ => SeenKind::Other,
    };
    Some((plain(name), Seen { kind, mode: mode & 0o7777, modified: time(words[2])?, sha256: None }))
}

fn words<const N: usize>(record: &[u8]) -> Option<([&str; N], &[u8])> {
    let mut parts = record.splitn(N + 1, |&byte| byte == b' ');
    let mut words = [""; N];
    for word in &mut words {
        *word = std::str::from_utf8(parts.next()?).ok()?;
    }
    Some((words, parts.next()?))
}

/// A name without its leading `./`, as ours are.
fn plain(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::files::local::Local;
    use crate::files::local_tree::Modified;

    fn entry(name: &str, kind: EntryKind) -> Entry {
        let modified = Modified { seconds: 12, nanos: 500, is_recent: false };
        let local = Local::of_file("/x".as_ref()).unwrap();
        Entry { local, name: name.into(), kind, mode: 0o644, modified }
    }

    #[test]
    fn both_formats_say_the_same() {
        let ours = ["", "a\nb", "a b", "l"].map(|name| entry(name, EntryKind::Folder));
        let printf = b"d 755 4 9 .\0\0f 644 3 12 ././a\nb\0\0l 777 1 5 ./l\0to\0MARK\0";
        let listing = Listing::read(&mut &printf[..], Format::Printf, "MARK", &ours).unwrap();
        assert!(!listing.lacks(&entry("", EntryKind::Folder), "t").unwrap());
        assert!(!listing.lacks(&entry("a\nb", EntryKind::File(3)), "t").unwrap());
        assert!(listing.lacks(&entry("a\nb", EntryKind::File(4)), "t").unwrap());
        assert!(!listing.lacks(&entry("l", EntryKind::Link(b"to".into())), "t").unwrap());
        assert!(listing.lacks(&entry("l", EntryKind::Link(b"else".into())), "t").unwrap());
        assert!(listing.lacks(&entry("a\nb", EntryKind::Folder), "t").is_err());
        assert!(listing.lacks(&entry("new", EntryKind::File(0)), "t").unwrap());
        assert_eq!(listing.0.len(), 3);
        let other = Listing::read(&mut &printf[..], Format::Printf, "MARK", &ours[..1]).unwrap();
        assert_eq!(other.0.len(), 1, "what is not ours is not kept");
        let stat = b"41ed 4 9 .\n81a4 3 12 ./a b\na1ff 1 5 ./l\nMARK\n";
        let listing = Listing::read(&mut &stat[..], Format::Stat, "MARK", &ours).unwrap();
        assert!(!listing.lacks(&entry("a b", EntryKind::File(3)), "t").unwrap());
        assert!(listing.lacks(&entry("l", EntryKind::Link(b"to".into())), "t").unwrap());
        assert!(listing.lacks(&entry("", EntryKind::File(3)), "t").is_err());
    }

    #[test]
    fn content_is_compared_where_it_is_known() {
        let local = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(local.path(), "abc").unwrap();
        let ours = ["same", "other", "unknown"].map(|name| Entry {
            local: Local::of_file(local.path()).unwrap(),
            ..entry(name, EntryKind::File(3))
        });
        let listed = b"f 644 3 12 ./same\0\0f 644 3 12 ./other\0\0f 644 3 12 ./unknown\0\0MARK\0";
        let mut listing = Listing::read(&mut &listed[..], Format::Printf, "MARK", &ours).unwrap();
        let hash = crate::sys::digest::sha256(b"abc");
        let hashes = format!("{hash}  ./same\n{}  ./other\n\\{hash}  ./unknown\nx\nMARK\n", "0".repeat(64));
        listing.read_hashes(&mut hashes.as_bytes(), "MARK").unwrap();
        assert_eq!(ours.each_ref().map(|entry| listing.differs(entry)), [false, true, true]);
        assert!(listing.read_hashes(&mut &hashes.as_bytes()[..70], "MARK").is_err());
    }

    #[test]
    fn folders_get_the_mode_that_is_sent() {
        for (name, there, ours, wanted) in [
            ("s", "755", 0o700, Some(0o700)),
            ("s", "700", 0o755, Some(0o755)),
            ("s", "755", 0o755, None),
            ("s", "755", 0o555, Some(0o555)),
            ("s", "555", 0o555, None),
            ("", "555", 0o755, None),
            ("", "755", 0o700, Some(0o700)),
            ("", "700", 0o755, None),
            ("", "777", 0o1777, Some(0o1777)),
            ("s", "777", 0o1777, Some(0o1777)),
            ("", "755", 0o1777, Some(0o1755)),
            ("", "1777", 0o755, None),
            ("s", "2775", 0o755, None),
        ] {
            let listed = format!("d {there} 4 9 ./{name}\0\0MARK\0");
            let ours = [Entry { mode: ours, ..entry(name, EntryKind::Folder) }];
            let listing = Listing::read(&mut listed.as_bytes(), Format::Printf, "MARK", &ours).unwrap();
            assert_eq!(listing.new_mode(&ours[0]).map(|folder| folder.mode), wanted, "{name} {there}");
        }
    }

    #[test]
    fn nanoseconds_count_where_both_sides_tell_them() {
        for (there, is_lacking) in [
            ("12", false),
            ("12.0000000000", false),
            ("12.0000005000", false),
            ("12.0000005010", true),
            ("13", true),
        ] {
            let listed = format!("f 644 3 {there} a\0\0MARK\0");
            let ours = [entry("a", EntryKind::File(3))];
            let listing = Listing::read(&mut listed.as_bytes(), Format::Printf, "MARK", &ours).unwrap();
            assert_eq!(listing.lacks(&ours[0], "t").unwrap(), is_lacking, "{there}");
        }
    }

    #[test]
    fn a_listing_without_end_is_refused() {
        for (format, end) in [(Format::Printf, 0), (Format::Stat, b'\n')] {
            let mut endless = std::io::BufReader::new(std::io::repeat(end));
            let read = Listing::read(&mut endless, format, "MARK", &[]);
            assert!(matches!(read, Err(ExchangeError::Told(_))));
        }
    }

    #[test]
    fn nonsense_is_no_listing_and_no_panic() {
        for bytes in [&b""[..], b"x", b"d 755\0", b"f 644 3 12 a\0"] {
            assert!(Listing::read(&mut &*bytes, Format::Printf, "MARK", &[]).is_err());
        }
        let odd = b"f 9 \xff 12 a\0\0 \0\0MARK\0";
        assert!(
            Listing::read(&mut &odd[..], Format::Printf, "MARK", &[entry("a", EntryKind::Folder)])
                .unwrap()
                .0
                .is_empty()
        );
    }
}
