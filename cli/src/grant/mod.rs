//! A grant: what a command needs to reach a workspace, every part of it validated.
//!
//! Nothing here trusts where a value came from. Constructors are the only way in, and a value of these types is
//! safe to render into an ssh config, a known_hosts file, an argv or a terminal.

pub mod certificate;
pub mod destination;
pub mod endpoint;
pub mod expiry;
pub mod host_key;
pub mod web_url;
pub mod workdir;

pub use certificate::Certificate;
pub use destination::Destination;
pub use endpoint::{Endpoint, Host, Port, SshUser};
pub use expiry::Expiry;
pub use host_key::Pins;
pub use web_url::WebUrl;
pub use workdir::Workdir;

/// How the client proves who it is: always by its own key, and by a certificate for it when one came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The public key itself is registered at the gateway.
    Key,
    /// A certificate authority that the gateway trusts has signed the public key.
    Certificate(Certificate),
}

/// Where to connect, whom to trust, as whom, where to work, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The gateway and the user there.
    pub endpoint: Endpoint,
    /// The host keys that the gateway may show.
    pub pins: Pins,
    /// What proves who we are.
    pub credential: Credential,
    /// When it ends.
    pub expires_at: Expiry,
    /// The project folder on the box.
    pub workdir: Workdir,
    /// The workspace's page, for display.
    pub web_url: Option<WebUrl>,
}
