//! Renders an isolated ssh_config(5) from validated values alone, every value quoted, every sensitive directive set.

use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::grant::Endpoint;
use crate::output::foreign::FileName as _;
use crate::sys::digest;

/// How long an idle master stays, in seconds (`ControlPersist`).
pub const PERSIST_SECONDS: u32 = 300;

/// The environment variable that carries what is private to a command. sshd accepts `LC_*` where its `AcceptEnv` is as most
/// systems ship it (sshd_config(5)); the ssh config has to send it.
pub const PRIVATE: &str = "LC_RUNCODE";

/// What a session's config is made from.
pub struct SessionConfig<'a> {
    /// The `Host` name, ours: `runcode-<user>`.
    pub alias: &'a str,
    /// The gateway and the user there.
    pub endpoint: &'a Endpoint,
    /// How ssh logs in.
    pub login: Login<'a>,
    /// Who vouches for the gateway's key.
    pub host_keys: HostKeys<'a>,
    /// The master's socket; none where there is no multiplexing.
    pub control_path: Option<&'a Path>,
    /// The `ProxyCommand`, quoted for a shell and for ssh; without one, ssh connects directly.
    pub through: Option<&'a [u8]>,
    /// Set if this host is only a hop: how many hops come before it.
    pub hop: Option<usize>,
}

/// How ssh logs in; nothing else is tried.
#[derive(Debug, Clone, Copy)]
pub enum Login<'a> {
    /// A key of ours.
    Key {
        /// The private key.
        identity: &'a Path,
        /// The certificate, if there is one.
        certificate: Option<&'a Path>,
    },
    /// A password, which ssh asks for once.
    Password,
}

/// Who vouches for a host key. Either way an unknown one is refused.
#[derive(Debug, Clone, Copy)]
pub enum HostKeys<'a> {
    /// A file of ours, and nothing else.
    Pinned {
        /// The pins.
        known_hosts: &'a Path,
        /// The name under which they are kept, ours.
        alias: &'a str,
    },
    /// The known_hosts files of the user and of the system.
    User,
}

impl SessionConfig<'_> {
    /// The text of the config file.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut config = Config::default();
        config.push(b"Host ", self.alias.as_bytes(), b"");
        config.word("HostName", self.endpoint.host.as_str());
        config.word("Port", &self.endpoint.port.to_string());
        config.word("User", self.endpoint.user.as_str());
        if let HostKeys::Pinned { alias, .. } = self.host_keys {
            config.word("HostKeyAlias", alias);
        }
        match self.login {
            Login::Key { identity, certificate } => {
                config.path("IdentityFile", identity)?;
                match certificate {
                    Some(certificate) => config.path("CertificateFile", certificate)?,
                    None => config.word("CertificateFile", "none"),
                }
            }
            // ssh takes the first value that it finds.
            Login::Password => PASSWORD.into_iter().for_each(|(name, value)| config.word(name, value)),
        }
        let is_pinned = matches!(self.host_keys, HostKeys::Pinned { .. });
        if let HostKeys::Pinned { known_hosts, .. } = self.host_keys {
            config.path("UserKnownHostsFile", known_hosts)?;
        }
        // ssh takes the first value that it finds.
        if let Some(command) = self.through {
            config.push(b"    ProxyCommand ", command, b"");
        }
        if let Some(before) = self.hop {
            config.word("ConnectTimeout", &(HOP_SECONDS + before).to_string());
            config.word("LogLevel", "ERROR"); // nothing that a host can write without end
        }
        for (name, value) in HARDENED.into_iter().chain(FIXED) {
            if is_pinned || name != "GlobalKnownHostsFile" {
                config.word(name, value);
            }
        }
        if has_aes() {
            config.word("Ciphers", "^aes128-gcm@openssh.com,aes256-gcm@openssh.com");
        }
        if let Some(control_path) = self.control_path {
            config.word("ControlMaster", "auto");
            config.path("ControlPath", control_path)?;
            config.word("ControlPersist", &PERSIST_SECONDS.to_string());
        }
        Ok(config.0)
    }
}

