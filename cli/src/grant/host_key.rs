//! Host keys: what a bundle's `known_hosts` text may contribute to our pins.

use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;

use crate::grant::endpoint::{Host, Port};

/// How many keys a gateway may have.
const MAX_KEYS: usize = 16;

/// How long a key's base64 may be; RSA with 16384 bits takes 2756.
const MAX_BLOB: usize = 4096;

/// The key types that may be pinned: no DSA, no certificates.
const ALGORITHMS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// One or more host keys, each as `algorithm base64`. Under which name they are pinned is ours to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Pins(Vec<String>);

impl Pins {
    /// The keys that `text`, in known_hosts format (sshd(8)), holds for exactly this host and port.
    ///
    /// Lines with a marker, a pattern, a hashed name, another host's name, or a key whose label and blob differ
    /// contribute nothing.
    pub fn parse(text: &str, host: &Host, port: Port) -> Result<Pins, &'static str> {
        let bracketed = format!("[{host}]:{port}");
        let names_us = |name: &str| {
            name.eq_ignore_ascii_case(&bracketed)
                || (port.number() == 22 && name.eq_ignore_ascii_case(host.as_str()))
        };
        let mut keys = Vec::new();
        for line in text.lines() {
            if keys.len() == MAX_KEYS {
                break;
            }
            let mut fields = line.split([' ', '\t']).filter(|field| !field.is_empty());
            let (Some(names), Some(algorithm), Some(blob)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if names.starts_with(['@', '#', '|']) || names.contains(['*', '?', '!']) {
                continue;
            }
            if names.split(',').any(names_us)
                && let Ok(key) = parse_key(algorithm, blob)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err("has no usable key for this host and port");
        }
        Ok(Pins(keys))
    }

    /// The lines of a known_hosts file that pins these keys to `name`, which must be one of our own aliases.
    pub fn known_hosts(&self, name: &str) -> String {
        self.0.iter().map(|key| format!("{name} {key}\n")).collect()
    }
}

/// The host keys that servers.toml pins: keys of the host itself, and of authorities whose certificates it may show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ServerPins(Vec<ServerPin>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPin {
    is_authority: bool,
    key: String,
}

/// The type of the keys that sign with this algorithm, if they can be pinned.
pub fn pinned_type(algorithm: &str) -> Option<&'static str> {
    let name = match algorithm {
        "rsa-sha2-512" | "rsa-sha2-256" => "ssh-rsa", // RFC 8332
        name => name,
    };
    ALGORITHMS.into_iter().find(|known| *known == name)
}

/// The algorithms that such keys sign with, for an ssh that does not list the ones it accepts.
pub const SIGNING: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// What stands before an authority's key (sshd(8)).
const AUTHORITY: &str = "@cert-authority";

impl ServerPin {
    /// Parses `algorithm base64`, perhaps with `@cert-authority` before it and a comment after it.
    pub fn parse(line: &str) -> Result<ServerPin, &'static str> {
        let (is_authority, key) = match line.trim().strip_prefix(AUTHORITY) {
            Some(key) if key.starts_with([' ', '\t']) => (true, key),
            _ => (false, line),
        };
        let mut fields = key.split([' ', '\t']).filter(|field| !field.is_empty());
        let (Some(algorithm), Some(blob)) = (fields.next(), fields.next()) else {
            return Err("is not a key: write it as \"ssh-ed25519 AAAA…\"");
        };
        Ok(ServerPin { is_authority, key: parse_key(algorithm, blob)? })
    }

    /// The key, `algorithm base64`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its type: `ssh-ed25519`.
    pub fn key_type(&self) -> &str {
        self.key.split(' ').next().unwrap_or_default()
    }

    /// Whether it is an authority's key, which certifies hosts, rather than a host's own.
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Its SHA-256 fingerprint, as ssh shows it.
    pub fn fingerprint(&self) -> String {
        let key = PublicKey::from_openssh(&self.key);
        key.map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string()).unwrap_or_default()
    }
}

impl std::fmt::Display for ServerPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let marker = if self.is_authority { "@cert-authority " } else { "" };
        write!(f, "{marker}{}", self.key)
    }
}

impl ServerPins {
    /// One or more.
    pub fn new(pins: Vec<ServerPin>) -> Result<ServerPins, &'static str> {
        match pins.len() {
            0 => Err("has no key"),
            1..=MAX_KEYS => Ok(ServerPins(pins)),
            _ => Err("has more than 16 keys"),
        }
    }

    /// The pins.
    pub fn all(&self) -> &[ServerPin] {
        &self.0
    }

    /// The lines of a known_hosts file that pins them to `host`, the name that a certificate has to bear.
    pub fn known_hosts(&self, host: &str) -> String {
        let line = |pin: &ServerPin| match pin.is_authority {
            true => format!("{AUTHORITY} {host} {}\n", pin.key),
            false => format!("{host} {}\n", pin.key),
        };
        self.0.iter().map(line).collect()
    }
}

impl TryFrom<Vec<String>> for ServerPins {
    type Error = &'static str;

    fn try_from(lines: Vec<String>) -> Result<ServerPins, &'static str> {
        ServerPins::new(lines.iter().map(|line| ServerPin::parse(line)).collect::<Result<_, _>>()?)
    }
}

