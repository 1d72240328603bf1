//! Names of the workspace as names of this machine.

use std::ffi::{OsStr, OsString};

/// The longest path that is believed (`PATH_MAX`, limits.h(0p)), and how deep it may lead.
const PATH: usize = 4096;
const DEPTH: usize = 512;

/// A name of the workspace as one name of this machine, unless it means something else here.
pub(super) fn component(name: &[u8]) -> Option<OsString> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        return None;
    }
    #[cfg(unix)]
    let name: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    #[cfg(not(unix))]
    let name: &OsStr = OsStr::new(std::str::from_utf8(name).ok().filter(|name| is_plain_on_windows(name))?);
    Some(name.to_owned())
}

/// The names in a relative path that leads down only; none when it is not one.
pub(super) fn path(name: &[u8]) -> Option<Vec<OsString>> {
    if name.is_empty() || name.len() > PATH || name.starts_with(b"/") {
        return None;
    }
    let parts = name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(component).collect::<Option<Vec<_>>>().filter(|names| names.len() <= DEPTH)
}

/// Whether Windows takes `name` for a file of exactly that name: no stream (`a:b`), no device, whatever follows its name
/// (`NUL`, `con.txt`, `COM1 .log`, `LPT¹`), nothing that it drops (`a.`, `a `) or that steers a pattern.
/// Source: Microsoft, "Naming Files, Paths, and Namespaces".
#[cfg(any(windows, test))]
fn is_plain_on_windows(name: &str) -> bool {
    const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
    let is_odd = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let is_port = port.is_some_and(|rest| {
        let mut rest = rest.chars();
        matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    });
    !(name.contains(is_odd) || name.ends_with([' ', '.']) || DEVICES.contains(&&*stem) || is_port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn windows_devices_and_streams_are_no_names() {
        for name in [
            "NUL",
            "nul",
            "Con.txt",
            "con.tar.gz",
            "COM1",
            "com9.log",
            "LPT¹",
            "lpt².x",
            "COM0",
            "AUX .c",
            "CONIN$",
            "a:b",
            "a::$DATA",
            "a.",
            "a ",
            "a\\b",
            "a?",
            "\u{1}",
            "...",
        ] {
            assert!(!is_plain_on_windows(name), "{name:?}");
        }
        for name in [
            "a",
            "null",
            "CONSOLE",
            "COM10",
            "COM",
            "LPTX",
            ".git",
            "a.nul",
            "auxiliary.c",
            " a",
            "é世.txt",
            "Icon",
        ] {
            assert!(is_plain_on_windows(name), "{name:?}");
        }
    }

    #[test]
    fn a_path_leads_down_or_is_none() {
        for bad in ["", "/a", "..", "a/..", "a/../b", "a/b/../../..", "a\0b"] {
            assert_eq!(path(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(path(b"./a//./b/").unwrap(), ["a", "b"]);
        assert_eq!(path(b".").unwrap(), [""; 0]);
        assert!(path("a/".repeat(600).as_bytes()).is_none() && path(&[b'a'; 5000]).is_none());
    }
}
