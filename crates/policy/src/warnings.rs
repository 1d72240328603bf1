//! What is no mistake in a profile, and yet makes it a shell.

use crate::words::{Part, Word, Words};

/// Programs that take a program as text. `su` hands its `-c` to a shell.
const INTERPRETERS: [&str; 21] = [
    "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "yash", "fish", "su", "runuser", "python", "perl",
    "ruby", "node", "php", "lua", "tclsh", "psql", "mysql", "sqlite",
];

/// Those whose first operand is such a text.
const TEXT_FIRST: [&str; 5] = ["awk", "gawk", "mawk", "nawk", "eval"];

/// Programs that become another user, and run what follows their options.
const BECOME: [&str; 2] = ["sudo", "doas"];

/// Programs that run their arguments as a program.
const RUNS_ITS_ARGUMENTS: [&str; 23] = [
    "xargs",
    "ssh",
    "env",
    "nohup",
    "timeout",
    "watch",
    "setsid",
    "nice",
    "ionice",
    "stdbuf",
    "chrt",
    "taskset",
    "unshare",
    "nsenter",
    "chroot",
    "flock",
    "time",
    "command",
    "exec",
    "busybox",
    "systemd-run",
    "strace",
    "parallel",
];

/// Programs that run the arguments of a subcommand in a container.
const CONTAINERS: [&str; 4] = ["docker", "podman", "kubectl", "nerdctl"];

/// The options of [`BECOME`] whose argument is the next word (sudo(8), doas(1)).
const OF_BECOME: [&str; 11] = ["-u", "-g", "-U", "-p", "-C", "-h", "-R", "-D", "-T", "-r", "-t"];

/// The name of a program, without its folder and its version.
fn base(word: &Word) -> Option<&str> {
    let name = word.literal()?.rsplit('/').next().unwrap_or_default();
    Some(name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.'))
}

/// Whether the program runs what follows its own options, so that a `--` there may end these alone.
pub(crate) fn is_wrapper(word: &Word) -> bool {
    base(word).is_some_and(|name| {
        BECOME.contains(&name) || RUNS_ITS_ARGUMENTS.contains(&name) || CONTAINERS.contains(&name)
    })
}

impl Words {
    /// Warns where a value may become a program of its own: as the rest of a sentence about the profile.
    pub fn warning(&self) -> Option<&'static str> {
        let words = &self.0;
        let has_value = |word: &Word| word.parts.iter().any(|part| matches!(part, Part::Value(_)));
        let is_value_only = |word: &Word| matches!(word.parts[..], [Part::Value(_)]);
        let is_any = |before: &[Word], names: &[&str]| {
            before.iter().any(|word| base(word).is_some_and(|name| names.contains(&name)))
        };
        if words.first().is_some_and(has_value) {
            return Some("lets a value choose the program: it is a shell");
        }
        for (at, word) in words.iter().enumerate().filter(|(_, word)| has_value(word)) {
            let before = words.get(..at).unwrap_or_default();
            if takes_text(before) {
                return Some("puts a value where an interpreter takes a program as text: it is a shell");
            }
            let last = before.last().and_then(Word::literal).unwrap_or_default();
            let is_in_container =
                is_any(before, &CONTAINERS) && is_any(before, &["exec", "run"]) && is_value_only(word);
            if is_in_container
                || (is_any(before, &RUNS_ITS_ARGUMENTS) && (is_value_only(word) || last == "-S"))
            {
                return Some("gives a value to a program that runs its arguments: it may be a shell");
            }
            if chooses_after_become(before) {
                return Some("lets a value choose the program: it is a shell");
            }
        }
        None
    }
}

/// Whether the word behind these is the text of a program for an interpreter: behind a cluster of short options with c, e, E or
/// r, or the first operand of one that takes it there.
fn takes_text(before: &[Word]) -> bool {
    let behind = |names: &[&str]| {
        let place = before.iter().rposition(|word| base(word).is_some_and(|name| names.contains(&name)));
        place.map(|place| before.get(place + 1..).unwrap_or_default())
    };
    let is_option = |word: &Word| word.literal().is_some_and(|text| text.starts_with('-'));
    let takes = |word: &Word| {
        let cluster =
            word.literal().and_then(|text| text.strip_prefix('-')).filter(|text| !text.starts_with('-'));
        cluster.is_some_and(|letters| letters.contains(['c', 'e', 'E', 'r']))
            || word.literal() == Some("--command")
    };
    behind(&INTERPRETERS).is_some_and(|between| between.iter().any(takes))
        || behind(&TEXT_FIRST).is_some_and(|between| between.iter().all(is_option))
}

/// Whether nothing but options stands between a program that becomes another user and the word behind these.
fn chooses_after_become(before: &[Word]) -> bool {
    let place = before.iter().rposition(|word| base(word).is_some_and(|name| BECOME.contains(&name)));
    let Some(place) = place else { return false };
    let mut between = before.get(place + 1..).unwrap_or_default().iter();
    while let Some(word) = between.next() {
        match word.literal() {
            Some(option) if OF_BECOME.contains(&option) => _ = between.next(),
            Some(option) if option.starts_with('-') || option.contains('=') => {}
            _ => return false,
        }
    }
    true
}
