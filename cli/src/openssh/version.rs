//! Which OpenSSH this is, and what is known to be wrong with it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Code, Error, Result};
use crate::openssh::told;
use crate::output::foreign::FileName as _;

/// An OpenSSH release. Distributions fix older ones without changing the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// The release below which the client is worth a warning: 9.6 closed Terrapin.
pub const RECOMMENDED: Version = Version(9, 6);

/// A published weakness of the client that matters to a connection of ours.
#[derive(Debug)]
pub struct Weakness {
    fixed_in: Version,
    /// Its CVE number.
    pub name: &'static str,
    /// What it lets whom do.
    pub what: &'static str,
}

/// From the release notes at openssh.com/security.html. What needs a setting that our configs turn off is not here:
/// CVE-2025-26465 (VerifyHostKeyDNS), CVE-2023-38408 (a forwarded agent).
const WEAKNESSES: [Weakness; 3] = [
    Weakness {
        fixed_in: Version(9, 6),
        name: "CVE-2023-48795",
        what: "Terrapin: someone in the middle can cut off the start of a session",
    },
    Weakness {
        fixed_in: Version(9, 6),
        name: "CVE-2023-51385",
        what: "names with shell characters run commands through other hosts' ProxyCommand",
    },
    Weakness {
        fixed_in: Version(10, 1),
        name: "CVE-2025-61984",
        what: "user names with control characters run commands through other hosts' ProxyCommand",
    },
];

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// Asks `ssh -V`; the version when it is an OpenSSH, and the line that it printed.
    pub fn of(ssh: &Path) -> Result<(Option<Version>, String)> {
        let output = Command::new(ssh)
            .arg("-V")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::io(format_args!("run {}", ssh.named()), error))?;
        let text =
            String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
        let line = text.lines().next().unwrap_or_default().to_owned();
        if let Some(error) = told::without_user(&line) {
            return Err(error);
        }
        if !output.status.success() {
            return Err(Error::new(Code::Error, format!("`{} -V` fails: {line}", ssh.display())));
        }
        Ok((Version::parse(&line), line))
    }

    /// Reads `OpenSSH_9.2p1 …` or `OpenSSH_for_Windows_9.5p1, …`.
    pub fn parse(line: &str) -> Option<Version> {
        let rest = line.strip_prefix("OpenSSH_")?;
        let rest = rest.strip_prefix("for_Windows_").unwrap_or(rest);
        let (major, rest) = rest.split_once('.')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        Some(Version(major.parse().ok()?, rest.get(..digits)?.parse().ok()?))
    }

    /// What this release is known for.
    pub fn weaknesses(self) -> Vec<&'static Weakness> {
        WEAKNESSES.iter().filter(|weakness| self < weakness.fixed_in).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_judged() {
        let line = "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026";
        assert_eq!(Version::parse(line), Some(Version(9, 2)));
        assert_eq!(Version::parse("OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2"), Some(Version(9, 5)));
        assert_eq!(Version::parse("OpenSSH_10.2, LibreSSL"), Some(Version(10, 2)));
        for other in
            ["", "Dropbear v2022.83", "OpenSSH_", "OpenSSH_9", "OpenSSH_x.y", "OpenSSH_99999999999.1"]
        {
            assert_eq!(Version::parse(other), None, "{other}");
        }
        assert!(Version(9, 2).weaknesses().iter().any(|weakness| weakness.name == "CVE-2023-48795"));
        assert_eq!(Version(9, 6).weaknesses().len(), 1);
        assert!(Version(10, 1).weaknesses().is_empty() && Version(10, 0) > RECOMMENDED);
    }
}
