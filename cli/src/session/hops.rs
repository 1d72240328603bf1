//! The servers through which another one is reached. For each hop there is a key and a certificate, which permit nothing there but port
//! forwarding, and an ssh process, which the next hop's ssh runs as its `ProxyCommand`. So each ssh checks the key of its own host, and
//! this machine checks the target's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::grant::{Certified, Endpoint, Hop};
use crate::openssh::SshBinary;
use crate::openssh::config::{HostKeys, Login, SessionConfig, quoted};
use crate::origin::Terms;
use crate::origin::servers::{self, MOST_HOPS};
use crate::session::Sessions;
use crate::session::keypair::Keypair;
use crate::session::once::{self, Purpose};
use crate::session::store::Files;
use crate::sys::atomic_file;
use crate::sys::env::Env;
use crate::transport::{self, OpenedHop, quote};

/// The purpose of a hop's certificate, in place of a profile.
const PURPOSE: &str = "jump";

/// The only command of a hop's certificate. It does nothing.
pub const FORCED: &str = "false";

/// The only thing that a hop's certificate permits (OpenSSH PROTOCOL.certkeys).
const FORWARDING: &str = "permit-port-forwarding";

/// The names of the files of one hop.
struct Names {
    config: &'static str,
    identity: &'static str,
    public: &'static str,
    certificate: &'static str,
    known_hosts: &'static str,
    log: &'static str,
}

macro_rules! names {
    ($($number:literal)*) => {[$(Names {
        config: concat!("jump-", $number, "-config"),
        identity: concat!("jump-", $number, "-id_ed25519"),
        public: concat!("jump-", $number, "-id_ed25519.pub"),
        certificate: concat!("jump-", $number, "-id_ed25519-cert.pub"),
        known_hosts: concat!("jump-", $number, "-known_hosts"),
        log: concat!("jump-", $number, ".log"),
    }),*]};
}

/// The names for each hop, from here to there.
const NAMES: [Names; MOST_HOPS] = names!(1 2 3 4);

/// Whether a session keeps a file of this name for one of its hops.
pub(super) fn is_file(name: &str) -> bool {
    NAMES.iter().any(|it| [it.config, it.identity, it.public, it.certificate, it.known_hosts].contains(&name))
}

/// The way to a server through others, as the ssh files in one folder describe it.
pub struct Hops {
    folder: PathBuf,
    hops: Vec<servers::Hop>,
    endpoints: Vec<Endpoint>,
    /// The server's endpoint.
    to: Option<Endpoint>,
    /// The ssh program of every hop.
    ssh: PathBuf,
    /// The `ProxyCommand` for the first hop, if it is not reached directly.
    first: Option<Vec<u8>>,
}

impl Hops {
    /// The way to a server, in this folder. Writes nothing.
    pub fn of(terms: &Terms, folder: &Path, env: &Env) -> Result<Hops> {
        let (folder, hops) = (folder.to_owned(), terms.hops.clone());
        let endpoint = |server: &servers::Server| {
            let why =
                || Error::new(Code::BadConfig, format!("`jump` does not work through `{}`", server.name));
            server.endpoint().ok_or_else(why)
        };
        let endpoints = hops.iter().map(|hop| endpoint(&hop.server)).collect::<Result<Vec<_>>>()?;
        let first =
            endpoints.first().map(|first| transport::proxy_command(first, env)).transpose()?.flatten();
        let ssh = if hops.is_empty() { PathBuf::new() } else { SshBinary::from_env(env).find()? };
        Ok(Hops { folder, hops, endpoints, to: terms.server.endpoint(), ssh, first })
    }

    /// The `ProxyCommand` of the ssh to the server; `None` without hops.
    pub fn command(&self) -> Result<Option<Vec<u8>>> {
        self.to.as_ref().map_or(Ok(None), |to| self.command_to(self.hops.len(), to))
    }

    /// The `ProxyCommand` of the ssh to `to`, which has `count` hops before it.
    fn command_to(&self, count: usize, to: &Endpoint) -> Result<Option<Vec<u8>>> {
        let Some(last) = count.checked_sub(1) else { return Ok(self.first.clone()) };
        let (Some(names), Some(hop)) = (NAMES.get(last), self.hops.get(last)) else { return Ok(None) };
        let (config, log) = (self.folder.join(names.config), self.folder.join(names.log));
        let alias = hop.server.alias();
        let there = format!("[{}]:{}", to.host.as_str(), to.port.number());
        let mut command = Vec::new(); // ssh puts `exec` before it
        for path in [&self.ssh, &config, &log] {
            quoted(path)?; // a path that no config can hold is an error
        }
        let words = [
            self.ssh.as_os_str(),
            "-F".as_ref(),
            config.as_os_str(),
            "-E".as_ref(),
            log.as_os_str(),
            "-W".as_ref(),
            there.as_ref(),
            "--".as_ref(),
            alias.as_ref(),
        ];
        for word in words {
            if !command.is_empty() {
                command.push(b' ');
            }
            push_word(&mut command, word.as_encoded_bytes());
        }
        Ok(Some(command))
    }

