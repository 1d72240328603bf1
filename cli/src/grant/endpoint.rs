//! The gateway's address and the user there.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A gateway and the user there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The gateway's name or address.
    pub host: Host,
    /// Its TCP port.
    pub port: Port,
    /// The SSH user, which is the workspace's title.
    pub user: SshUser,
}

/// A DNS name in lower case, a dotted-quad IPv4 address, or a bare canonical IPv6 address (RFC 1123, RFC 5952).
///
/// Never: an empty label, a leading `-`, brackets, a zone, or a number that resolvers read as an address
/// (`2130706433`, `0x7f.1`; WHATWG URL, "ends in a number").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// Parses a host.
    pub fn parse(text: &str) -> Result<Host, &'static str> {
        if text.contains(':') {
            return match text.parse::<Ipv6Addr>() {
                Ok(address) if address.to_string() == text => Ok(Host(text.to_owned())),
                Ok(_) => Err("is not a canonical IPv6 address"),
                Err(_) => Err("is not a host name"),
            };
        }
        if text.is_empty() || text.len() > 253 {
            return Err("is not between 1 and 253 bytes long");
        }
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !text.split('.').all(is_label) {
            return Err("is not a host name");
        }
        let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_number && text.parse::<Ipv4Addr>().is_err() {
            return Err("is a number that could be read as another address");
        }
        Ok(Host(text.to_ascii_lowercase()))
    }

    /// The host as ssh takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A TCP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Port(u16);

impl Port {
    /// Parses a JSON integer; never a string, a fraction, an exponent or a truth value.
    pub fn from_json(value: &serde_json::Value) -> Result<Port, &'static str> {
        value.as_u64().ok_or("is not a whole number")?.try_into()
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for Port {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Port, &'static str> {
        match u16::try_from(number) {
            Ok(number) if number > 0 => Ok(Port(number)),
            _ => Err("is not between 1 and 65535"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user name that no shell, no ssh_config token and no option parser can read as anything else: 1 to 64 of
/// `[A-Za-z0-9._-]`, the first a letter, a digit or `_` (CVE-2023-51385, CVE-2025-61984).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshUser(String);

impl SshUser {
    /// Parses a user name.
    pub fn parse(text: &str) -> Result<SshUser, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 64 {
            Err("is not between 1 and 64 bytes long")
        } else if !text.bytes().all(allowed) {
            Err("has a character other than letters, digits, `.`, `_` and `-`")
        } else if text.starts_with(['.', '-']) {
            Err("starts with `.` or `-`")
        } else {
            Ok(SshUser(text.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SshUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Host {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Host, &'static str> {
        Host::parse(&text)
    }
}

impl TryFrom<String> for SshUser {
    type Error = &'static str;

    fn try_from(text: String) -> Result<SshUser, &'static str> {
        SshUser::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> String {
        host.0
    }
}

impl From<SshUser> for String {
    fn from(user: SshUser) -> String {
        user.0
    }
}

impl From<Port> for u64 {
    fn from(port: Port) -> u64 {
        port.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hosts() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = vec!["a".repeat(60); 5].join(".");
        for good in [
            "ssh.ws.runcode.io",
            "localhost",
            "127.0.0.1",
            "::1",
            "2001:db8::1",
            "a-b.c_d",
            "1.example",
            "SSH.Example",
        ] {
            assert!(Host::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a.",
            ".a",
            "-a",
            "a.-b",
            "a-",
            "a b",
            "a\n",
            "a\0",
            "a%h",
            "${x}",
            "a@b",
            "[::1]",
            "::1%eth0",
            "0:0:0:0:0:0:0:1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "127.1",
            "0177.0.0.1",
            "256.1.1.1",
            "1.2.3.4.5",
            "é.example",
            "a/b",
            "a\\b",
            "a'b",
            long.as_str(),
            longer.as_str(),
            "2001:DB8::1",
            "0x",
            "ａ",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(Port::from_json(&json!(2222)).map(Port::number), Ok(2222));
        for bad in [
            json!(true),
            json!(22.9),
            json!(22.0),
            json!("22"),
            json!("2_2"),
            json!("２２"),
            json!(1e9),
            json!([22]),
            json!(0),
            json!(65536),
            json!(-1),
            json!(null),
            json!({}),
        ] {
            assert!(Port::from_json(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn users() {
        for good in ["royal-tree-08189931", "a", "_x", "A.b_c-d", "7up"] {
            assert!(SshUser::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a\n",
            "a\0",
            "a b",
            "a'",
            "a\"",
            "a%r",
            "${a}",
            "a@b",
            "-a",
            ".a",
            "a;b",
            "ä",
            &"a".repeat(65),
            "a\u{7f}",
        ] {
            assert!(SshUser::parse(bad).is_err(), "{bad:?}");
        }
    }
}
