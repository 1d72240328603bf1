//! `mcp`: a client's messages to the built binary, and what happens on the workspace.

mod peer;
mod protocol;
mod run;