    /// The ssh configs, each with the name of its server.
    pub fn configs(&self) -> Result<Vec<(&str, Vec<u8>)>> {
        let each = self.hops.iter().zip(&self.endpoints).zip(&NAMES).enumerate();
        each.map(|(count, ((hop, endpoint), names))| {
            let at = |name: &str| self.folder.join(name);
            let (known_hosts, identity) = (at(names.known_hosts), at(names.identity));
            let certificate = at(names.certificate);
            let through = self.command_to(count, endpoint)?;
            let config = SessionConfig {
                alias: &hop.server.alias(),
                endpoint,
                login: Login::Key { identity: &identity, certificate: Some(&certificate) },
                host_keys: match &hop.server.host_keys {
                    Some(_) => HostKeys::Pinned { known_hosts: &known_hosts, alias: endpoint.host.as_str() },
                    None => HostKeys::User,
                },
                control_path: None,
                through: through.as_deref(),
                hop: Some(count),
            };
            Ok((hop.server.name.as_str(), config.render()?))
        })
        .collect()
    }

    /// The files that ssh reads for the hops, with a new key for each, certified for `ttl` seconds. Makes no connection to them.
    pub(super) fn certified(&self, sessions: &Sessions<'_>, event_id: &str, ttl: u64) -> Result<Files> {
        let mut files = Files::new();
        let configs = self.configs()?;
        for (((hop, endpoint), names), (_, config)) in
            self.hops.iter().zip(&self.endpoints).zip(&NAMES).zip(configs)
        {
            let pair = Keypair::generate()?;
            let extensions = &[FORWARDING];
            let purpose = Purpose { name: PURPOSE, event_id, ttl, force_command: FORCED, extensions };
            let certificate = once::certified(sessions, &hop.server, hop.signer.as_ref(), &pair, &purpose)
                .map_err(|error| error.context(format_args!("on the way, for `{}`", hop.server.name)))?;
            let mut add = |name, content: Vec<u8>| files.insert(name, Zeroizing::new(content));
            add(names.identity, pair.private_pem()?.as_bytes().to_vec());
            add(names.public, format!("{}\n", pair.public_line()?).into_bytes());
            add(names.certificate, format!("{}\n", certificate.as_str()).into_bytes());
            add(names.config, config);
            if let Some(pins) = &hop.server.host_keys {
                add(names.known_hosts, pins.known_hosts(endpoint.host.as_str()).into_bytes());
            }
        }
        Ok(files)
    }

    /// The same, written into the folder.
    pub fn write(&self, sessions: &Sessions<'_>, event_id: &str, ttl: u64) -> Result<()> {
        let files = self.certified(sessions, event_id, ttl)?;
        files
            .iter()
            .try_for_each(|(name, content)| atomic_file::write(&self.folder.join(name), content, 0o600))
    }

    /// What a session remembers of the hops.
    pub(super) fn remembered(&self) -> Vec<Hop> {
        let remember = |hop: &servers::Hop| Hop {
            name: hop.server.name.clone(),
            is_pinned: hop.server.host_keys.is_some(),
        };
        self.hops.iter().map(remember).collect()
    }
}

/// The hops, each with the file to which its ssh writes errors.
pub(super) fn opened(hops: &[Hop], folder: &Path) -> Vec<OpenedHop> {
    let each = hops.iter().zip(&NAMES);
    each.map(|(hop, names)| OpenedHop {
        words: hop.name.clone(),
        is_pinned: hop.is_pinned,
        log: folder.join(names.log),
    })
    .collect()
}

/// The same, for a session.
pub(super) fn of_session(certified: &Certified, folder: &Path) -> Vec<OpenedHop> {
    opened(&certified.hops, folder)
}

/// A `ProxyCommand` as an argument.
pub(super) fn text(command: Vec<u8>) -> OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(command);
    #[cfg(windows)]
    String::from_utf8_lossy(&command).into_owned().into()
}

/// A word for the shell that runs a `ProxyCommand`, in which ssh expands `%`.
fn push_word(command: &mut Vec<u8>, word: &[u8]) {
    let mut text = Vec::new();
    if cfg!(windows) {
        text.push(b'"');
        text.extend(word);
        text.push(b'"');
    } else {
        quote::word(&mut text, word); // `SHELL` may be any
    }
    for byte in text {
        command.push(byte);
        if byte == b'%' {
            command.push(b'%');
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_any_shell_and_ssh() {
        let mut text = Vec::new();
        push_word(&mut text, b"/a b/it's/100%/$x\\\"#!");
        assert_eq!(String::from_utf8_lossy(&text), r##"'/a b/it'\''s/100%%/$x'\\'"#'\!"##);
    }
}
