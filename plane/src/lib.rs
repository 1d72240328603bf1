//! Behind the feature `serve`: an embedded control plane with an SSH gateway.
//!
//! [`Plane`] serves folders of this machine as workspaces: an HTTP API, a login page and an SSH gateway, on
//! loopback only. Whoever holds a session runs commands **as the user who started the plane**, in the
//! workspace's folder but not confined to it. It is for development, demonstrations and tests.

#[cfg(feature = "serve")]
mod access_log;
#[cfg(feature = "serve")]
mod entrance;
#[cfg(feature = "serve")]
mod error;
#[cfg(feature = "serve")]
mod fault;
#[cfg(feature = "serve")]
mod gateway;
#[cfg(feature = "serve")]
mod http;
#[cfg(feature = "serve")]
mod options;
#[cfg(feature = "serve")]
mod plane;
#[cfg(feature = "serve")]
mod state;
#[cfg(feature = "serve")]
mod workspace;

#[cfg(feature = "serve")]
pub use error::Error;
#[cfg(feature = "serve")]
pub use fault::{Fault, FaultRule};
#[cfg(feature = "serve")]
pub use options::{CredentialMode, Options, UserSpec, WorkspaceSpec};
#[cfg(feature = "serve")]
pub use plane::Plane;
#[cfg(feature = "serve")]
pub use state::STATE_FILE;
