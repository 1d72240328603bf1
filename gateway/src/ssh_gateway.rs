//! What all connections share: keys, state, and who is connected.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "faults")]
use runcode_plane::Faults;
use runcode_plane::{AccessLog, Authority, Gateway, Grant, Route, State, Task, Visit, Whose, Workspace};
use russh::server::{Config, Handle};
use russh::{Disconnect, MethodKind, MethodSet, Preferred, SshId, compression, kex};
#[cfg(feature = "faults")]
use ssh_key::Algorithm;
use ssh_key::PrivateKey;
use tokio::task::JoinSet;

use crate::folders::Folders;
use crate::workspace::Processes;

/// How long every refusal takes, whatever its reason.
const REFUSAL_TIME: Duration = Duration::from_millis(250);
/// How long a client may be silent before it gets a message.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long an ended connection has to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// The gateway: what connections share.
pub(crate) struct SshGateway {
    pub(crate) state: Arc<State>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) processes: Processes,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) address: SocketAddr,
    #[cfg(feature = "faults")]
    pub(crate) faults: Arc<Faults>,
    folders: Folders,
    config: Mutex<Arc<Config>>,
    connections: Mutex<HashMap<u64, Peer>>,
    last: AtomicU64,
}

/// A connection, as the gateway sees it.
struct Peer {
    visit: Arc<Visit>,
    /// Known once it is logged in: what let it in, and the way to tell it something.
    login: Option<(Grant, Handle)>,
}

impl SshGateway {
    pub(crate) fn new(
        state: Arc<State>,
        authority: Arc<Authority>,
        log: Arc<AccessLog>,
        address: SocketAddr,
        host_key: PrivateKey,
        folders: Folders,
        #[cfg(feature = "faults")] faults: Arc<Faults>,
    ) -> Self {
        SshGateway {
            state,
            authority,
            processes: Processes::default(),
            log,
            address,
            #[cfg(feature = "faults")]
            faults,
            folders,
            config: Mutex::new(Arc::new(config(host_key))),
            connections: Mutex::default(),
            last: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Peer>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The public half of the host key, as an OpenSSH line.
    pub(crate) fn host_key(&self) -> String {
        self.config().keys.first().and_then(|key| key.public_key().to_openssh().ok()).unwrap_or_default()
    }

    /// What a new connection is greeted with.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a connection in and gives it a number.
    pub(crate) fn enter(&self, visit: Arc<Visit>) -> u64 {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Peer { visit, login: None });
        id
    }

    /// Forgets a connection that has ended.
    pub(crate) fn leave(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Takes note that a connection is logged in, or cuts it when what it logged in with was taken back meanwhile.
    pub(crate) async fn logged_in(&self, id: u64, grant: &Grant, handle: Handle) {
        let visit = {
            let mut connections = self.lock();
            let Some(peer) = connections.get_mut(&id) else { return };
            peer.login = Some((grant.clone(), handle));
            peer.visit.recognize();
            peer.visit.clone()
        };
        // Only now: whoever takes it back from here on finds the connection.
        if !self.state.holds(grant.serial).await {
            visit.cut();
        }
    }

    /// Cuts every connection, logged in or not.
    pub(crate) fn cut_all(&self) {
        self.lock().values().for_each(|peer| peer.visit.cut());
    }

    /// Ends connections. Their grants may have run out and been forgotten long ago.
    async fn end_connections(&self, whose: &Whose, reason: &str) {
        let ending: Vec<(Arc<Visit>, Handle)> = {
            let connections = self.lock();
            let logged_in = connections.values().filter_map(|peer| Some((&peer.visit, peer.login.as_ref()?)));
            logged_in
                .filter(|(_, (grant, _))| whose.includes(grant))
                .map(|(visit, (_, handle))| (visit.clone(), handle.clone()))
                .collect()
        };
        let mut goodbyes = JoinSet::new();
        for (visit, handle) in ending {
            let reason = reason.to_owned();
            goodbyes.spawn(async move {
                let said = handle.disconnect(Disconnect::ByApplication, reason, String::new());
                let _ = tokio::time::timeout(GOODBYE, said).await;
                tokio::time::sleep(GOODBYE / 10).await;
                visit.cut();
            });
        }
        while goodbyes.join_next().await.is_some() {}
    }
}

impl Gateway for SshGateway {
    fn route(&self, workspace: &Workspace) -> Route {
        Route {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            host_keys: vec![self.host_key()],
            workdir: self.folders.name(workspace.id),
        }
    }

    fn end<'a>(&'a self, whose: Whose, reason: &'a str) -> Task<'a, ()> {
        Box::pin(async move { self.end_connections(&whose, reason).await })
    }

    #[cfg(feature = "faults")]
    fn change_host_key(&self) -> bool {
        let Ok(key) = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519) else { return false };
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config(key));
        true
    }

    #[cfg(feature = "faults")]
    fn cut_connections(&self) {
        self.cut_all();
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
