//! A few names, and how many there were in all.

use crate::output::sanitize;

/// How many are kept.
const KEPT: usize = 5;

/// The first of some names, fit to be shown, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Names {
    /// One more: its name, and what is to be said of it.
    pub(super) fn add(&mut self, name: &str, why: &str) {
        self.count += 1;
        if self.named.len() < KEPT {
            let name = sanitize::short(name);
            self.named.push(if why.is_empty() { name } else { format!("{name} ({why})") });
        }
    }

    /// All that `other` has as well.
    pub(super) fn append(&mut self, other: &Names) {
        self.count += other.count;
        let room = KEPT.saturating_sub(self.named.len());
        self.named.extend(other.named.iter().take(room).cloned());
    }
}

/// What was there to be sent or fetched, and was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// What could not be read, or changed while it was read.
    pub unread: Names,
    /// What went away between the listing and its turn.
    pub vanished: Names,
}

impl Missing {
    /// One more, which `error` kept from being read.
    pub(super) fn add(&mut self, name: &str, error: &std::io::Error) {
        if error.kind() == std::io::ErrorKind::NotFound {
            self.vanished.add(name, "");
        } else {
            self.unread.add(name, &crate::error::reason(error));
        }
    }

    /// All that `other` has as well.
    pub(super) fn append(&mut self, other: &Missing) {
        self.unread.append(&other.unread);
        self.vanished.append(&other.vanished);
    }
}
