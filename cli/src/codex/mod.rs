//! The protocol by which Codex runs its tools somewhere else (its *environment*), spoken over a session: nothing of Codex is on
//! the workspace.
//!
//! JSON-RPC without its `jsonrpc` member: a message a line on stdio, or one in each text frame of a WebSocket. It has no version
//! of its own, so what a client says first is accepted only if it is exactly what we know (`server`). Codex speaks of
//! files by `file://` addresses of this machine; those in the attached folder mean the workdir (`paths`). Nothing that
//! it asks for is ever done on this machine.

mod command;
mod environment;
mod files;
mod launch;
mod message;
mod paths;
mod policy;
mod process;
mod server;
mod websocket;

pub use environment::Environment;
pub use launch::{Codex, refuse_arguments};
pub use server::serve_process;

pub use websocket::{Clients, Listener};

#[cfg(any(fuzzing, test))]
pub use message::fuzz as messages_for_fuzzing;
