//! The project folder on the workspace.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::output::foreign;

/// A folder on the workspace. A control plane's is a plain absolute path: `/` and `[A-Za-z0-9._/@+,:=~-]`, no `..`, at most
/// 4096 bytes. One that the user names may be any absolute path, or start in the home folder with `~/`. It is quoted wherever
/// a shell reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Workdir(String);

impl Workdir {
    /// Parses what the user names: an absolute path, `~`, or `~/…`, without control characters.
    pub fn parse_own(text: &str) -> Result<Workdir, &'static str> {
        let is_path = text.starts_with('/') || text == "~" || text.starts_with("~/");
        if !is_path {
            Err("starts with neither `/` nor `~/`")
        } else if text.len() > 4096 || text.chars().any(char::is_control) {
            Err("is longer than 4096 bytes, or has a control character in it")
        } else {
            Ok(Workdir(text.to_owned()))
        }
    }

    /// Parses a folder that the user names from `workdir`, or from the home folder where there is none.
    pub fn below(workdir: Option<&Workdir>, text: &str) -> Result<Workdir, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.starts_with('/') || text == "~" || text.starts_with("~/") {
            return Workdir::parse_own(text);
        }
        let start = workdir.map_or("~", |workdir| workdir.0.trim_end_matches('/'));
        Workdir::parse_own(&format!("{start}/{text}"))
    }

    /// The part below the home folder, for a path that starts there; `.` is that folder itself.
    pub fn below_home(&self) -> Option<&str> {
        let below = self.0.strip_prefix('~')?.trim_start_matches('/');
        Some(if below.is_empty() { "." } else { below })
    }

    /// Parses what a control plane names.
    pub fn parse(text: &str) -> Result<Workdir, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@+,:=~-".contains(&byte);
        let plain = text.starts_with('/')
            && text.len() <= 4096
            && text.bytes().all(allowed)
            && !text.split('/').any(|component| component == "..");
        if plain { Ok(Workdir(text.to_owned())) } else { Err("is not a plain absolute path") }
    }

    /// The path itself: for the workspace, for files and for JSON. For people there is `Display`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without quotes and at most 256 characters of it, for a sentence that a shell prints.
    pub fn brief(&self) -> String {
        match self.0.char_indices().nth(foreign::PATH) {
            Some((end, _)) => format!("{}...", self.0.get(..end).unwrap_or_default()),
            None => self.0.clone(),
        }
    }
}

impl Default for Workdir {
    /// Where hosted workspaces keep the project.
    fn default() -> Workdir {
        Workdir("/home/ubuntu/workspace".to_owned())
    }
}

impl fmt::Display for Workdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        foreign::path(&self.0).fmt(f)
    }
}

impl TryFrom<String> for Workdir {
    type Error = &'static str;

    /// From a file of ours: whoever named it was asked before.
    fn try_from(text: String) -> Result<Workdir, &'static str> {
        Workdir::parse_own(&text)
    }
}

impl From<Workdir> for String {
    fn from(workdir: Workdir) -> String {
        workdir.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn people_are_shown_a_bounded_quoted_path() {
        let long = format!("/{}", "a".repeat(4000));
        let workdir = Workdir::parse(&long).unwrap();
        assert_eq!(workdir.as_str(), long);
        assert_eq!((workdir.to_string().chars().count(), workdir.brief().len()), (258, 259));
        assert_eq!(Workdir::default().to_string(), "\"/home/ubuntu/workspace\"");
    }

    #[test]
    fn the_users_own_may_be_any_path() {
        for (good, below) in [
            ("/", None),
            ("/a b/$(x)'\"`é\\*", None),
            ("/..", None),
            ("~", Some(".")),
            ("~/", Some(".")),
            ("~/a b", Some("a b")),
            ("~//a", Some("a")),
        ] {
            assert_eq!(
                Workdir::parse_own(good).map(|it| it.below_home().map(str::to_owned)),
                Ok(below.map(str::to_owned))
            );
        }
        for bad in
            ["", "a", "./a", "~a", "~root/x", "/a\nb", "/a\0", "/\u{85}", &format!("/{}", "a".repeat(4096))]
        {
            assert!(Workdir::parse_own(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_folder_starts_in_the_workdir() {
        let workdir = |text: &str| Workdir::parse_own(text).unwrap();
        for (start, text, path) in [
            (Some("/w"), "a b", "/w/a b"),
            (Some("/"), "a", "/a"),
            (Some("~/w"), "../x", "~/w/../x"),
            (Some("/w"), "/x", "/x"),
            (Some("/w"), "~/x", "~/x"),
            (Some("/w"), "~x", "/w/~x"),
            (None, "a", "~/a"),
        ] {
            let found = Workdir::below(start.map(workdir).as_ref(), text).unwrap();
            assert_eq!(found.as_str(), path, "{start:?} {text}");
        }
        for bad in ["", "a\nb", &"a".repeat(4096)] {
            assert!(Workdir::below(None, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_plain_absolute_paths() {
        for good in ["/", "/home/ubuntu/workspace", "/a.b/c_d-e+f@g", "/tmp/..x"] {
            assert!(Workdir::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "./a",
            "~/a",
            "/a/../b",
            "/..",
            "/a b",
            "/a;b",
            "/$(x)",
            "/`x`",
            "/a\nb",
            "/a'b",
            "/a\"b",
            "/a|b",
            "/a&b",
            "/é",
            "/a*",
            "/a\\b",
            "/a%b",
            &format!("/{}", "a".repeat(4096)),
        ] {
            assert!(Workdir::parse(bad).is_err(), "{bad:?}");
        }
    }
}
