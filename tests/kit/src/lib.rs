//! What every test stands on: a user with an empty home, and a plane with a gateway of its own.
#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::new_without_default,
    reason = "a failing step is the test's failure; a name that says it all needs no more"
)]

pub mod chromium;
mod command_output;
pub mod editor_fixture;
pub mod fake_plane;
pub mod fake_signer;
pub mod gateway_fixture;
pub mod http;
mod processes;
pub mod real_sshd;
pub mod reference_sshd;
pub mod relay;
pub mod rough;
pub mod ssh_session;
mod sshd_process;
pub mod tls_front;
mod world;

pub use command_output::CommandOutput;
pub use processes::{PATIENCE, feed, is_running, processes_with, silent, skipped, until};
pub use world::{World, binary};

/// Whether sessions are proven by certificates, as every test holds with either: `RUNCODE_TEST_CREDENTIAL=certificate
/// cargo test`.
pub fn with_certificates() -> bool {
    std::env::var_os("RUNCODE_TEST_CREDENTIAL").is_some_and(|mode| mode == "certificate")
}
