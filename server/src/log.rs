//! The log: JSON lines on stderr.

use std::io::Write as _;

use serde_json::Value;

/// Writes a line. A log that cannot be written stops nothing.
pub(crate) fn line(value: &Value) {
    let _ = writeln!(std::io::stderr().lock(), "{value}");
}
