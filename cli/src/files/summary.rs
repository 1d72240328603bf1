//! What a transfer did.

use std::time::Instant;

use serde_json::{Value, json};

use crate::files::notes::list;
use crate::files::{Missing, Notes, Tally};
use crate::output::foreign;
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
    /// Whether a file that was written was not there before.
    pub is_new: bool,
    /// How many were there already and did not travel.
    pub unchanged: u64,
    /// The SHA-256 of one file's content; for several, of the list of theirs.
    pub sha256: Option<String>,
    /// What was left behind: devices, sockets and the like.
    pub skipped: u64,
    /// The links that were left out, since they lead out of the folder.
    pub left_out: Tally,
    /// What could not be read, or disappeared.
    pub missing: Missing,
    /// The files that were left out because other programs would have run or obeyed them.
    pub kept_out: Tally,
    /// The files among those that travelled that other programs run or obey by themselves.
    pub autorun: Tally,
    /// What could not be as it was asked for.
    pub notes: Notes,
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
            is_new: false,
            unchanged: 0,
            sha256: None,
            skipped: 0,
            left_out: Tally::default(),
            missing: Missing::default(),
            kept_out: Tally::default(),
            autorun: Tally::default(),
            notes: Notes::default(),
            seconds: start.elapsed().as_secs_f64(),
        }
    }

    /// Adds what another transfer of the same command did.
    pub(super) fn add(&mut self, other: &Summary) {
        self.bytes += other.bytes;
        self.files += other.files;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
        self.left_out.append(&other.left_out);
        self.missing.append(&other.missing);
        self.kept_out.append(&other.kept_out);
        self.autorun.append(&other.autorun);
        self.notes.append(&other.notes);
        self.seconds += other.seconds;
        self.sha256 = None;
    }
}

impl Report for Summary {
    fn json(&self) -> Value {
        let mut report = json!({
            "to": self.to,
            "bytes": self.bytes,
            "files": self.files,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "sha256": self.sha256,
            "seconds": (self.seconds * 1000.0).round() / 1000.0,
        });
        for (field, tally) in [
            ("links_left_out", &self.left_out),
            ("unread", &self.missing.unread),
            ("vanished", &self.missing.vanished),
            ("kept_out", &self.kept_out),
            ("runs_by_itself", &self.autorun),
        ] {
            if tally.count > 0 {
                report[field] = json!({ "count": tally.count, "named": tally.named });
            }
        }
        self.notes.name_in(&mut report);
        report
    }

    /// Links that were left out and files that could not be read make the result incomplete. What disappeared does not.
    fn exit_status(&self) -> u8 {
        let lacks = self.left_out.count > 0 || self.missing.unread.count > 0 || self.notes.lack_something();
        u8::from(lacks)
    }

    fn text(&self, text: &mut Text) {
        self.text_of(text, &foreign::place(&self.to));
    }
}

impl Summary {
    /// The report as text, with these words for where everything went.
    pub fn text_of(&self, text: &mut Text, to: &str) {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let mark = if self.exit_status() > 0 { "✗" } else { "✓" };
        let mut line = format!(
            "{mark} {to}: {} byte{} in {} file{}, {:.1} s",
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
            text.line(format!("  left out: {} that are not files, folders or links", self.skipped));
        }
        for (what, names) in [
            ("could not be read", &self.missing.unread),
            ("disappeared during the transfer", &self.missing.vanished),
        ] {
            if names.count > 0 {
                text.line(format!("  left out: {} that {what}", names.count));
                list(text, names);
            }
        }
        let count = self.left_out.count;
        if count > 0 {
            text.line(format!(
                "  left out: {count} link{} out of the folder; --links keeps them",
                plural(count)
            ));
            list(text, &self.left_out);
        }
        self.notes.text(text);
        let count = self.autorun.count;
        if count > 0 {
            text.line(format!(
                "  other programs run or obey {}; read {} before you work in that folder:",
                if count == 1 { "this file by itself" } else { "these files by themselves" },
                if count == 1 { "it" } else { "them" },
            ));
            list(text, &self.autorun);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    /// What could not be read is missing from the result. What disappeared during the transfer would be gone in any case.
    #[test]
    fn what_is_missing_is_named_and_counted() {
        let mut summary = Summary::new("x".to_owned(), Instant::now());
        summary.missing.add("/p/gone", &Error::from(ErrorKind::NotFound));
        assert_eq!((summary.exit_status(), summary.json()["vanished"].is_null()), (0, false));
        (0..9).for_each(|_| summary.missing.add("/p/d", &Error::from(ErrorKind::PermissionDenied)));
        assert_eq!(summary.exit_status(), 1);
        let report = summary.json().to_string();
        assert!(report.contains("/p/gone") && report.contains("/p/d (") && report.contains('9'), "{report}");
    }
}
