use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "faults")]
use runcode_plane::FaultRule;
use runcode_plane::{CredentialMode, Rules, UserSpec, WorkspaceSpec};

/// What a plane serves, and how. [`Options::default`] serves nothing on 127.0.0.1, with ports that the system chooses.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address of both listeners; anything but loopback is an error.
    pub listen: IpAddr,
    /// The port of the HTTP API and the login page; 0 lets the system choose.
    pub http_port: u16,
    /// The port of the SSH gateway; 0 lets the system choose.
    pub ssh_port: u16,
    /// The workspaces, numbered from 1 in this order.
    pub workspaces: Vec<WorkspaceSpec>,
    /// The users. Without one there is `you@localhost`; the first is the one that [`crate::Plane::token`] belongs to.
    pub users: Vec<UserSpec>,
    /// How long a stopped workspace says `starting` before it runs, and a stopping one `stopping`.
    pub boot_delay: Duration,
    /// How sessions prove who they are.
    pub credential: CredentialMode,
    /// The longest session that is granted, whatever a client asks for. When its time is over nothing logs in with it any
    /// more; a connection that stands goes on, as with sshd(8), until the session is revoked: by a stop, a logout or the
    /// plane's end.
    pub max_ttl: Duration,
    /// Whether sessions are granted at all; when not, asking for one is answered 503.
    pub ssh_enabled: bool,
    /// The largest number of sessions that a user may ask for in a minute; more are answered 429.
    pub sessions_per_minute: u32,
    /// Whether the login page answers without asking, for tests and demonstrations without a person.
    pub auto_authorize: bool,
    /// The folder that workspaces, users, tokens and keys survive a restart in; `None` forgets them.
    pub state: Option<PathBuf>,
    /// What goes wrong from the start; see [`FaultRule`].
    #[cfg(feature = "faults")]
    pub faults: Vec<FaultRule>,
    /// The file that gets one JSON line per request and connection.
    pub access_log: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            ssh_port: 0,
            workspaces: Vec::new(),
            users: Vec::new(),
            boot_delay: Duration::from_secs(1),
            credential: CredentialMode::Key,
            max_ttl: Duration::from_secs(1800),
            ssh_enabled: true,
            sessions_per_minute: 600,
            auto_authorize: false,
            state: None,
            #[cfg(feature = "faults")]
            faults: Vec::new(),
            access_log: None,
        }
    }
}

impl Options {
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            credential: self.credential,
            max_ttl: self.max_ttl,
            ssh_enabled: self.ssh_enabled,
            sessions_per_minute: self.sessions_per_minute,
        }
    }
}
