//! Paths as scp, docker and kubectl write them, `HOST:PATH`: here the workspace stands apart from its paths.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::session::Sessions;
use crate::session::resolve::is_workspace;

/// A path with a host before it.
#[derive(Debug, PartialEq, Eq)]
struct HostPath<'a> {
    host: &'a str,
    path: &'a str,
}

impl<'a> HostPath<'a> {
    /// What scp(1) would take for one: a colon before the first slash. `ssh:HOST` and `ssh://HOST` are hosts in themselves.
    fn parse(text: &'a OsStr) -> Option<HostPath<'a>> {
        let text = text.to_str()?;
        let end = match text.strip_prefix("ssh:") {
            Some(rest) => match rest.strip_prefix("//") {
                Some(rest) => rest.find('/').map_or(text.len(), |at| text.len() - rest.len() + at),
                None => rest.find(':').map_or(text.len(), |at| text.len() - rest.len() + at),
            },
            None => text.find(':').filter(|at| !text[..*at].contains('/'))?,
        };
        let (host, path) = text.split_at(end);
        let host = host.strip_prefix("runcode.").unwrap_or(host); // as `config-ssh` names it
        let path = path.strip_prefix(':').unwrap_or(path);
        let is_drive = cfg!(windows) && host.len() == 1;
        (!host.is_empty() && !is_drive)
            .then_some(HostPath { host, path: if path.is_empty() { "." } else { path } })
    }
}

/// Refuses a path on the workspace with the name of a workspace before it. `command` is how the verb is written with the
/// path alone, whose place `PATH` holds.
pub fn refuse_remote(text: &OsStr, command: &str, sessions: &Sessions<'_>) -> Result<()> {
    let found = HostPath::parse(text).filter(|found| is_workspace(found.host, sessions));
    let refused = found.map(|found| refusal(text, "paths here stand without the workspace", &found, command));
    refused.map_or(Ok(()), Err)
}

/// As [`refuse_remote`], for a path of this machine; one that is there is what it says.
pub fn refuse_local(text: &Path, command: &str, sessions: &Sessions<'_>) -> Result<()> {
    if text.exists() {
        return Ok(());
    }
    let found = HostPath::parse(text.as_os_str()).filter(|found| is_workspace(found.host, sessions));
    let refused =
        found.map(|found| refusal(text.as_os_str(), "here stands a path of this machine", &found, command));
    refused.map_or(Ok(()), Err)
}

fn refusal(text: &OsStr, why: &str, found: &HostPath<'_>, command: &str) -> Error {
    let text = text.to_string_lossy();
    let (host, path) = (foreign::argument(found.host), foreign::argument(found.path));
    Error::new(
        Code::Usage,
        format!("{} begins with the name of a workspace, and {why}", foreign::file(&text)),
    )
    .hint(format!(
        "write it as `runcode {} -w {host}`; a file of that very name is {}",
        command.replace("PATH", path),
        foreign::file(&format!("./{text}"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_ends_at_the_first_colon() {
        for (text, host, path) in [
            ("web:src/", "web", "src/"),
            ("web:", "web", "."),
            ("web:/etc/hosts", "web", "/etc/hosts"),
            ("web:a:b", "web", "a:b"),
            ("me@host:x", "me@host", "x"),
            ("12:30", "12", "30"),
            ("runcode.web:x", "web", "x"),
            ("ssh:box:src", "ssh:box", "src"),
            ("ssh:box", "ssh:box", "."),
            ("ssh://me@box:22/x", "ssh://me@box:22", "/x"),
            ("ssh://box", "ssh://box", "."),
        ] {
            assert_eq!(HostPath::parse(text.as_ref()), Some(HostPath { host, path }), "{text}");
        }
        for plain in ["web", "./web:src", "/web:src", "a/b:c", "~/web:x", ":x", ""] {
            assert_eq!(HostPath::parse(plain.as_ref()), None, "{plain}");
        }
    }
}
