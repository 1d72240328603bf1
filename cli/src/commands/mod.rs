//! One file per verb: its arguments (the doc comments are the help), its function, its report.

pub mod clean;
pub mod completions;
pub mod config_ssh;
pub mod connect;
pub mod current;
pub mod demo;
pub mod dev;
pub mod disconnect;
pub mod doctor;
pub mod exec;
pub mod get;
pub mod install_path;
pub mod install_statusline;
pub mod list;
pub mod login;
pub mod logout;
pub mod man;
pub mod proxy;
pub mod put;
pub mod run;
pub mod shell;
pub mod status;
pub mod statusline;
pub mod stop;
pub mod write;
