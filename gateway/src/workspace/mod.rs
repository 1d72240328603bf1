//! A workspace: a folder, the environment of a login in it, and the processes that run there.

mod account;
#[cfg(unix)]
mod before_exec;
mod command;
mod environment;
#[cfg_attr(windows, expect(dead_code, reason = "sessions and groups of processes are Unix's"))]
mod proc;
mod processes;
mod terminal;

pub(crate) use command::{Invocation, spawn};
pub(crate) use environment::{Login, accepts_variable};
pub(crate) use processes::{ProcessSession, Processes};
pub(crate) use terminal::{Ends, Terminal, TerminalRequest, spawn_in_terminal};
