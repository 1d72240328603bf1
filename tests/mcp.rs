//! `mcp`: a client's messages to the built binary, and what happens on the workspace.

mod files;
mod peer;
mod peers;
mod protocol;
mod run;
