//! The SSH gateway.

mod authority;
mod backlog;
mod channel;
mod connection;
mod exit;
mod forward;
mod gate;
mod listener;
mod login;
mod open_channel;
mod relay;
mod run;
mod sftp;

pub(crate) use gate::{Gate, Gated};
pub(crate) use listener::{Gateway, Keys};
