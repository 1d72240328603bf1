//! `mcp`: a client's messages to the built binary, and what happens on the workspace.

mod edges;
mod endurance;
mod files;
mod hostile;
mod jobs;
mod limits;
pub mod peer;
mod peers;
mod protocol;
mod run;
