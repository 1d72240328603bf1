//! What a transfer did.

use std::time::Instant;

use serde_json::{Value, json};

use crate::output::report::{Report, Text};

/// The result of `write`, `put` and `get`.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Where it went, for people.
    pub to: String,
    /// The bytes of the files that travelled.
    pub bytes: u64,
    /// How many files and links travelled.
    pub files: u64,
    /// How many were there already and did not travel.
    pub unchanged: u64,
    /// The SHA-256 of one file's content; for several, of the list of theirs.
    pub sha256: Option<String>,
    /// What was left behind: devices, sockets and the like.
    pub skipped: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Summary {
    /// The result of a transfer that began at `start`.
    pub(super) fn new(to: String, start: Instant) -> Summary {
        Summary {
            to,
            bytes: 0,
            files: 0,
            unchanged: 0,
            sha256: None,
            skipped: 0,
            seconds: start.elapsed().as_secs_f64(),
        }
    }

    /// Adds what another transfer of the same command did.
    pub(super) fn add(&mut self, other: &Summary) {
        self.bytes += other.bytes;
        self.files += other.files;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.seconds += other.seconds;
        self.sha256 = None;
    }
}

impl Report for Summary {
    fn json(&self) -> Value {
        json!({
            "to": self.to,
            "bytes": self.bytes,
            "files": self.files,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "sha256": self.sha256,
            "seconds": (self.seconds * 1000.0).round() / 1000.0,
        })
    }

    fn text(&self, text: &mut Text) {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let mut line = format!(
            "✓ {}: {} byte{} in {} file{}, {:.1} s",
            self.to,
            self.bytes,
            plural(self.bytes),
            self.files,
            plural(self.files),
            self.seconds
        );
        if self.unchanged > 0 {
            line += &format!(" ({} unchanged)", self.unchanged);
        }
        text.line(line);
        if self.skipped > 0 {
            text.line(format!("  left out: {} that are no file, folder or link", self.skipped));
        }
    }
}
