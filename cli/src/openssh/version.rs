//! Which OpenSSH this is, and what is known to be wrong with it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
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
    fix: Fix,
    /// Its CVE number.
    pub name: &'static str,
    /// What it lets whom do.
    pub what: &'static str,
}

/// How a client shows that it has the fix, whatever its number says.
#[derive(Debug)]
enum Fix {
    /// Its program holds this text.
    Holds(&'static str),
    /// It refuses this host.
    RefusesHost(&'static str),
    /// It refuses this user.
    RefusesUser(&'static str),
}

/// How much of the client's program is searched, in bytes: that of OpenSSH 10 has one million.
const MOST: u64 = 16 * 1024 * 1024;

/// From the release notes at openssh.com/security.html. What needs a setting that our configs turn off is not here:
/// CVE-2025-26465 (VerifyHostKeyDNS), CVE-2023-38408 (a forwarded agent).
const WEAKNESSES: [Weakness; 3] = [
    Weakness {
        fixed_in: Version(9, 6),
        fix: Fix::Holds("kex-strict-c-v00@openssh.com"),
        name: "CVE-2023-48795",
        what: "Terrapin: someone in the middle can cut off the start of a session",
    },
    Weakness {
        fixed_in: Version(9, 6),
        fix: Fix::RefusesHost("a;b"),
        name: "CVE-2023-51385",
        what: "names with shell characters run commands through other hosts' ProxyCommand",
    },
    Weakness {
        fixed_in: Version(10, 1),
        fix: Fix::RefusesUser("a\u{1}b"),
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

    /// What is wrong with `ssh`, which is of this release. Distributions fix older releases, so the program itself is asked.
    pub fn weaknesses(self, ssh: &Path) -> Vec<&'static Weakness> {
        let known = WEAKNESSES.iter().filter(|weakness| self < weakness.fixed_in);
        known.filter(|weakness| !weakness.fix.is_in(ssh)).collect()
    }
}

impl Fix {
    fn is_in(&self, ssh: &Path) -> bool {
        match self {
            Fix::Holds(text) => holds(ssh, text.as_bytes()),
            // What refuses every host, such as one without `-G`, shows nothing.
            Fix::RefusesHost(host) => takes(ssh, &["host"]) && !takes(ssh, &[host]),
            Fix::RefusesUser(user) => takes(ssh, &["host"]) && !takes(ssh, &["-l", user, "host"]),
        }
    }
}

fn holds(program: &Path, text: &[u8]) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(program).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    read.is_ok() && memchr::memmem::find(&bytes, text).is_some()
}

/// Whether `ssh` says where these arguments would lead; nothing is connected.
fn takes(ssh: &Path, arguments: &[impl AsRef<OsStr>]) -> bool {
    let mut command = Command::new(ssh);
    command.args(["-F", "none", "-G"]).args(arguments);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
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
        let nowhere = Path::new("/nonexistent/ssh");
        let first = |version: Version| version.weaknesses(nowhere).first().map(|weakness| weakness.name);
        assert_eq!(first(Version(9, 2)), Some("CVE-2023-48795"));
        assert_eq!(Version(9, 6).weaknesses(nowhere).len(), 1);
        assert_eq!(first(Version(10, 1)), None);
        assert!(Version(10, 0) > RECOMMENDED);
    }

    /// As a distribution patches an old release; and one that knows no `-G`, which shows nothing.
    #[cfg(unix)]
    #[test]
    fn a_patched_release_is_told_by_what_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let weaknesses = |script: &str| {
            let ssh = folder.path().join("ssh");
            std::fs::write(&ssh, format!("#!/bin/sh\n{script}\n")).unwrap();
            crate::sys::platform::set_mode(&ssh, 0o700).unwrap();
            Version(9, 2).weaknesses(&ssh).iter().map(|weakness| weakness.name).collect::<Vec<_>>()
        };
        let checks = r#"for word; do case $word in *';'*|*"$(printf '\001')"*) exit 255; esac; done"#;
        let strict = "# kex-strict-c-v00@openssh.com";
        assert_eq!(weaknesses(&format!("{strict}\n{checks}")), [""; 0]);
        assert_eq!(weaknesses(strict), ["CVE-2023-51385", "CVE-2025-61984"]);
        assert_eq!(weaknesses(checks), ["CVE-2023-48795"]);
        assert_eq!(weaknesses("exit 255").len(), 3);
    }
}
