//! The project folder on the box.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A plain absolute path on the box: `/` and `[A-Za-z0-9._/@+,:=~-]`, no `..`, at most 4096 bytes. It needs no
/// quoting in any shell, and is quoted all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Workdir(String);

impl Workdir {
    /// Parses a path.
    pub fn parse(text: &str) -> Result<Workdir, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@+,:=~-".contains(&byte);
        let plain = text.starts_with('/')
            && text.len() <= 4096
            && text.bytes().all(allowed)
            && !text.split('/').any(|component| component == "..");
        if plain { Ok(Workdir(text.to_owned())) } else { Err("is not a plain absolute path") }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
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
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Workdir {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Workdir, &'static str> {
        Workdir::parse(&text)
    }
}

impl From<Workdir> for String {
    fn from(workdir: Workdir) -> String {
        workdir.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
