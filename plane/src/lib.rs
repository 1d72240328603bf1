//! The control plane's contract (`wire`) and, behind the feature `serve`, an embedded control plane with an SSH gateway.

pub mod wire;
