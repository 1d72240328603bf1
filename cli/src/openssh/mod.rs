//! The installed OpenSSH client: its program, version, words and questions, and the configs that it is given.

pub mod agent;
#[cfg(unix)]
pub mod askpass;
mod binary;
pub mod config;
pub mod external;
pub mod host_patterns;
pub mod hosts;
pub mod keygen;
pub mod log;
pub mod login;
mod pattern;
pub mod question;
pub mod told;
pub mod version;

pub use binary::{SshBinary, install_hint};
