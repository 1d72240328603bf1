//! Where sessions lead.

use crate::Task;
use crate::state::{Whose, Workspace};

/// An SSH server that honours the plane's grants, or the hosts that do.
pub trait Gateway: Send + Sync {
    /// How a client reaches the workspace.
    fn route(&self, workspace: &Workspace) -> Route;

    /// Ends connections, with a reason for the user. Called once the grants are gone, so that none can come back.
    fn end<'a>(&'a self, whose: Whose, reason: &'a str) -> Task<'a, ()>;

    /// Shows another host key from now on, as an impostor would; whether it could.
    #[cfg(feature = "faults")]
    fn change_host_key(&self) -> bool {
        false
    }

    /// Cuts every connection without a word, as a lost network would.
    #[cfg(feature = "faults")]
    fn cut_connections(&self) {}
}

/// How a client reaches a workspace.
#[derive(Debug, Clone)]
pub struct Route {
    /// A host name or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The host keys that it may show, as OpenSSH lines without a comment.
    pub host_keys: Vec<String>,
    /// The project folder as the client is told it: an absolute path.
    pub workdir: Option<String>,
}
