//! The SSH gateway of `runcode dev`, and the control plane that goes with it.
//!
//! [`Plane`] serves folders of this machine as workspaces: an HTTP API, a login page and an SSH gateway, on
//! loopback only. Whoever holds a session runs commands **as the user who started the plane**, in the
//! workspace's folder but not confined to it. It is for development, demonstrations and tests.

mod backlog;
mod channel;
mod connection;
mod exit;
mod folders;
mod forward;
mod gate;
mod listener;
mod login;
mod open_channel;
mod options;
mod plane;
mod power;
mod relay;
mod run;
mod sftp;
mod ssh_gateway;
mod workspace;

pub use options::Options;
pub use plane::Plane;
pub use runcode_plane::{CredentialMode, Error, STATE_FILE, UserSpec, WorkspaceSpec};
#[cfg(feature = "faults")]
pub use runcode_plane::{Fault, FaultRule};
