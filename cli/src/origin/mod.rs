//! Where a session comes from.

pub mod hosted;
