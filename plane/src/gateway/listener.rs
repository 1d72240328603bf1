//! The listening socket and every connection behind it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::server::{Config, Handle, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, Preferred, SshId, compression, kex};
use serde_json::json;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::authority::Authority;
use super::connection::Connection;
use super::gate::{Gate, Gated};
use crate::access_log::AccessLog;
use crate::entrance::Entrance;
use crate::error::Error;
use crate::fault::{Fault, Faults};
use crate::state::{Grant, Kind, State, Store, token};
use crate::workspace::Processes;

/// How long a client has to log in: sshd_config(5), LoginGraceTime. Nobody is asked for anything meanwhile.
const LOGIN_GRACE: Duration = Duration::from_secs(60);
/// How many clients of this user may be logging in at once: sshd_config(5), MaxStartups.
const MAX_STARTUPS: usize = 100;
/// How long every refusal takes, whatever its reason.
const REFUSAL_TIME: Duration = Duration::from_millis(250);
/// How long a client may be silent before it gets a message.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long an ended connection has to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// The gateway: what connections share.
pub(crate) struct Gateway {
    pub(crate) state: Arc<State>,
    pub(crate) processes: Processes,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) faults: Arc<Faults>,
    config: Mutex<Arc<Config>>,
    connections: Mutex<HashMap<u64, Peer>>,
    last: AtomicU64,
}

/// The gateway's own keys.
pub(crate) struct Keys {
    pub(crate) host: PrivateKey,
    /// The one that signs certificates.
    pub(crate) authority: PrivateKey,
    /// What the addresses of the pages follow from.
    pub(crate) pages: String,
}

impl Keys {
    /// New ones.
    pub(crate) fn fresh() -> ssh_key::Result<Self> {
        let key = || PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519);
        Ok(Keys { host: key()?, authority: key()?, pages: token::fresh() })
    }

    /// Those that were written down before, or new ones that are from now on.
    pub(crate) fn kept_in(store: &Store) -> Result<Self, Error> {
        let broken = |e: rusqlite::Error| Error::State { path: "keys".into(), reason: e.to_string() };
        let kept = store.all::<String>(Kind::Key).map_err(broken)?;
        let key = |name: &str| -> Result<PrivateKey, Error> {
            if let Some((_, text)) = kept.iter().find(|(kept, _)| kept == name) {
                return Ok(PrivateKey::from_openssh(text)?);
            }
            let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
            store.put(Kind::Key, name, &*key.to_openssh(LineEnding::LF)?).map_err(broken)?;
            Ok(key)
        };
        // So that an address that was told stays good.
        let pages = match kept.iter().find(|(kept, _)| kept == "pages") {
            Some((_, text)) => text.clone(),
            None => {
                let pages = token::fresh();
                store.put(Kind::Key, "pages", &pages).map_err(broken)?;
                pages
            }
        };
        Ok(Keys { host: key("host")?, authority: key("authority")?, pages })
    }
}

/// A connection, as the gateway sees it.
struct Peer {
    gate: Arc<Gate>,
    /// Known once it is logged in: what let it in, and the way to tell it something.
    login: Option<(Grant, Handle)>,
}

impl Gateway {
    pub(crate) fn new(
        state: Arc<State>,
        log: Arc<AccessLog>,
        address: SocketAddr,
        keys: Keys,
        faults: Arc<Faults>,
    ) -> Self {
        Gateway {
            state,
            processes: Processes::default(),
            log,
            address,
            authority: Authority::new(keys.authority),
            faults,
            config: Mutex::new(Arc::new(config(keys.host))),
            connections: Mutex::default(),
            last: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Peer>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The public half of the host key, as an OpenSSH line.
    pub(crate) fn host_key(&self) -> String {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        config.keys.first().and_then(|key| key.public_key().to_openssh().ok()).unwrap_or_default()
    }

    /// Shows another host key to every connection from now on.
    pub(crate) fn change_host_key(&self, key: PrivateKey) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config(key));
    }