/// What every connection of ours has, a session's and an editor's: nothing but our key, our pins, and no way to run
/// anything.
pub const HARDENED: [(&str, &str); 19] = [
    ("IdentitiesOnly", "yes"),
    ("IdentityAgent", "none"),
    ("AddKeysToAgent", "no"),
    ("ForwardAgent", "no"),
    ("ForwardX11", "no"),
    ("Tunnel", "no"),
    ("GlobalKnownHostsFile", if cfg!(windows) { "none" } else { "/dev/null" }),
    ("StrictHostKeyChecking", "yes"),
    ("UpdateHostKeys", "no"),
    ("CheckHostIP", "no"),
    ("VerifyHostKeyDNS", "no"),
    ("CanonicalizeHostname", "no"),
    ("HostbasedAuthentication", "no"),
    ("PubkeyAuthentication", "yes"),
    ("PasswordAuthentication", "no"),
    ("KbdInteractiveAuthentication", "no"),
    ("PreferredAuthentications", "publickey"),
    ("BatchMode", "yes"),
    ("PermitLocalCommand", "no"),
];

/// Options for a login with a password, in place of those in [`HARDENED`]. Only the ssh that brings up a connection gets
/// `BatchMode=no`: no other ssh asks.
const PASSWORD: [(&str, &str); 6] = [
    ("IdentityFile", "none"),
    ("CertificateFile", "none"),
    ("PubkeyAuthentication", "no"),
    ("PasswordAuthentication", "yes"),
    ("PreferredAuthentications", "password"),
    ("NumberOfPasswordPrompts", "1"),
];

/// How long ssh waits for the first hop. Each hop gives up before the ones behind it, so that it can say why.
const HOP_SECONDS: usize = 10;

/// What a session has besides.
const FIXED: [(&str, &str); 8] = [
    ("ProxyCommand", "none"),
    ("RemoteCommand", "none"),
    ("RequestTTY", "auto"),
    ("SendEnv", PRIVATE),
    ("ServerAliveInterval", "15"),
    ("ServerAliveCountMax", "3"),
    ("ConnectTimeout", "15"),
    ("ConnectionAttempts", "1"),
];

/// Whether this processor makes AES-GCM the fastest authenticated cipher.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    {
        std::arch::is_x86_feature_detected!("aes")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    {
        false
    }
}

#[derive(Default)]
struct Config(Vec<u8>);

impl Config {
    fn push(&mut self, before: &[u8], value: &[u8], after: &[u8]) {
        self.0.extend_from_slice(before);
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(after);
        self.0.push(b'\n');
    }

    /// A value of our own making or of a validated type: no blank, quote, `%` or `$` can be in it.
    fn word(&mut self, name: &str, value: &str) {
        self.push(format!("    {name} ").as_bytes(), value.as_bytes(), b"");
    }

    fn path(&mut self, name: &str, path: &Path) -> Result<()> {
        self.push(format!("    {name} ").as_bytes(), &quoted(path)?, b"");
        Ok(())
    }
}

/// A path as an ssh_config value: in double quotes, with `\`, `"` and `%` escaped. One that ssh would expand or cut
/// (`${`, a control character) is refused, since no escape exists for it.
pub fn quoted(path: &Path) -> Result<Vec<u8>> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.iter().any(|byte| byte.is_ascii_control()) || bytes.windows(2).any(|pair| pair == b"${") {
        return Err(Error::new(
            Code::Io,
            format!(
                "ssh cannot use the path {}: it has a line break, a control character or `${{` in it",
                path.named()
            ),
        )
        .hint("set XDG_CACHE_HOME to a folder with a plain name"));
    }
    let mut quoted = vec![b'"'];
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => quoted.extend([b'\\', byte]),
            b'%' => quoted.extend(b"%%"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    Ok(quoted)
}

