//! Codex's tools on the workspace: the protocol as a scripted Codex speaks it, and the verbs around it. The real Codex is in
//! tests/plugin.

mod files;
mod gone;
mod install;
mod launch;
mod peer;
mod processes;
mod protocol;
