//! Notes on a transfer that moved all content, but could not keep everything else.

use serde_json::{Value, json};

use crate::files::tally::Tally;
use crate::output::foreign;
use crate::output::report::Text;
use crate::output::sanitize;

/// The files of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Replaced files whose owner or group has changed.
    owner: Tally,
    /// Replaced files that lost their access list.
    access: Tally,
    /// Files that were written in place instead of being replaced.
    in_place: Tally,
    /// Files and folders that did not get their mode or time.
    mode: Tally,
    /// Links that were not made.
    link: Tally,
}

impl Notes {
    /// Adds a note as our scripts print it: a word, and the file. Ignores what it does not understand.
    pub(super) fn read(&mut self, note: &str) {
        let Some((word, path)) = note.split_once(' ') else { return };
        let tally = match word {
            "acl" => &mut self.access,
            "place" => &mut self.in_place,
            "mode" => &mut self.mode,
            "link" => &mut self.link,
            "owner" => {
                let Some((owner, path)) = path.split_once(' ') else { return };
                return self
                    .owner
                    .add(|| format!("{} (was {})", sanitize::short(path), sanitize::short(owner)));
            }
            _ => return,
        };
        tally.add(|| sanitize::short(path));
    }

    /// One more file or folder that did not get its mode or time.
    pub(super) fn no_mode(&mut self, path: &str) {
        self.mode.add(|| sanitize::short(path));
    }

    /// One more link that could not be made.
    pub(super) fn no_link(&mut self, path: &str) {
        self.link.add(|| sanitize::short(path));
    }

    /// All that `other` has as well.
    pub(super) fn append(&mut self, other: &Notes) {
        self.owner.append(&other.owner);
        self.access.append(&other.access);
        self.in_place.append(&other.in_place);
        self.mode.append(&other.mode);
        self.link.append(&other.link);
    }

    /// Whether anything that the user asked for is missing.
    pub(super) fn lack_something(&self) -> bool {
        self.link.count > 0
    }

    fn all(&self) -> [(&'static str, &'static str, &Tally); 5] {
        [
            ("owner_changed", "the owner or group of the replaced file could not be kept", &self.owner),
            ("acl_lost", "the access list of the replaced file could not be kept", &self.access),
            (
                "written_in_place",
                "could not be replaced in one step, so it was written in place",
                &self.in_place,
            ),
            ("mode_not_set", "mode or time could not be set there", &self.mode),
            (
                "links_not_made",
                "left out: links, which the target's file system does not support",
                &self.link,
            ),
        ]
    }

    /// Adds a field for each kind that there is.
    pub fn name_in(&self, report: &mut Value) {
        for (field, _, tally) in self.all() {
            if tally.count > 0 {
                report[field] = json!({ "count": tally.count, "named": tally.named });
            }
        }
    }

    /// Says the same to people.
    pub fn text(&self, text: &mut Text) {
        for (_, what, tally) in self.all() {
            if tally.count > 0 {
                text.line(format!("  {what}:"));
                list(text, tally);
            }
        }
    }
}

/// The names that are known, and how many more there are.
pub(super) fn list(text: &mut Text, tally: &Tally) {
    tally.named.iter().for_each(|name| text.line(format!("    {}", foreign::path(name))));
    if tally.count > tally.named.len() as u64 {
        text.line(format!("    and {} more", tally.count - tally.named.len() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_what_the_scripts_say() {
        let mut notes = Notes::default();
        let said = [
            "owner 0:65534 /etc/a b",
            "place /c",
            "mode /d",
            "acl /e",
            "link l\u{1b}",
            "owner",
            "other /x",
            "",
        ];
        said.into_iter().for_each(|note| notes.read(note));
        let mut report = json!({});
        notes.name_in(&mut report);
        assert_eq!(report["owner_changed"]["named"][0], "/etc/a b (was 0:65534)");
        assert_eq!(report["written_in_place"], json!({ "count": 1, "named": ["/c"] }));
        assert_eq!(report.as_object().map(serde_json::Map::len), Some(5));
        assert!(notes.lack_something() && !report.to_string().contains('\u{1b}'));
    }
}
