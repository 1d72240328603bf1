//! Profiles: the commands that a server's owner allows, each with a name and typed arguments.
//!
//! A [`Profile`] is read from templates ([`Words`]) and rules for its arguments ([`Argument`]). With the values that a caller
//! gives it becomes a [`Call`]: one text for `sh` ([`Call::rendered`]) in which every value is exactly one argument, or part of one,
//! and none is an option unless the profile says so. [`one_line`] is what the host runs for it. Nothing here does I/O.

pub mod approval;
mod argument;
mod line;
mod profile;
mod programs;
mod warnings;
mod words;

pub use argument::{Argument, Kind};
pub use line::{NAME, SUPERVISOR, one_line};
pub use profile::{Call, MAX_ARGUMENTS, MAX_RENDERED, Mistake, Profile, Refusal, Rules};
pub use words::{MAX_TEMPLATE, MAX_WORDS, Words, is_argument_name};

/// What stands where a secret would.
pub const REDACTED: &str = "[redacted]";
