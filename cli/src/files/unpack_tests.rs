#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;
#[cfg(unix)]
use crate::files::links::prune;
#[cfg(unix)]
use crate::files::tally::Tally;
#[cfg(unix)]
use crate::sys::platform;

/// An archive in the making: kind, name, link target, content.
fn archive(members: &[(EntryType, &str, &str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, name, link, content) in members {
        let mut header = tar::Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o750 } else { 0o640 });
        header.set_mtime(1_234_567_890);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn unpacked(archive: &[u8]) -> (tempfile::TempDir, Result<Unpacked, ExchangeError>) {
    let stage = tempfile::tempdir().unwrap();
    let done = unpack(&mut &archive[..], &Folder::open(stage.path()).unwrap(), "x", AutorunFiles::default());
    (stage, done)
}

#[cfg(unix)]
const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
#[cfg(unix)]
const HARD_LINK: EntryType = EntryType::Link;
const DIR: EntryType = EntryType::Directory;

#[test]
fn a_time_beyond_all_clocks_is_left_out() {
    for seconds in [u64::MAX, 1 << 62, i64::MAX as u64] {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        header.set_mtime(seconds);
        let mut folder = header.clone();
        folder.set_size(0);
        folder.set_entry_type(DIR);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut folder, "d", io::empty()).unwrap();
        archive.append_data(&mut header, "d/f", &b"x"[..]).unwrap();
        let (stage, done) = unpacked(&archive.into_inner().unwrap());
        assert_eq!(done.unwrap().files, 1);
        assert_eq!(std::fs::read(stage.path().join("t/d/f")).unwrap(), b"x");
    }
}

#[cfg(unix)]
#[test]
fn names_and_links_that_lead_out_are_refused() {
    for members in [
        &[(FILE, "../f", "", "x")][..],
        &[(FILE, "/f", "", "x")],
        &[(FILE, "a/../../f", "", "x")],
        &[(FILE, "", "", "x")],
        &[(FILE, ".", "", "x")],
        &[(LINK, ".", "a", "")],
        &[(LINK, "l", "", "")],
        &[(LINK, "l", "..", ""), (FILE, "l/f", "", "x")],
        &[(LINK, "l", "d", ""), (DIR, "d", "", ""), (FILE, "l/f", "", "x")],
        &[(LINK, "l", "..", ""), (DIR, "l/d", "", "")],
        &[(LINK, "l", "..", ""), (LINK, "l/k", "x", "")],
        &[(LINK, "l", "..", ""), (HARD_LINK, "h", "l/f", "")],
        &[(FILE, "f", "", "x"), (LINK, "l", "..", ""), (HARD_LINK, "l/h", "f", "")],
        &[(FILE, "f", "", "x"), (FILE, "f/g", "", "x")],
        &[(DIR, "d", "", ""), (FILE, "d", "", "x")],
        &[(DIR, "d", "", ""), (LINK, "d", "..", "")],
        &[(HARD_LINK, "h", "../f", "")],
        &[(HARD_LINK, "h", "f", "")],
        &[(HARD_LINK, "h", "h", "")],
        &[(DIR, "d", "", ""), (HARD_LINK, "h", "d", "")],
    ] {
        let (stage, done) = unpacked(&archive(members));
        assert!(matches!(done, Err(ExchangeError::Told(_))), "{members:?}");
        assert_eq!(std::fs::read_dir(stage.path()).unwrap().count(), 1, "{members:?}");
    }
}

#[cfg(unix)]
#[test]
fn what_leads_out_is_removed_and_named() {
    let members = [
        (DIR, ".", "", ""),
        (DIR, "d", "", ""),
        (LINK, "d/out", "../..", ""),
        (LINK, "d/in", "../f", ""),
        (LINK, "abs", "/etc/passwd", ""),
        (HARD_LINK, "d/twin", "abs", ""),
        (LINK, "d/now-a-file", "/etc", ""),
        (FILE, "d/now-a-file", "", "x"),
        (FILE, "f", "", "x"),
    ];
    let (stage, done) = unpacked(&archive(&members));
    assert!(done.unwrap().has_links);
    let mut left_out = Tally::default();
    let root = Folder::open(&stage.path().join(ROOT)).unwrap();
    let leads_out = |at: &[OsString], target: &[u8]| links::inside(at, target).is_none();
    prune(&root, &mut Vec::new(), &mut left_out, &leads_out).unwrap();
    left_out.named.sort();
    assert_eq!(left_out.named, ["abs -> /etc/passwd", "d/out -> ../..", "d/twin -> /etc/passwd"]);
    let here = |name: &str| stage.path().join(ROOT).join(name);
    assert_eq!(std::fs::read_link(here("d/in")).unwrap(), std::path::Path::new("../f"));
    for folder in [".", "d"] {
        let found = std::fs::metadata(here(folder)).unwrap();
        let modified = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(
            (platform::mode_of(&found) & 0o777, modified.as_secs()),
            (0o750, 1_234_567_890),
            "{folder}"
        );
    }
}

/// Members in any order: a folder that is entered once more has the mode and time that it was given.
#[cfg(unix)]
#[test]
fn folders_keep_their_time_in_any_order() {
    let members = [
        (FILE, "a/b/one", "", "1"),
        (DIR, "a", "", ""),
        (DIR, "c", "", ""),
        (FILE, "c/d", "", "2"),
        (DIR, "a/b", "", ""),
        (FILE, "a/b/two", "", "3"),
        (FILE, "a/three", "", "4"),
        (FILE, "c/e", "", "5"),
    ];
    let (stage, done) = unpacked(&archive(&members));
    assert_eq!(done.unwrap().files, 5);
    for folder in ["a", "a/b", "c"] {
        let found = std::fs::metadata(stage.path().join(ROOT).join(folder)).unwrap();
        let modified = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(
            (platform::mode_of(&found) & 0o777, modified.as_secs()),
            (0o750, 1_234_567_890),
            "{folder}"
        );
    }
}

/// A reader that repeats one piece without end.
struct Endless {
    piece: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = to.len().min(self.piece.len() - self.at);
        to[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at = (self.at + count) % self.piece.len();
        Ok(count)
    }
}

#[test]
fn what_never_ends_is_refused() {
    let long = |kind: EntryType, length: usize| archive(&[(kind, "x", "", &"y".repeat(length))]);
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 1024); // without the two blocks that end an archive
        bytes
    };
    for (first, piece) in [
        (vec![], vec![0; 4096]),                                // what follows the end
        (vec![], cut(long(EntryType::XGlobalHeader, 500_000))), // headers for nothing
        (vec![], cut(long(EntryType::Block, 3_000_000))),       // devices with content
        (vec![], cut(long(DIR, 3_000_000))),                    // folders and links with content
        (vec![], cut(archive(&[(LINK, "l", "a", &"y".repeat(3_000_000))]))),
        (vec![], long(EntryType::GNULongLink, 100_000)), // one name that is too long
        (vec![], long(EntryType::XHeader, 100_000)),
        (cut(long(EntryType::GNULongLink, 60_000)), archive(&[(LINK, "l", "", "")])), // a target that is
    ] {
        let stage = tempfile::tempdir().unwrap();
        let mut from = io::Cursor::new(first).chain(Endless { piece, at: 0 });
        let done = unpack(&mut from, &Folder::open(stage.path()).unwrap(), "x", AutorunFiles::default());
        assert!(matches!(done, Err(ExchangeError::Told(_))), "{done:?}");
    }
}
