//! A session: the files and the connection that one workspace is reached by, from mint to removal.

pub mod approval;
pub mod attachment;
pub mod execution;
pub mod forwards;
pub mod keypair;
pub mod live;
pub mod locked;
pub mod meta;
pub mod mint;
pub mod once;
pub mod policy;
pub mod profile;
pub mod resolve;
pub mod store;
#[cfg(unix)]
mod written;

pub use live::Sessions;
pub use meta::{Meta, Session};
