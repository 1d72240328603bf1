//! One command by one certificate: a key that serves once, in a folder of its own that goes with it.

use std::ffi::OsString;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runcode_sshcert::Certificate;
use tempfile::TempDir;

use crate::error::{Code, Error, Result};
use crate::grant::{Endpoint, ServerPins};
use crate::openssh::config::{HostKeys, Login, SessionConfig};
use crate::origin::Terms;
use crate::origin::servers::{AuthMethod, Server};
use crate::session::Sessions;
use crate::session::execution::{pass_through, status};
use crate::session::hops::{self, Hops};
use crate::session::keypair::Keypair;
use crate::session::policy::Permit;
use crate::session::profile::{TIME_IS_UP, feed};
use crate::session::store::{CERTIFICATE, CONFIG, IDENTITY, KNOWN_HOSTS};
use crate::signer::{self, Order, Spec};
use crate::sys::env::Env;
use crate::sys::lock::Lock;
use crate::sys::{atomic_file, clock};
use crate::transport::contact::OnTheWay;
use crate::transport::{
    Limits, OpenedServer, Opener, RemoteCommand, Route, Running, Streams, Transport, Way, own_connection,
};

/// How the folders begin. Random letters follow.
const PREFIX: &str = "once-";

/// The file that is locked while a folder is in use.
const LOCK: &str = "lock";

/// The name of ssh's log, as long as there is none.
pub const PLANNED_LOG: &str = ".ssh-XXXXXX.log";

/// Beside the folders: the file that is locked while one is made, or those that are left are removed. So no folder is removed
/// before it is locked itself.
const MAKING: &str = "once.lock";

/// How long one waits for the others that make or remove theirs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Has a new key certified for this one command, and runs it. No connection is made before the certificate was compared with
/// what was asked for.
pub(super) fn run(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let certified = Opened::by_certificate(sessions, permit)?;
    let mut streams = Streams::inherit();
    let lifeline = feed(permit, &mut streams)?;
    let start = |streams: &Streams| certified.start(streams, lifeline);
    pass_through(streams, permit.timeout, TIME_IS_UP, start, || false, false)
}

/// The same for a caller with its own streams. What is returned with the command must live as long as the command.
pub(super) fn start(
    sessions: &Sessions<'_>,
    permit: &Permit,
    streams: &mut Streams,
) -> Result<(Running, Opened)> {
    let certified = Opened::by_certificate(sessions, permit)?;
    let lifeline = feed(permit, streams)?;
    Ok((certified.start(streams, lifeline)?, certified))
}

/// The same for a command that only shows whether it runs: nobody sees what the host prints.
pub(super) fn try_out(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let certified = Opened::by_certificate(sessions, permit)?;
    let mut streams = Streams::null();
    let lifeline = feed(permit, &mut streams)?;
    let running = certified.start(&streams, lifeline)?;
    drop(streams); // a pipe ends when nobody holds its other end
    let ended = running.wait(&Limits { timeout: permit.timeout, interruptible: true })?;
    status(ended, permit.timeout, TIME_IS_UP, || false)
}

/// A way to the host for one command, with the folder that ssh reads.
pub struct Opened {
    transport: Transport,
    _folder: Folder,
}

impl Opened {
    fn by_certificate(sessions: &Sessions<'_>, permit: &Permit) -> Result<Opened> {
        let pair = Keypair::generate()?;
        let certificate = certify(sessions, permit, &pair)?;
        permit.certified(&certificate);
        let folder = Folder::new(sessions.store().cache())?;
        let files = Files::of(permit, folder.path(), sessions.env())?;
        files.hops.write(sessions, &permit.event_id, permit.terms.certificate_ttl)?;
        let write = |name: &str, content: &[u8]| files.write(name, content);
        write(IDENTITY, pair.private_pem()?.as_bytes())?;
        write(CERTIFICATE, format!("{}\n", certificate.as_str()).as_bytes())?;
        files.write_config()?;
        Ok(Opened { transport: sessions.along(files.route()), _folder: folder })
    }