impl From<ServerPins> for Vec<String> {
    fn from(pins: ServerPins) -> Vec<String> {
        pins.0.iter().map(ToString::to_string).collect()
    }
}

/// The canonical `algorithm base64` of a key whose label says what its blob is.
fn parse_key(algorithm: &str, blob: &str) -> Result<String, &'static str> {
    if blob.len() > MAX_BLOB {
        return Err("is longer than any key");
    }
    if !ALGORITHMS.contains(&algorithm) {
        return Err("is not a key type that is pinned");
    }
    let key = PublicKey::from_openssh(&format!("{algorithm} {blob}")).map_err(|_| "is not a key")?;
    let canonical = key.to_openssh().map_err(|_| "is not a key")?;
    match canonical.trim_end().split_once(' ') {
        Some((label, canonical_blob)) if label == algorithm && canonical_blob == blob => {
            Ok(canonical.trim_end().to_owned())
        }
        _ => Err("is labelled as another type than it is"),
    }
}

impl TryFrom<Vec<String>> for Pins {
    type Error = &'static str;

    fn try_from(keys: Vec<String>) -> Result<Pins, &'static str> {
        let parse = |key: &String| {
            let (algorithm, blob) = key.split_once(' ').ok_or("is not a key")?;
            parse_key(algorithm, blob)
        };
        let keys = keys.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err("has no key") } else { Ok(Pins(keys)) }
    }
}

impl From<Pins> for Vec<String> {
    fn from(pins: Pins) -> Vec<String> {
        pins.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";

    fn pins(text: &str) -> Result<Pins, &'static str> {
        Pins::parse(text, &Host::parse("gw.example").unwrap(), 2222.try_into().unwrap())
    }

    #[test]
    fn only_keys_of_this_host_and_port_are_pinned() {
        let good = format!("# comment\n[gw.example]:2222,[10.0.0.1]:2222 {KEY} a comment\n");
        assert_eq!(pins(&good).unwrap().known_hosts("us"), format!("us {KEY}\n"));
        for names in [
            "gw.example",
            "[gw.example]:22",
            "[other]:2222",
            "*",
            "[gw.example]:2222,!x",
            "[gw.exampl?]:2222",
            "|1|abc|def",
            "@cert-authority [gw.example]:2222",
            "@revoked [gw.example]:2222",
            "#[gw.example]:2222",
        ] {
            assert!(pins(&format!("{names} {KEY}\n")).is_err(), "{names}");
        }
    }

    #[test]
    fn a_mislabelled_key_is_never_pinned() {
        let blob = KEY.split_once(' ').unwrap().1;
        for key in [
            format!("ssh-rsa {blob}"),
            format!("ssh-dss {blob}"),
            format!("ssh-ed25519-cert-v01@openssh.com {blob}"),
            format!("ssh-ed25519 {}", &blob[..40]),
            "ssh-ed25519 !!!!".into(),
            "ssh-ed25519".into(),
            format!("ssh-ed25519 {blob}AAAA"),
        ] {
            assert!(pins(&format!("[gw.example]:2222 {key}\n")).is_err(), "{key}");
        }
    }

    #[test]
    fn a_plane_cannot_make_the_pins_grow_without_end() {
        let key = |i: u32| {
            let bytes = std::array::from_fn(|at| u8::try_from(i.wrapping_mul(at as u32 + 1) & 0xff).unwrap());
            let key =
                PublicKey::from(ssh_key::public::KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(bytes)));
            key.to_openssh().unwrap()
        };
        let text = (1..5000).map(|i| format!("[gw.example]:2222 {}\n", key(i))).collect::<String>();
        assert_eq!(pins(&text).unwrap().0.len(), MAX_KEYS);
        let long = format!("[gw.example]:2222 ssh-rsa {}\n", "A".repeat(MAX_BLOB + 4));
        assert!(pins(&long).is_err());
    }

    #[test]
    fn a_server_pins_keys_and_authorities() {
        let pins = |lines: &[&str]| {
            ServerPins::try_from(lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
        };
        let authority = format!("@cert-authority {KEY} the company");
        let both = pins(&[KEY, &authority]).unwrap();
        assert_eq!(both.known_hosts("box"), format!("box {KEY}\n@cert-authority box {KEY}\n"));
        assert_eq!(Vec::from(both.clone()), [KEY.to_owned(), format!("@cert-authority {KEY}")]);
        // ssh-keygen -lf
        assert_eq!(both.all()[0].fingerprint(), "SHA256:Xj/Mj1JZkpkRf4yzalRz8sTnnKbiAHg7UVgOj2A+3cs");
        for bad in ["", "box", "@revoked ssh-ed25519 AAAA", "ssh-ed25519", "@cert-authorityssh-ed25519 AAAA"]
        {
            assert!(pins(&[bad]).is_err(), "{bad}");
        }
        let named = format!("box {KEY}");
        assert!(pins(&[&named]).is_err() && pins(&[]).is_err() && pins(&[KEY; 17]).is_err());
    }

    #[test]
    fn on_port_22_the_plain_name_counts() {
        let text = format!("gw.example {KEY}\n");
        assert!(Pins::parse(&text, &Host::parse("gw.example").unwrap(), 22.try_into().unwrap()).is_ok());
    }
}
