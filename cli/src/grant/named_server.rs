//! What servers.toml says of a host that the user's own ssh reaches.

use serde::{Deserialize, Serialize};

use crate::grant::{Port, ServerPins, SshUser};
use crate::output::foreign::Name;

/// A server of servers.toml that is logged in to as the user's own ssh does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedServer {
    /// The words that a command takes for it.
    pub words: String,
    /// The port, where the file names one.
    pub port: Option<Port>,
    /// The user, where the file names one.
    pub user: Option<SshUser>,
    /// The host keys that count; none are those of the user's own known_hosts.
    pub host_keys: Option<ServerPins>,
    /// What it is for, in its owner's words.
    pub environment: Option<Name>,
    /// Whether only profiles may run there.
    #[serde(default)]
    pub is_restricted: bool,
    /// A digest of all that the file says of it, so that a change is seen.
    pub definition: String,
}
