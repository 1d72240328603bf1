//! What the agent clients call at certain moments: one JSON answer on stdout, no prose for a script to parse.

pub mod asked;
pub mod gate;
#[cfg(test)]
mod gate_tests;
pub mod guard;
pub mod own_verbs;
pub mod road;
pub mod session_start;
pub mod simple_command;
#[cfg(test)]
mod simple_command_tests;
