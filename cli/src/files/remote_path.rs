//! Paths on the workspace.

use std::ffi::OsStr;

use crate::error::{Code, Error, Result};
use crate::files::script;
use crate::grant::Workdir;
use crate::output::sanitize;

/// A path on the workspace as the user gave it: any bytes. A relative one starts in the project folder, or in the home
/// folder where there is none; one that begins with `~/` starts in the home folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePath {
    from_home: bool,
    bytes: Vec<u8>,
    /// The project folder that it starts in: how long it is, and how it is shown.
    start: Option<(usize, String)>,
}

impl RemotePath {
    /// The path that `text` means.
    pub fn parse(text: &OsStr, workdir: Option<&Workdir>) -> Result<RemotePath> {
        let bytes = text.as_encoded_bytes();
        if bytes.is_empty() {
            return Err(Error::new(Code::Usage, "a path on the workspace cannot be empty"));
        }
        if bytes.contains(&0) {
            return Err(Error::new(Code::Usage, "a path on the workspace has no NUL in it"));
        }
        if cfg!(windows) && text.to_str().is_none() {
            return Err(Error::new(Code::Usage, "a path on the workspace is not valid Unicode"));
        }
        Ok(match bytes {
            [b'/', ..] => RemotePath { from_home: false, bytes: bytes.to_vec(), start: None },
            b"~" => RemotePath { from_home: true, bytes: b".".to_vec(), start: None },
            [b'~', b'/', rest @ ..] => {
                RemotePath { from_home: true, bytes: [b"./", rest].concat(), start: None }
            }
            _ => match workdir {
                Some(workdir) if let Some(below) = workdir.below_home() => {
                    let bytes = [b"./", below.as_bytes(), b"/", bytes].concat();
                    RemotePath { from_home: true, bytes, start: None }
                }
                Some(workdir) => {
                    let start = workdir.as_str().trim_end_matches('/');
                    let bytes = [start.as_bytes(), bytes].join(&b'/');
                    let brief = workdir.brief().trim_end_matches('/').to_owned();
                    RemotePath { from_home: false, bytes, start: Some((start.len(), brief)) }
                }
                None => RemotePath { from_home: true, bytes: [b"./", bytes].concat(), start: None },
            },
        })
    }

    /// Whether it can only be a folder: it ends in `/`, `.` or `..`.
    pub fn names_a_folder(&self) -> bool {
        matches!(self.bytes.rsplit(|&byte| byte == b'/').next(), Some(b"" | b"." | b".."))
    }

    /// The path of `name` below it.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> RemotePath {
        let mut bytes = self.bytes.clone();
        if bytes.last() != Some(&b'/') {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        RemotePath { bytes, ..self.clone() }
    }

    /// The last name in it; none where it has none of its own (`/`, `.`, `..`).
    pub fn file_name(&self) -> Option<&[u8]> {
        let end = self.bytes.iter().rposition(|&byte| byte != b'/')?;
        let name = self.bytes.get(..=end)?.rsplit(|&byte| byte == b'/').next()?;
        (!matches!(name, b"." | b"..")).then_some(name)
    }

    /// As an argument of our scripts.
    pub(super) fn argument(&self) -> Vec<u8> {
        let argument = script::argument(&self.bytes);
        if self.from_home { [b"~".to_vec(), argument].concat() } else { argument }
    }

    /// For people: as the user gave it, below a project folder that is cut when it is long.
    pub fn shown(&self) -> String {
        let home = if self.from_home { "~/" } else { "" };
        let (known, start) = self.start.as_ref().map_or((0, ""), |(length, brief)| (*length, brief.as_str()));
        let path = start.to_owned() + &String::from_utf8_lossy(self.bytes.get(known..).unwrap_or_default());
        let parts = path.split('/').filter(|part| *part != ".").collect::<Vec<_>>();
        let root = if parts == [""] { "/" } else { "" };
        sanitize::line(&format!("{home}{root}{}", parts.join("/"))).into_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn where_a_path_starts_and_what_it_names() {
        let parse = |text: &str| RemotePath::parse(text.as_ref(), Some(&Workdir::default())).unwrap();
        for (text, argument, folder, name) in [
            ("a b", "=/home/ubuntu/workspace/a b", false, Some("a b")),
            ("-n", "=/home/ubuntu/workspace/-n", false, Some("-n")),
            ("/x/y/", "=/x/y/", true, Some("y")),
            ("~/x", "~=./x", false, Some("x")),
            ("~x", "=/home/ubuntu/workspace/~x", false, Some("~x")),
            ("~", "~=.", true, None),
            (".", "=/home/ubuntu/workspace/.", true, None),
            ("a/..", "=/home/ubuntu/workspace/a/..", true, None),
            ("/", "=/", true, None),
            ("é", "%/home/ubuntu/workspace/\\0303\\0251", false, Some("é")),
        ] {
            let path = parse(text);
            assert_eq!(String::from_utf8(path.argument()).unwrap(), argument);
            assert_eq!(path.names_a_folder(), folder, "{text}");
            assert_eq!(path.file_name(), name.map(str::as_bytes), "{text}");
        }
        for (text, shown) in [
            (".", "/home/ubuntu/workspace"),
            ("./x", "/home/ubuntu/workspace/x"),
            ("a/././b", "/home/ubuntu/workspace/a/b"),
            ("/.", "/"),
            ("/", "/"),
            ("a/", "/home/ubuntu/workspace/a/"),
            ("~", "~/"),
            ("~/./x", "~/x"),
            ("a/.b/..", "/home/ubuntu/workspace/a/.b/.."),
        ] {
            assert_eq!(parse(text).shown(), shown, "{text}");
        }
        assert!(RemotePath::parse("".as_ref(), Some(&Workdir::default())).is_err());
        assert!(RemotePath::parse("a\0b".as_ref(), None).is_err(), "the rest would be left out");
        let path = RemotePath::parse("a b".as_ref(), None).unwrap();
        assert_eq!((path.argument(), path.shown()), (b"~=./a b".to_vec(), "~/a b".to_owned()));
    }
}
