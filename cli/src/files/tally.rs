//! Counts things of a kind, and keeps the names of the first few.

use crate::output::sanitize;

/// How many names are kept.
pub(super) const KEPT: usize = 5;

/// A count, and the first of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The first of them, safe to show.
    pub named: Vec<String>,
}

impl Tally {
    /// Counts one more, shown by this name.
    pub(super) fn add(&mut self, shown: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < KEPT {
            self.named.push(shown());
        }
    }

    /// All that `other` has as well.
    pub(super) fn append(&mut self, other: &Tally) {
        self.count += other.count;
        let room = KEPT.saturating_sub(self.named.len());
        self.named.extend(other.named.iter().take(room).cloned());
    }
}

/// What should have been sent or fetched, but was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// What could not be read, or changed while it was read.
    pub unread: Tally,
    /// What disappeared after it was listed.
    pub vanished: Tally,
}

impl Missing {
    /// Counts one more, which could not be read because of `error`.
    pub(super) fn add(&mut self, name: &str, error: &std::io::Error) {
        if error.kind() == std::io::ErrorKind::NotFound {
            self.vanished.add(|| sanitize::short(name));
        } else {
            self.unread.add(|| format!("{} ({})", sanitize::short(name), crate::error::reason(error)));
        }
    }

    /// All that `other` has as well.
    pub(super) fn append(&mut self, other: &Missing) {
        self.unread.append(&other.unread);
        self.vanished.append(&other.vanished);
    }
}