/// Where a master's socket of this name goes, in order of preference: the session's own folder, then the short ones. Only a
/// folder that `takes` sockets counts.
///
/// The whole name stays under 90 bytes: ssh appends 17 while it binds, and `sun_path` holds 104 or 108.
pub fn control_path(
    session: &Path,
    name: &str,
    short_folders: &[PathBuf],
    takes: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    const MAX: usize = 90;
    let own = session.join(name);
    let fits = |path: &PathBuf| path.as_os_str().len() < MAX && path.to_str().is_some();
    if fits(&own) && takes(session) {
        return Some(own);
    }
    let short = short_folders.iter().map(|folder| (folder, folder.join(short_name(&own))));
    short.filter(|(_, path)| fits(path)).find(|(folder, _)| takes(folder)).map(|(_, path)| path)
}

/// A short name for this socket, the same whoever asks.
fn short_name(own: &Path) -> String {
    let mut name = digest::sha256(own.as_os_str().as_encoded_bytes());
    name.truncate(20);
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn an_unknown_host_key_is_always_refused() {
        let endpoint =
            serde_json::from_str(r#"{"host":"gw.example","port":22,"user":"me"}"#).expect("an endpoint");
        let config = |host_keys| SessionConfig {
            alias: "runcode-me",
            endpoint: &endpoint,
            login: Login::Key { identity: Path::new("/c/id"), certificate: None },
            host_keys,
            control_path: None,
            through: None,
            hop: None,
        };
        let text = |host_keys| String::from_utf8(config(host_keys).render().unwrap()).unwrap();
        let pinned = text(HostKeys::Pinned { known_hosts: Path::new("/c/pins"), alias: "runcode-ws-1" });
        let user = text(HostKeys::User);
        for line in ["UserKnownHostsFile \"/c/pins\"", "HostKeyAlias runcode-ws-1", "GlobalKnownHostsFile "] {
            assert!(pinned.contains(line) && !user.contains(line.split(' ').next().unwrap()), "{line}");
        }
        for text in [pinned, user] {
            assert!(text.contains("\n    StrictHostKeyChecking yes\n"), "{text}");
        }
    }

    #[test]
    fn paths_are_quoted_for_ssh() {
        assert_eq!(
            quoted(Path::new("/a b/\"c\"/%h/\\d/é")).unwrap(),
            "\"/a b/\\\"c\\\"/%%h/\\\\d/é\"".as_bytes()
        );
        for bad in ["/a\nb", "/${HOME}", "/a\rb", "/a\u{1b}b"] {
            assert_eq!(quoted(Path::new(bad)).unwrap_err().code(), Code::Io, "{bad:?}");
        }
    }

    #[test]
    fn a_long_session_folder_gets_a_short_socket() {
        let short = [PathBuf::from("/run/user/1000/runcode"), PathBuf::from("/tmp/runcode-1000")];
        let near = PathBuf::from("/home/u/.cache/runcode/ws-7");
        let any = |_: &Path| true;
        assert_eq!(control_path(&near, "master", &short, any), Some(near.join("master")));
        let elsewhere = control_path(&near, "master", &short, |folder| folder == short[1]).unwrap();
        assert!(elsewhere.starts_with("/tmp/runcode-1000"), "{}", elsewhere.display());
        assert_eq!(control_path(&near, "master", &short, |_| false), None);
        let far = PathBuf::from(format!("/{}/runcode/ws-7", "x".repeat(90)));
        let path = control_path(&far, "master", &short, any).unwrap();
        assert!(path.starts_with("/run/user/1000/runcode") && path.as_os_str().len() < 90);
        let other = PathBuf::from(format!("/{}/runcode/ws-8", "x".repeat(90)));
        assert_ne!(control_path(&other, "master", &short, any), Some(path));
    }
}
