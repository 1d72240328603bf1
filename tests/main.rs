//! End-to-end tests: the built binary, real processes, a real ssh client; everything on loopback, in temporary folders.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failing step is the test's failure; one binary, nothing to reach it"
)]

mod support;

mod commands;
mod context;
mod failures;
mod files;
mod forward;
mod help;
mod hostile;
mod layers;
mod sessions;
mod transport;
