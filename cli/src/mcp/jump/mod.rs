//! The client of a workspace's own tools: it starts a server there, as a command of the session, and speaks with it.
//!
//! Whatever the other side answers is foreign text, and it may answer anything: see `heard`.

mod arguments;
mod heard;
mod link;
mod program;
mod result;
mod talk;
mod tools;

pub use arguments::{Given, arguments};
#[cfg(any(fuzzing, test))]
pub use heard::fuzz as answers_for_fuzzing;
pub use program::Program;
pub use result::Said;
pub use talk::{Sink, Talk};
pub use tools::{Tool, Tools};
