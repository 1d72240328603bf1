//! Notes on stderr while a command is at work. stdout stays the report's alone.

use std::io::{IsTerminal as _, Write as _};

use crate::output::sanitize;

/// Writes one filtered line to stderr at once. A stderr that is gone is not an error.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", sanitize::line(line.as_ref()));
}

/// Whether a person is likely to watch stderr.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