    /// The transport for a password: nothing has logged in yet. Its master listens at `control_path`.
    #[cfg(unix)]
    pub(super) fn by_password(
        sessions: &Sessions<'_>,
        permit: &Permit,
        control_path: PathBuf,
    ) -> Result<Opened> {
        let folder = Folder::new(sessions.store().cache())?;
        let files =
            Files { control_path: Some(control_path), ..Files::of(permit, folder.path(), sessions.env())? };
        files.hops.write(sessions, &permit.event_id, permit.terms.certificate_ttl)?;
        files.write_config()?;
        Ok(Opened { transport: sessions.along(files.route()), _folder: folder })
    }

    /// The way.
    #[cfg(unix)]
    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    fn start(&self, streams: &Streams, lifeline: Option<PipeWriter>) -> Result<Running> {
        let running = self.transport.start(&RemoteCommand::forced(), streams);
        running.map(|running| running.ending_by(lifeline)).map_err(|failure| failure.into_error())
    }
}

/// A way to a server for one look at its host keys.
pub struct Look {
    /// The way.
    pub through: Option<OnTheWay>,
    _folder: Folder,
}

/// Prepares the way to a server, if it leads through others. `event_id` names the occasion.
pub fn look(sessions: &Sessions<'_>, terms: &Terms, event_id: &str) -> Result<Look> {
    terms.refuse()?;
    let folder = Folder::new(sessions.store().cache())?;
    let hops = Hops::of(terms, folder.path(), sessions.env())?;
    hops.write(sessions, event_id, terms.certificate_ttl)?;
    let opened = hops::opened(&hops.remembered(), folder.path());
    let through = hops.command()?.map(|command| OnTheWay { command: hops::text(command), hops: opened });
    Ok(Look { through, _folder: folder })
}

fn certify(sessions: &Sessions<'_>, permit: &Permit, pair: &Keypair) -> Result<Certificate> {
    let line = permit.call.one_line();
    let purpose = Purpose {
        name: &permit.profile,
        event_id: &permit.event_id,
        ttl: permit.terms.certificate_ttl,
        force_command: &line,
        extensions: &[],
    };
    certified(sessions, &permit.terms.server, permit.terms.signer.as_ref(), pair, &purpose)
}

/// What a key is certified for.
pub(super) struct Purpose<'a> {
    /// The profile, or another word for it.
    pub(super) name: &'a str,
    /// The event's id.
    pub(super) event_id: &'a str,
    /// How long, in seconds.
    pub(super) ttl: u64,
    /// The one command; empty means any.
    pub(super) force_command: &'a str,
    /// What it permits besides commands.
    pub(super) extensions: &'a [&'a str],
}

/// A certificate of this signer for a server, compared with what was asked for.
pub(super) fn certified(
    sessions: &Sessions<'_>,
    server: &Server,
    signer: Option<&Spec>,
    pair: &Keypair,
    purpose: &Purpose<'_>,
) -> Result<Certificate> {
    let Some(spec) = signer else {
        return Err(Error::new(Code::BadConfig, format!("`{}` has no signer", server.name)));
    };
    let client = sessions.client();
    let key_id = format!("runcode:{}:{}:{client}:{}", server.name, purpose.name, purpose.event_id);
    let sources = server.policy.source_address.join(",");
    let order = Order {
        server: &server.name,
        profile: purpose.name,
        key: pair.public().key_data(),
        principal: server.principal(),
        ttl: purpose.ttl,
        key_id: &key_id,
        force_command: purpose.force_command,
        extensions: purpose.extensions,
        source_address: &sources,
        now: now(),
    };
    signer::certificate(&*spec.open(sessions.env())?, &order, &now)
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    u64::try_from(clock::now().as_second()).unwrap_or_default()
}

/// A fresh folder, this user's alone, which is removed when this is dropped.
struct Folder {
    folder: TempDir,
    _lock: Lock,
}

