//! A grant: what a command needs to reach a workspace, every part of it validated.
//!
//! Nothing here trusts where a value came from. Constructors are the only way in, and a value of these types is
//! safe to render into an ssh config, a known_hosts file, an argv or a terminal.

pub mod access;
pub mod certificate;
pub mod destination;
pub mod endpoint;
pub mod expiry;
pub mod host_key;
pub mod named_server;
pub mod web_url;
pub mod workdir;

pub use access::{Access, Certified, Credential, External, Gateway, Hop, Trust};
pub use certificate::Certificate;
pub use destination::Destination;
pub use endpoint::{Endpoint, Host, Port, SshUser};
pub use expiry::{Expiry, Lifetime};
pub use host_key::{Pins, SIGNING, ServerPin, ServerPins, pinned_type};
pub use named_server::NamedServer;
pub use web_url::WebUrl;
pub use workdir::Workdir;

use crate::output::foreign::Name;

/// What an origin gives for one session: how to get in, where to work, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What the workspace is called.
    pub title: Name,
    /// The custom title; known if `shared` is.
    pub custom_title: Option<Name>,
    /// Whether it is somebody else's, shared with the user; `None` if unknown.
    pub shared: Option<bool>,
    /// What lets us in, and where.
    pub credential: Credential,
    /// When it ends.
    pub lifetime: Lifetime,
    /// The project folder on the workspace; none is the login folder.
    pub workdir: Option<Workdir>,
    /// The workspace's page, for display.
    pub web_url: Option<WebUrl>,
}
