//! What the agent clients call at certain moments: one JSON answer on stdout, no prose for a script to parse.

pub mod session_start;
