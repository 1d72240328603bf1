//! The route to one workspace: how ssh gets there, where its master listens, and how long it may be used.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::grant::Endpoint;
use crate::openssh::external::OwnHost;
use crate::transport::OpenedServer;

/// The route to one workspace.
#[derive(Debug, Clone)]
pub struct Route {
    /// How ssh gets there.
    pub way: Way,
    /// The master's socket; `None` on Windows.
    pub control_path: Option<PathBuf>,
    /// The session folder.
    pub folder: PathBuf,
    /// Set if it may be used only for a while.
    pub bound: Option<Bound>,
}

/// How long something may be used. A keeper enforces it; this also holds if the keeper was killed.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// How long a master stays without use, in seconds.
    pub idle_seconds: u32,
    /// When everything ends.
    pub end: Timestamp,
}

impl Bound {
    /// How long a command may still take. The grace lets the keeper, which can say more, end it first.
    pub(super) fn left(self) -> Duration {
        const GRACE: Duration = Duration::from_secs(1);
        Duration::try_from(self.end.duration_since(Timestamp::now())).unwrap_or_default() + GRACE
    }
}

/// How ssh gets to a workspace.
#[derive(Debug, Clone)]
pub enum Way {
    /// By a config of ours, and nothing else.
    Config {
        /// The config, which names the master's socket too.
        config: PathBuf,
        /// The host alias in it; ours, so never an option to ssh.
        alias: String,
        /// Where it leads.
        gateway: Endpoint,
        /// The server of servers.toml that it is; none behind a control plane.
        server: Option<OpenedServer>,
    },
    /// By the user's own config.
    External(OwnHost),
}

impl Route {
    /// What ssh is told to connect to.
    pub fn destination(&self) -> &str {
        match &self.way {
            Way::Config { alias, .. } => alias,
            Way::External(host) => host.destination.as_str(),
        }
    }

    /// The gateway that this process may dial for ssh; `None` if only the user's config says how to get there, or if there are hops.
    pub fn gateway(&self) -> Option<&Endpoint> {
        match &self.way {
            Way::Config { server: Some(server), .. } if !server.hops.is_empty() => None,
            Way::Config { gateway, .. } => Some(gateway),
            Way::External(_) => None,
        }
    }
}
