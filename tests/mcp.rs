//! `mcp`: a client's messages to the built binary, and what happens on the workspace.

mod files;
pub mod peer;
mod peers;
mod protocol;
mod run;
