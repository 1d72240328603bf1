//! The Model Context Protocol over stdio: JSON-RPC, one message a line, in both of its eras.
//!
//! What is here knows nothing of tools: a [`Service`] has them. `workspace` is the service of `runcode mcp`, `serve` that of
//! `runcode serve`; `jump` is a client of a workspace's own server. Everything
//! blocks: one thread reads, each call has its own, and one [`Outbox`] writes.

mod calls;
mod era;
mod framing;
pub mod jump;
mod message;
pub mod numbers;
mod outbox;
mod progress;
#[cfg(unix)]
pub mod serve;
mod server;
#[cfg(test)]
mod server_tests;
pub mod workspace;

pub use calls::Call;
#[cfg(unix)]
pub(crate) use framing::{Line, Lines};
pub use outbox::Outbox;
#[cfg(unix)]
pub(crate) use server::watch_parent;
pub use server::{Client, Server, Service, serve as serve_process};

#[cfg(all(unix, any(fuzzing, test)))]
pub use serve::fuzz as tools_for_fuzzing;
#[cfg(any(fuzzing, test))]
pub use server::fuzz as messages_for_fuzzing;
