//! The control plane: its address, our token, its API, and logging in.

pub mod base_url;
pub mod bundle;
pub mod client;
pub mod login;
pub mod token;
mod tripwire;
pub mod workspace;

pub use base_url::BaseUrl;
pub use client::Client;
pub use token::Token;
pub use workspace::Workspace;
