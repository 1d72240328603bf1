use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use runcode_plane::{
    AccessLog, Addresses, Authority, Error, Gateway, Site, Sqlite, Started, State, Tickets, Whose,
};
#[cfg(feature = "faults")]
use runcode_plane::{FaultRule, Faults, Switchboard, nonce};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

use crate::folders::Folders;
use crate::listener;
use crate::options::Options;
use crate::power::Local;
use crate::ssh_gateway::SshGateway;

/// A running control plane with its SSH gateway, on loopback only.
///
/// Commands run as the user who started the plane. Dropping it ends everything: listeners, connections and
/// every process that a session started.
pub struct Plane {
    address: SocketAddr,
    web_base: String,
    token: String,
    #[cfg(feature = "faults")]
    switchboard: String,
    #[cfg(feature = "faults")]
    faults: Arc<Faults>,
    gateway: Arc<SshGateway>,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Plane {
    /// Opens both listeners and serves from a thread of its own; returns once both accept.
    ///
    /// # Errors
    /// When the options cannot be served: an address that is not loopback, a port that is taken, a folder that is not there.
    pub fn start(options: Options) -> Result<Plane, Error> {
        if !options.listen.is_loopback() {
            return Err(Error::NotLoopback(options.listen));
        }
        let store = options.state.as_deref().map_or_else(Sqlite::in_memory, Sqlite::open)?;
        let log = Arc::new(AccessLog::open(options.access_log.as_deref())?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("runcode-plane")
            .enable_all()
            .build()
            .map_err(Error::io("a runtime"))?;
        let opened = State::open(Arc::new(store), &options.users, &options.workspaces, options.rules());
        let (state, token) = runtime.block_on(opened)?;
        let state = Arc::new(state);
        let host_key = runtime.block_on(state.key("host"))?;
        let authority = Arc::new(Authority::new(runtime.block_on(state.key("authority"))?));
        // Kept, so that an address that was told stays good.
        let pages = runtime.block_on(state.secret("pages"))?;
        let folders = Folders::of(&runtime.block_on(state.workspaces())?)?;
        let (http, address) = listen(&runtime, "HTTP", SocketAddr::new(options.listen, options.http_port))?;
        let (ssh, gateway_address) =
            listen(&runtime, "SSH", SocketAddr::new(options.listen, options.ssh_port))?;
        let addresses = Addresses::new(&pages);
        let web_base = format!("http://{address}{}", addresses.login);
        #[cfg(feature = "faults")]
        let faults = Arc::new(Faults::new(options.faults));
        let gateway = Arc::new(SshGateway::new(
            state.clone(),
            authority.clone(),
            log.clone(),
            gateway_address,
            host_key,
            folders,
            #[cfg(feature = "faults")]
            faults.clone(),
        ));
        let power =
            Local::new(gateway.processes.clone(), gateway_address, options.boot_delay, &options.workspaces);
        #[cfg(feature = "faults")]
        let switchboard = nonce();
        let site = Arc::new(Site {
            state,
            authority,
            gateway: gateway.clone(),
            power: Arc::new(power),
            log,
            base: format!("http://{address}"),
            addresses,
            auto_authorize: options.auto_authorize,
            keeps_state: options.state.is_some(),
            tickets: Tickets::default(),
            started: Started::default(),
            #[cfg(feature = "faults")]
            switchboard: Switchboard { faults: faults.clone(), path: switchboard.clone() },
        });
        let (stop, stopped) = oneshot::channel();
        let (serving, handle) = (gateway.clone(), runtime.handle().clone());
        let thread = std::thread::Builder::new()
            .name("runcode-plane".to_owned())
            .spawn(move || serve(&runtime, site, http, ssh, serving, stopped))
            .map_err(Error::io("a thread"))?;
        Ok(Plane {
            address,
            web_base,
            token,
            #[cfg(feature = "faults")]
            switchboard,
            #[cfg(feature = "faults")]
            faults,
            gateway,
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The base of the API, `http://127.0.0.1:PORT`.
    pub fn api_base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base of the login page, `http://127.0.0.1:PORT/dev-SECRET`: only who knows it can open the page.
    pub fn web_base(&self) -> String {
        self.web_base.clone()
    }

    /// Where the SSH gateway listens.
    pub fn gateway_addr(&self) -> SocketAddr {
        self.gateway.address
    }

    /// A token of the first user.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The public half of the gateway's host key, as an OpenSSH line.
    pub fn host_key(&self) -> String {
        self.gateway.host_key()
    }

    /// Forgets every session that was granted and ends their connections. Not from within a task: it waits for them.
    pub fn revoke_sessions(&self) {
        self.runtime.block_on(async {
            self.gateway.state.revoke_grants().await;
            self.gateway.end(Whose::Everybody, "the session was revoked").await;
        });
    }

    /// Ends every process that a session started, closes everything and waits for it.
    pub fn stop(self) {}
}

/// What goes wrong on request.
#[cfg(feature = "faults")]
impl Plane {
    /// Shows another host key to every connection from now on, as an impostor would: bundles carry it too. Returns whether it could.
    #[must_use]
    pub fn change_host_key(&self) -> bool {
        self.gateway.change_host_key()
    }

    /// Puts these rules about what goes wrong in the place of all others.
    pub fn set_faults(&self, faults: Vec<FaultRule>) {
        self.faults.set(faults);
    }

    /// A URL that only the holder of this value knows. It takes orders by POST, as JSON: `{"do": "set-faults",
    /// "faults": […]}`, `{"do": "change-host-key"}`, `{"do": "cut-connections"}`, `{"do": "revoke-sessions"}`.
    pub fn switchboard_url(&self) -> String {
        format!("{}/{}", self.api_base(), self.switchboard)
    }

    /// Cuts every SSH connection without a word, as a lost network would.
    pub fn cut_connections(&self) {
        self.gateway.cut_connections();
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(
    runtime: &Runtime,
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |source| Error::Bind { what, address, source };
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

fn serve(
    runtime: &Runtime,
    site: Arc<Site>,
    http: TcpListener,
    ssh: TcpListener,
    gateway: Arc<SshGateway>,
    stopped: oneshot::Receiver<()>,
) {
    let processes = gateway.processes.clone();
    runtime.block_on(async {
        tokio::select! {
            () = runcode_plane::serve(site, http) => {}
            () = listener::serve(gateway.clone(), ssh) => {}
            _ = stopped => {}
        }
        gateway.state.revoke_grants().await;
        gateway.end(Whose::Everybody, "the server is going down").await;
        gateway.cut_all();
        processes.end_all(None).await;
        processes.end_strays(gateway.address, None).await;
    });
}
