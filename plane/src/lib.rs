//! The core of a control plane: its HTTP API, its pages and its state.
//!
//! What it does not know stands behind traits: [`Gateway`] is where sessions lead, [`Power`] starts and stops workspaces.
//! It starts no process and speaks no SSH.

mod access_log;
mod authority;
mod entrance;
mod error;
#[cfg(feature = "faults")]
mod fault;
mod gateway;
mod http;
mod power;
mod spec;
mod state;
mod visit;

use std::pin::Pin;

pub use access_log::AccessLog;
pub use authority::Authority;
pub use entrance::Entrance;
pub use error::{Error, StoreError};
#[cfg(feature = "faults")]
pub use fault::{Fault, FaultRule, Faults};
pub use gateway::{Gateway, Route};
#[cfg(feature = "faults")]
pub use http::Switchboard;
pub use http::{Addresses, Page, Site, Started, Tickets, serve};
pub use power::{Declined, Power};
pub use spec::{CredentialMode, Rules, UserSpec, WorkspaceSpec};
pub use state::{
    Grant, Lifecycle, Refusal, STATE_FILE, Sqlite, State, Store, TokenHash, Transaction, Whose, Workspace,
    make_private, nonce,
};
pub use visit::{Side, Visit};

/// A future as an object-safe trait returns it.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
