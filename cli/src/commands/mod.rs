//! One file per verb: its arguments (the doc comments are the help), its function, its report.

pub mod clean;
pub mod connect;
pub mod current;
pub mod demo;
pub mod dev;
pub mod disconnect;
pub mod exec;
pub mod list;
pub mod login;
pub mod logout;
pub mod run;
pub mod shell;
pub mod status;
pub mod stop;
