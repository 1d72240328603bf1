//! End-to-end tests: the built binary, real processes, a real ssh client; everything on loopback, in temporary folders.
#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

mod support;

mod commands;
mod failures;
mod layers;
mod sessions;
