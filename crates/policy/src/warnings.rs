//! What is no mistake in a profile, and yet makes it a shell.

use crate::words::{Part, Word, Words};

const INTERPRETERS: [&str; 17] = [
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "python", "python3", "perl", "ruby", "node", "php",
    "lua", "awk", "psql", "mysql",
];
const RUNS_ITS_ARGUMENTS: [&str; 7] = ["eval", "xargs", "ssh", "env", "nohup", "timeout", "watch"];

impl Words {
    /// Warns where a value may become a program of its own: as the rest of a sentence about the profile.
    pub fn warning(&self) -> Option<&'static str> {
        let words = &self.0;
        let base =
            |word: &Word| word.literal().map(|text| text.rsplit('/').next().unwrap_or_default().to_owned());
        let has_value = |word: &Word| word.parts.iter().any(|part| matches!(part, Part::Value(_)));
        let is_value_only = |word: &Word| matches!(word.parts[..], [Part::Value(_)]);
        if words.first().is_some_and(has_value) {
            return Some("lets a value choose the program: it is a shell");
        }
        for (at, word) in words.iter().enumerate().filter(|(_, word)| has_value(word)) {
            let before = words.get(..at).unwrap_or_default();
            let names = before.iter().filter_map(base).collect::<Vec<_>>();
            let last = names.last().map(String::as_str).unwrap_or_default();
            let runs_code = names.iter().any(|name| INTERPRETERS.contains(&name.as_str()));
            if runs_code && ["-c", "-e", "-r"].contains(&last) {
                return Some("puts a value behind an interpreter's -c or -e: it is a shell");
            }
            let runs_it = names.iter().any(|name| RUNS_ITS_ARGUMENTS.contains(&name.as_str()));
            if runs_it && (is_value_only(word) || last == "-S") {
                return Some("gives a value to a program that runs its arguments: it may be a shell");
            }
            if names == ["sudo"] || names == ["doas"] {
                return Some("lets a value choose the program: it is a shell");
            }
        }
        None
    }
}
