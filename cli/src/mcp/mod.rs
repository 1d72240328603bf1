//! The Model Context Protocol over stdio: JSON-RPC, one message a line, in both of its eras.
//!
//! What is here knows nothing of tools: a [`Service`] has them. `workspace` is the service of `runcode mcp`. Everything
//! blocks: one thread reads, each call has its own, and one [`Outbox`] writes.

mod calls;
mod era;
mod framing;
mod message;
mod outbox;
mod progress;
mod server;
#[cfg(test)]
mod server_tests;
pub mod workspace;

pub use calls::Call;
pub use outbox::Outbox;
pub use server::{Client, Server, Service, serve};

#[cfg(any(fuzzing, test))]
pub use server::fuzz as messages_for_fuzzing;