impl Folder {
    /// Makes one, after the removal of what killed runs have left.
    fn new(cache: &Path) -> Result<Folder> {
        atomic_file::private_dir(cache)?;
        let _making = Lock::acquire(&cache.join(MAKING), PATIENCE)?;
        sweep_locked(cache);
        let folder = atomic_file::temporary_dir_in(cache, PREFIX)?;
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
    if !cache.join(MAKING).exists() && folders(cache).next().is_none() {
        return Ok(0);
    }
    let making = Lock::acquire(&cache.join(MAKING), PATIENCE)?;
    let removed = sweep_locked(cache);
    making.remove()?;
    Ok(removed)
}

/// The folders of runs that are there.
fn folders(cache: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    let is_left = |entry: &std::fs::DirEntry| {
        let is_ours =
            entry.file_name().to_str().is_some_and(|name| atomic_file::is_temporary_name(name, PREFIX));
        is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    std::fs::read_dir(cache).into_iter().flatten().flatten().filter(is_left)
}

fn sweep_locked(cache: &Path) -> usize {
    let remove = |entry: &std::fs::DirEntry| {
        let free = Lock::acquire(&entry.path().join(LOCK), Duration::ZERO);
        free.is_ok() && std::fs::remove_dir_all(entry.path()).is_ok()
    };
    folders(cache).filter(remove).count()
}

/// What ssh reads for the one command.
pub struct Files {
    folder: PathBuf,
    alias: String,
    endpoint: Endpoint,
    host_keys: Option<ServerPins>,
    server: OpenedServer,
    /// The way there.
    pub hops: Hops,
    control_path: Option<PathBuf>,
    /// What ssh is told to run.
    command: RemoteCommand,
}

impl Files {
    /// Those for a server, in this folder. Nothing is written.
    pub fn of(permit: &Permit, folder: &Path, env: &Env) -> Result<Files> {
        let server = &permit.terms.server;
        let call = &permit.call;
        let (by, command) = match &server.method {
            AuthMethod::LegacyPassword(_) => {
                (Opener::Password, RemoteCommand::supervised(call.shown(), call.reads_stdin())?)
            }
            AuthMethod::Certificate(_) | AuthMethod::Ssh(_) => (Opener::Certificate, RemoteCommand::forced()),
        };
        let Some(endpoint) = server.endpoint() else {
            return Err(Error::new(
                Code::BadConfig,
                format!("`{}` has no host and user of its own", server.name),
            ));
        };
        let hops = Hops::of(&permit.terms, folder, env)?;
        Ok(Files {
            folder: folder.to_owned(),
            alias: server.alias(),
            endpoint,
            host_keys: server.host_keys.clone(),
            server: OpenedServer {
                by,
                words: permit.key.words(),
                is_pinned: server.host_keys.is_some(),
                hops: hops::opened(&hops.remembered(), folder),
            },
            hops,
            control_path: None,
            command,
        })
    }

    /// Where they are in a folder that is not made yet.
    pub fn planned(permit: &Permit, cache: &Path, env: &Env) -> Result<Files> {
        Files::of(permit, &cache.join(format!("{PREFIX}XXXXXX")), env)
    }

    /// The arguments of ssh, without the program.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec!["-F".into(), self.folder.join(CONFIG).into()];
        arguments.extend(own_connection(&self.folder.join(PLANNED_LOG), &self.alias, "-T"));
        arguments.push(self.command.shown().into());
        arguments
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
        let (identity, certificate) = (at(IDENTITY), at(CERTIFICATE));
        let login = match self.server.by {
            Opener::Certificate => Login::Key { identity: &identity, certificate: Some(&certificate) },
            Opener::Password => Login::Password,
        };
        let through = self.hops.command()?;
        let config = SessionConfig {
            alias: &self.alias,
            endpoint: &self.endpoint,
            login,
            host_keys,
            control_path: self.control_path.as_deref(),
            through: through.as_deref(),
            hop: None,
        };
        config.render()
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        atomic_file::write(&self.folder.join(name), content, 0o600)
    }

    fn write_config(&self) -> Result<()> {
        if let Some(pins) = &self.host_keys {
            self.write(KNOWN_HOSTS, pins.known_hosts(self.endpoint.host.as_str()).as_bytes())?;
        }
        self.write(CONFIG, &self.config()?)
    }

    fn route(&self) -> Route {
        let way = Way::Config {
            config: self.folder.join(CONFIG),
            alias: self.alias.clone(),
            gateway: self.endpoint.clone(),
            server: Some(self.server.clone()),
        };
        Route { way, control_path: self.control_path.clone(), folder: self.folder.clone(), bound: None }
    }
}
