//! Reads what the workspace's `tar` said about its archive: whether it is complete, lacks a few files, or is broken.

use crate::files::tally::Missing;
use crate::output::sanitize;

/// How many bytes of it to read.
const KEPT: usize = 256 * 1024;

/// What follows an archive: zero padding, then our script's report.
#[derive(Debug, Default)]
pub(super) struct Rest(Vec<u8>);

impl std::io::Write for Rest {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let start = if self.0.is_empty() { bytes.iter().position(|&byte| byte != 0) } else { Some(0) };
        let room = KEPT.saturating_sub(self.0.len());
        self.0.extend(bytes.iter().skip(start.unwrap_or(bytes.len())).take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Rest {
    /// What the archive lacks; `None` if more went wrong than a few missing files.
    ///
    /// The status cannot tell the two apart: GNU tar always ends with 2, busybox and libarchive with 1. So every line must be
    /// one that affects a single file. Our script makes tar write them in English.
    pub(super) fn missing(&self) -> Option<Missing> {
        let text = String::from_utf8_lossy(&self.0);
        let (status, said) = text.trim_start().split_once('\n')?;
        let mut missing = Missing::default();
        if status == "0" {
            return Some(missing);
        }
        let (mut lines, mut harmless) = (said.lines().filter(|line| !line.trim().is_empty()).peekable(), 0);
        lines.peek()?;
        for line in lines {
            let line = line.strip_prefix("tar: ").unwrap_or(line);
            let lower = line.to_lowercase();
            if let Some(name) = line.strip_suffix(": Permission denied") {
                missing.unread.add(|| format!("{} (permission denied)", sanitize::short(plain(name))));
            } else if let Some(name) = line
                .strip_suffix(": File removed before we read it")
                .or_else(|| line.strip_suffix(": No such file or directory"))
            {
                missing.vanished.add(|| sanitize::short(plain(name)));
            } else if ["file changed as we read it", "socket ignored"].iter().any(|end| lower.ends_with(end))
                || lower.contains("previous errors")
            {
                harmless += 1;
            } else {
                return None;
            }
        }
        let is_explained = harmless > 0 || missing != Missing::default();
        is_explained.then_some(missing)
    }
}

/// The file's name in a message from tar: `./a: Cannot open`, `can't open './a'`.
fn plain(said: &str) -> &str {
    let said = said.rsplit_once(": ").map_or(said, |(name, _)| name);
    let quoted = said.split_once('\'').and_then(|(_, rest)| rest.split_once('\'')).map(|_| said);
    let name = match quoted.and_then(|said| said.strip_suffix('\'')) {
        Some(said) => said.split_once(" '").map_or(said, |(_, name)| name),
        None => said,
    };
    name.strip_prefix("./").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::io::Write as _;

    use super::*;

    fn read(status: u8, said: &str) -> Option<Missing> {
        let mut rest = Rest::default();
        rest.write_all(&[0; 512]).unwrap();
        rest.write_all(format!("\0\n{status}\n{said}").as_bytes()).unwrap();
        rest.missing()
    }

    #[test]
    fn every_tar_names_what_it_left_out() {
        for said in [
            "tar: ./d/a b: Cannot open: Permission denied\ntar: Exiting with failure status due to previous errors",
            "tar: can't open './d/a b': Permission denied\ntar: error exit delayed from previous errors",
            "tar: ./d/a b: Cannot open: Permission denied\ntar: Error exit delayed from previous errors.",
        ] {
            let missing = read(2, said).unwrap();
            assert_eq!(missing.unread.named, ["d/a b (permission denied)"], "{said}");
        }
        let gone = read(1, "tar: ./x: File removed before we read it").unwrap();
        assert_eq!((gone.vanished.named, gone.unread.count), (vec!["x".to_owned()], 0));
        let gone = read(1, "tar: ./x: Cannot stat: No such file or directory").unwrap();
        assert_eq!(gone.vanished.named, ["x"]);
        assert_eq!(read(1, "tar: ./x: file changed as we read it"), Some(Missing::default()));
        assert_eq!(read(0, "whatever"), Some(Missing::default()));
    }

    #[test]
    fn anything_else_is_no_archive() {
        for (status, said) in [
            (1, "tar: ./a: File shrank by 3 bytes; padding with zeros"),
            (2, "tar: ./a: Read error at byte 0, while reading 10 bytes: Input/output error"),
            (2, "tar: ./a: Cannot open: Permission denied\ntar: write error: No space left on device"),
            (2, ""),
            (137, ""),
        ] {
            assert_eq!(read(status, said), None, "{said}");
        }
        for bytes in [&b""[..], &[0; 9], b"0", b"\xff\n\xff"] {
            let mut rest = Rest::default();
            rest.write_all(bytes).unwrap();
            assert_eq!(rest.missing(), None);
        }
    }
}
