//! End-to-end tests: the built binary, real processes, a real ssh client; everything on loopback, in temporary folders.
#![cfg(unix)]
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failing step is the test's failure; one binary, nothing to reach it"
)]

use runcode_test_kit as support;

mod attachments;
mod codex;
mod commands;
mod completions;
mod config_ssh;
mod connections;
mod context;
#[cfg(feature = "dev")]
mod dev;
mod doctor;
mod editors;
mod failures;
mod files;
mod forward;
mod guides;
mod help;
mod hostile;
mod install;
mod jobs;
mod jump;
mod layers;
mod logins;
mod manifests;
mod mcp;
mod one_process;
mod origins;
mod picture;
mod places;
mod proxy;
mod python_clients;
mod round_trips;
mod routing;
#[cfg(target_os = "linux")]
mod self_hosting;
mod serve;
mod servers;
mod sessions;
mod shell;
mod ssh_hosts;
mod statusline;
mod transport;
mod usage;
