//! A session: the files and the connection that one workspace is reached by, from mint to removal.

pub mod approval;
pub mod approved;
pub mod attachment;
pub mod audit;
pub mod execution;
pub mod forwards;
#[cfg(target_os = "linux")]
pub mod helper;
pub mod hops;
pub mod input;
#[cfg(unix)]
pub mod keeper;
pub mod keypair;
pub mod live;
pub mod locked;
pub mod meta;
pub mod mint;
pub mod once;
#[cfg(unix)]
pub mod password;
pub mod policy;
pub mod profile;
pub mod resolve;
pub mod store;
#[cfg(unix)]
mod written;

pub use live::Sessions;
pub use meta::{Meta, Session, Titles};
