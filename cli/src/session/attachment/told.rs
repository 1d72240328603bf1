//! Folders whose user has been told which workspace commands there mean, though none is attached to them.

use std::path::Path;

use crate::session::attachment::{Attachment, Attachments};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::location::Location;

const MAX_FILE: usize = 16 * 1024;
const DIGITS: usize = 16;

impl Attachments<'_> {
    /// What to tell the user of a folder that has no attachment, if it has not been told before: that commands there reach
    /// `only`. Any change of what is attached makes it worth telling again.
    pub fn tell(self, folder: &Location, only: &Attachment) -> Option<String> {
        let line = format!("{} {}", digest(folder.real()), only.key.words());
        let file = self.paths.told();
        let told = atomic_file::read(&file, MAX_FILE).ok().flatten().unwrap_or_default();
        let told = String::from_utf8(told).unwrap_or_default();
        if told.lines().any(|other| other == line) {
            return None;
        }
        let is_full = told.len() + line.len() + 1 > MAX_FILE;
        let all = format!("{}{line}\n", if is_full { "" } else { &told });
        // Whoever cannot write it is told again.
        let _ = atomic_file::write_unsynced(&file, all.as_bytes(), 0o600);
        Some(format!(
            "note: nothing is attached to this folder; commands here reach {}, which is attached to {}",
            only.shown(),
            only.shown_folder()
        ))
    }

    /// Forgets who has been told.
    pub(super) fn forget_told(self) {
        let _ = atomic_file::remove(&self.paths.told());
    }
}

fn digest(folder: &Path) -> String {
    let mut digest = sha256(folder.as_os_str().as_encoded_bytes());
    digest.truncate(DIGITS);
    digest
}
