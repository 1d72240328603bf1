//! A host of the user's own, as `ssh` takes it on its command line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::grant::Port;
use crate::sys::digest::sha256;

/// The longest destination, in bytes.
const MAX: usize = 255;

/// What a shell, a `ProxyCommand` or a glob could read as more than a name (CVE-2023-51385).
const REFUSED: &[u8] = b"'\"`$&;<>|(){}*?!#\\";

/// `[user@]host` or `ssh://[user@]host[:port]`, as typed (ssh(1)). ssh never reads one as an option, and there is nothing in
/// it that a shell would run.
///
/// Two texts are two destinations, even where they lead to one machine: what each means is for ssh to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination(String);

impl Destination {
    /// Parses what follows `ssh:`; a whole `ssh://…` is fine too.
    pub fn parse(text: &str) -> Result<Destination, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.len() > MAX {
            return Err("is longer than 255 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a blank, a control character or a letter outside ASCII");
        }
        if text.bytes().any(|byte| REFUSED.contains(&byte)) {
            return Err("has a character that is special to a shell");
        }
        let rest = match text.strip_prefix("ssh://") {
            Some(rest) => without_port(rest)?,
            None if text.contains('/') => return Err("has a `/`, which no host name has"),
            None => text,
        };
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        if user == Some("") || host.is_empty() {
            return Err("lacks the user before the `@`, or the host");
        }
        if [Some(text), user, Some(host)].into_iter().flatten().any(|part| part.starts_with('-')) {
            return Err("starts with `-`, as an option does");
        }
        if let Some((name, port)) = host.split_once(':')
            && !text.starts_with("ssh://")
            && !name.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err("has a port, which only `ssh://host:port` takes");
        }
        Ok(Destination(text.to_owned()))
    }

    /// As ssh takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user that it names.
    pub fn user(&self) -> Option<&str> {
        self.parts().0
    }

    /// The host that it names, as written, without brackets.
    pub fn host(&self) -> &str {
        self.parts().1
    }

    /// Whether it names a port.
    pub fn has_port(&self) -> bool {
        self.parts().2
    }

    fn parts(&self) -> (Option<&str>, &str, bool) {
        let (rest, has_port) = match self.0.strip_prefix("ssh://") {
            Some(rest) => without_port(rest).map_or((rest, false), |bare| (bare, bare.len() < rest.len())),
            None => (&*self.0, false),
        };
        let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        (user, host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), has_port)
    }

    /// The first 16 hexadecimal digits of its SHA-256: a folder name that is the same on every run.
    pub fn digest(&self) -> String {
        sha256(self.0.as_bytes())[..16].to_owned()
    }
}

/// `rest` of an `ssh://` URI, without the port.
fn without_port(rest: &str) -> Result<&str, &'static str> {
    if rest.contains('/') {
        return Err("has a path, which ssh does not take");
    }
    // The colons of an address are inside its brackets.
    let after_address = rest.rfind(']').map_or(0, |end| end + 1);
    let after_user = rest.rfind('@').map_or(0, |at| at + 1);
    let Some(colon) = rest[after_address.max(after_user)..].find(':') else { return Ok(rest) };
    let colon = after_address.max(after_user) + colon;
    let port = &rest[colon + 1..];
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u64>().is_ok_and(|port| Port::try_from(port).is_ok());
    if is_port { Ok(&rest[..colon]) } else { Err("has no port between 1 and 65535 after its colon") }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Destination {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Destination, &'static str> {
        Destination::parse(&text)
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> String {
        destination.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn destinations_that_ssh_takes() {
        for good in [
            "box",
            "me@box",
            "me@corp.example@box",
            "10.0.0.1",
            "::1",
            "fe80::1%eth0",
            "me@2001:db8::1",
            "ssh://box",
            "ssh://me@box:2222",
            "ssh://[::1]",
            "ssh://me@[2001:db8::1]:65535",
            "a_b-c.d+e=f,g~h",
            &"x".repeat(255),
        ] {
            assert_eq!(Destination::parse(good).map(|it| it.as_str().to_owned()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn bad_destinations_are_refused() {
        for bad in [
            "",
            "-oProxyCommand=id",
            "me@-oProxyCommand=id",
            "-l@box",
            "ssh://-oProxyCommand=id",
            "ssh://-me@box",
            "ssh://me@-box",
            "@box",
            "me@",
            "ssh://",
            "ssh://@box",
            "ssh://me@",
            "ssh://:22",
            "ssh://box:",
            "ssh://box:0",
            "ssh://box:65536",
            "ssh://box:+22",
            "ssh://box:22/",
            "ssh://box/path",
            "ssh://[::1]:x",
            "box/path",
            "box:22",
            "me@box:22",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "a\u{7f}",
            "böx",
            "ａ",
            &"x".repeat(256),
        ] {
            assert!(Destination::parse(bad).is_err(), "{bad:?}");
        }
        for special in REFUSED {
            let text = format!("a{}b", char::from(*special));
            assert!(Destination::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_destination_has_parts() {
        for (text, user, host, has_port) in [
            ("box", None, "box", false),
            ("me@corp.example@box", Some("me@corp.example"), "box", false),
            ("fe80::1%eth0", None, "fe80::1%eth0", false),
            ("ssh://me@[2001:db8::1]:22", Some("me"), "2001:db8::1", true),
            ("ssh://box", None, "box", false),
        ] {
            let destination = Destination::parse(text).unwrap();
            let parts = (destination.user(), destination.host(), destination.has_port());
            assert_eq!(parts, (user, host, has_port), "{text}");
        }
    }

    #[test]
    fn a_destination_is_one_argument_of_every_shell() {
        let safe = |byte: u8| {
            byte.is_ascii_graphic() && Destination::parse(&format!("a{}", char::from(byte))).is_ok()
        };
        let taken = (0..=127).filter(|byte| safe(*byte)).map(char::from).collect::<String>();
        for shell in ["sh", "bash", "dash"] {
            let line = format!("printf %s {taken}");
            let Ok(output) = std::process::Command::new(shell).args(["-c", &line]).output() else { continue };
            assert_eq!(String::from_utf8_lossy(&output.stdout), taken, "{shell}");
        }
    }

    #[test]
    fn the_folder_name_is_stable() {
        assert_eq!(Destination::parse("my-build-box").unwrap().digest().len(), 16);
        assert_ne!(Destination::parse("a").unwrap().digest(), Destination::parse("b").unwrap().digest());
        let stored = serde_json::to_string(&Destination::parse("me@box").unwrap()).unwrap();
        assert_eq!(stored, r#""me@box""#);
        assert!(serde_json::from_str::<Destination>(r#""-oX""#).is_err());
    }
}