    /// Accepts connections until it is dropped; they go with it.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let entrance = Entrance::new(MAX_STARTUPS, LOGIN_GRACE);
        loop {
            tokio::select! {
                (socket, peer, gate) = entrance.next(&listener) => {
                    connections.spawn(self.clone().connection(socket, peer, gate));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, gate: Arc<Gate>) {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Peer { gate: gate.clone(), login: None });
        self.log.write("ssh-open", json!({ "connection": id, "peer": peer.to_string() }));
        let ended = self.session(socket, peer, id, &gate).await;
        gate.cut();
        self.lock().remove(&id);
        self.log
            .write("ssh-close", json!({ "connection": id, "reason": ended.err().map(|e| e.to_string()) }));
    }

    async fn session(
        self: &Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        id: u64,
        gate: &Arc<Gate>,
    ) -> Result<(), russh::Error> {
        match self.faults.on_ssh() {
            Some(Fault::Drop) => return Ok(()),
            Some(Fault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Some(Fault::Hang) => std::future::pending().await,
            _ => {}
        }
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let handler = Connection::new(self.clone(), id, peer, gate.clone());
        let stream = Gated::new(socket, gate.clone());
        run_stream(config, stream, handler).await?.await
    }

    /// Takes note that a connection is logged in, or cuts it when what it logged in with was taken back meanwhile.
    pub(super) fn logged_in(&self, id: u64, grant: &Grant, handle: Handle) {
        if let Some(peer) = self.lock().get_mut(&id) {
            peer.login = Some((grant.clone(), handle));
            peer.gate.recognize();
            // Only now: whoever takes it back from here on finds the connection.
            if !self.state.holds(grant.serial) {
                peer.gate.cut();
            }
        }
    }

    /// Forgets every grant and ends every connection.
    pub(crate) async fn revoke_all(&self) {
        self.state.revoke_grants();
        self.end_connections("the session was revoked", |_| true).await;
    }

    /// Ends every connection whose grant `ends` names. The grant may have run out and been forgotten long ago.
    pub(crate) async fn end_connections(&self, reason: &str, ends: impl Fn(&Grant) -> bool) {
        let ending: Vec<(Arc<Gate>, Handle)> = {
            let connections = self.lock();
            let logged_in = connections.values().filter_map(|peer| Some((&peer.gate, peer.login.as_ref()?)));
            logged_in
                .filter(|(_, (grant, _))| ends(grant))
                .map(|(gate, (_, handle))| (gate.clone(), handle.clone()))
                .collect()
        };
        let mut goodbyes = JoinSet::new();
        for (gate, handle) in ending {
            let reason = reason.to_owned();
            goodbyes.spawn(async move {
                let said = handle.disconnect(Disconnect::ByApplication, reason, String::new());
                let _ = tokio::time::timeout(GOODBYE, said).await;
                tokio::time::sleep(GOODBYE / 10).await;
                gate.cut();
            });
        }
        while goodbyes.join_next().await.is_some() {}
    }

    /// Cuts every connection without a word, logged in or not.
    pub(crate) fn cut_connections(&self) {
        self.lock().values().for_each(|peer| peer.gate.cut());
    }
}

fn config(host_key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard(concat!("SSH-2.0-runcode_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: REFUSAL_TIME,
        // The first question, which methods there are, is no attempt.
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 6,
        keys: vec![host_key],
        inactivity_timeout: None,
        // Nobody is thrown out for silence, but the system of a client that has died answers with a reset.
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 0,
        event_buffer_size: 64,
        nodelay: true,
        preferred: preferred(),
        ..Config::default()
    }
}

/// What is offered: of what OpenSSH offers by default, the part that nobody has a complaint about.
fn preferred() -> Preferred {
    const KEX: &[kex::Name] = &[
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::DH_G16_SHA512,
        kex::DH_G18_SHA512,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    // Compression only for who is logged in.
    const COMPRESSION: &[compression::Name] = &[compression::NONE, compression::ZLIB_LEGACY];
    Preferred { kex: KEX.into(), compression: COMPRESSION.into(), ..Preferred::default() }
}
