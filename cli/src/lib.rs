//! runcode
