//! One command by one certificate: a key that serves once, in a folder of its own that goes with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runcode_sshcert::Certificate;
use tempfile::TempDir;

use crate::error::{Code, Error, Result};
use crate::grant::{Endpoint, Host, Port, ServerPins};
use crate::openssh::config::{HostKeys, SessionConfig};
use crate::origin::servers::AuthMethod;
use crate::output::foreign::FileName as _;
use crate::session::Sessions;
use crate::session::execution::pass_through;
use crate::session::keypair::Keypair;
use crate::session::policy::Permit;
use crate::session::profile::TIME_IS_UP;
use crate::session::store::{CERTIFICATE, CONFIG, IDENTITY, KNOWN_HOSTS};
use crate::signer::{self, Order};
use crate::sys::lock::Lock;
use crate::sys::{atomic_file, clock};
use crate::transport::{CertifiedServer, RemoteCommand, Route, Stream, Streams, Way};

/// How the folders begin.
const PREFIX: &str = "once-";

/// The file that is locked while a folder is in use.
const LOCK: &str = "lock";

/// Has a new key certified for this one command, and runs it. No connection is made before the certificate was compared with
/// what was asked for.
pub(super) fn run(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let pair = Keypair::generate()?;
    let certificate = certify(sessions, permit, &pair)?;
    let folder = Folder::new(sessions.store().cache())?;
    let files = Files::of(permit, folder.path())?;
    files.write(&pair, &certificate)?;
    let transport = sessions.along(files.route()?);
    let call = &permit.call;
    // While this process lives, what supervises the command there reads a pipe that does not end.
    let (reader, lifeline) = std::io::pipe()?;
    let mut streams = Streams::inherit();
    let lifeline = match (call.reads_stdin(), permit.reads_stdin) {
        (true, true) => None,
        (true, false) => {
            streams.stdin = Stream::Null;
            None
        }
        (false, _) => {
            streams.stdin = reader.into();
            Some(lifeline)
        }
    };
    let start = |streams: &Streams| {
        let running = transport.start(&RemoteCommand::forced(), streams);
        running.map(|running| running.ending_by(lifeline)).map_err(|failure| failure.into_error())
    };
    pass_through(streams, permit.timeout, TIME_IS_UP, start, || false, false)
}

fn certify(sessions: &Sessions<'_>, permit: &Permit, pair: &Keypair) -> Result<Certificate> {
    let terms = &permit.terms;
    let Some(spec) = &terms.signer else {
        return Err(Error::new(Code::BadConfig, format!("`{}` has no signer", terms.server.name)));
    };
    let line = permit.call.one_line();
    let key_id =
        format!("runcode:{}:{}:{}:{}", terms.server.name, permit.profile, sessions.client(), permit.event_id);
    let sources = terms.server.policy.source_address.join(",");
    let order = Order {
        key: pair.public().key_data(),
        principal: terms.principal(),
        ttl: terms.certificate_ttl,
        key_id: &key_id,
        force_command: &line,
        source_address: &sources,
        now: u64::try_from(clock::now().as_second()).unwrap_or_default(),
    };
    signer::certificate(&*spec.open(sessions.env())?, &order)
}

/// A fresh folder, this user's alone, which is removed when this is dropped.
struct Folder {
    folder: TempDir,
    _lock: Lock,
}

impl Folder {
    fn new(cache: &Path) -> Result<Folder> {
        atomic_file::private_dir(cache)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache);
        let folder =
            folder.map_err(|error| Error::io(format_args!("make a folder in {}", cache.named()), error))?;
        let lock = Lock::acquire(&folder.path().join(LOCK), Duration::ZERO)?;
        Ok(Folder { folder, _lock: lock })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what killed runs have left; how many there were. What is in use stays.
pub fn sweep(cache: &Path) -> Result<usize> {
    if !atomic_file::is_own_dir(cache)? {
        return Ok(0);
    }
    let mut removed = 0;
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_ours
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && Lock::acquire(&entry.path().join(LOCK), Duration::ZERO).is_ok()
            && std::fs::remove_dir_all(entry.path()).is_ok()
        {
            removed += 1;
        }
    }
    Ok(removed)
}

/// What ssh reads for the one command.
pub struct Files {
    folder: PathBuf,
    alias: String,
    endpoint: Endpoint,
    host_keys: Option<ServerPins>,
    server: CertifiedServer,
}

impl Files {
    /// Those for a server, in this folder. Nothing is written.
    pub fn of(permit: &Permit, folder: &Path) -> Result<Files> {
        let server = &permit.terms.server;
        let (AuthMethod::Certificate(host), Some(user)) = (&server.method, &server.user) else {
            return Err(Error::new(Code::Error, format!("`{}` takes no certificate", server.name)));
        };
        Ok(Files {
            folder: folder.to_owned(),
            alias: format!("runcode-{}", server.name),
            endpoint: Endpoint {
                host: Host::clone(host),
                port: server
                    .port
                    .map_or_else(|| Port::try_from(22), Ok)
                    .map_err(|why| Error::new(Code::Error, why))?,
                user: user.clone(),
            },
            host_keys: server.host_keys.clone(),
            server: CertifiedServer { words: permit.key.words(), is_pinned: server.host_keys.is_some() },
        })
    }

    /// Where they are in a folder that is not made yet.
    pub fn planned(permit: &Permit, cache: &Path) -> Result<Files> {
        Files::of(permit, &cache.join(format!("{PREFIX}XXXXXX")))
    }

    /// The arguments of ssh, without the program.
    pub fn arguments(&self) -> Vec<String> {
        let config = self.folder.join(CONFIG).display().to_string();
        vec![
            "-F".to_owned(),
            config,
            "-T".to_owned(),
            "--".to_owned(),
            self.alias.clone(),
            "runcode".to_owned(),
        ]
    }

    /// The ssh config.
    pub fn config(&self) -> Result<Vec<u8>> {
        let at = |name: &str| self.folder.join(name);
        let known_hosts = at(KNOWN_HOSTS);
        let host_keys = match &self.host_keys {
            // A certificate of the host has to bear this name.
            Some(_) => HostKeys::Pinned { known_hosts: &known_hosts, alias: self.endpoint.host.as_str() },
            None => HostKeys::User,
        };
        let config = SessionConfig {
            alias: &self.alias,
            endpoint: &self.endpoint,
            identity: &at(IDENTITY),
            certificate: Some(&at(CERTIFICATE)),
            host_keys,
            control_path: None,
        };
        config.render()
    }

    fn write(&self, pair: &Keypair, certificate: &Certificate) -> Result<()> {
        let write = |name: &str, content: &[u8]| atomic_file::write(&self.folder.join(name), content, 0o600);
        write(IDENTITY, pair.private_pem()?.as_bytes())?;
        write(CERTIFICATE, format!("{}\n", certificate.as_str()).as_bytes())?;
        if let Some(pins) = &self.host_keys {
            write(KNOWN_HOSTS, pins.known_hosts(self.endpoint.host.as_str()).as_bytes())?;
        }
        write(CONFIG, &self.config()?)
    }

    fn route(&self) -> Result<Route> {
        let way = Way::Config {
            config: self.folder.join(CONFIG),
            alias: self.alias.clone(),
            gateway: self.endpoint.clone(),
            server: Some(self.server.clone()),
        };
        Ok(Route { way, control_path: None, folder: self.folder.clone() })
    }
}
