//! The SSH gateway.

mod backlog;
mod channel;
mod connection;
mod exit;
mod gate;
mod listener;
mod login;
mod run;

pub(crate) use listener::Gateway;
