//! The embedded plane, driven from outside: HTTP as it is, and the system's own `ssh`.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

use runcode_test_kit as support;

mod api;
mod browser;
mod clients;
mod exec;
mod faults;
mod files;
mod flow;
mod forward;
mod kept;
mod login;
mod pages;
mod refusals;
mod revocation;
