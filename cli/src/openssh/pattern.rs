//! The patterns of ssh_config(5), and those of glob(7), which also have sets such as `[a-z]`.

use std::path::{Path, PathBuf};

/// How many names in a folder are read at most.
const MAX_NAMES: usize = 2000;

/// A pattern that has to match the whole name.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Letter(char),
    /// `?`.
    Any,
    /// `*`.
    Some,
    /// `[…]`: the ranges, and whether it matches only letters outside them.
    Set {
        is_negated: bool,
        ranges: Vec<Range>,
    },
}

#[derive(Debug, Clone)]
enum Range {
    Letters(char, char),
    Class(Class),
}

/// Whether a letter is in a class.
type Class = fn(char) -> bool;

/// The classes of POSIX. ssh uses the letters of the user's locale; we assume that it is a Unicode locale.
const CLASSES: [(&str, Class); 8] = [
    ("[:alnum:]", char::is_alphanumeric),
    ("[:alpha:]", char::is_alphabetic),
    ("[:digit:]", |letter| letter.is_ascii_digit()),
    ("[:lower:]", char::is_lowercase),
    ("[:upper:]", char::is_uppercase),
    ("[:punct:]", |letter| letter.is_ascii_punctuation()),
    ("[:space:]", char::is_whitespace),
    ("[:xdigit:]", |letter| letter.is_ascii_hexdigit()),
];

impl Pattern {
    /// A pattern for host names (ssh_config(5), PATTERNS).
    pub(super) fn host(text: &str) -> Pattern {
        let part = |letter| match letter {
            '*' => Part::Some,
            '?' => Part::Any,
            letter => Part::Letter(letter),
        };
        Pattern(text.chars().map(part).collect())
    }

    /// A pattern for the names in a folder (glob(7)).
    fn file(text: &str) -> Pattern {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let (part, left) = match letter {
                '*' => (Part::Some, after),
                '?' => (Part::Any, after),
                '[' => set(after).unwrap_or((Part::Letter('['), after)),
                '\\' => match after.chars().next() {
                    Some(next) => (Part::Letter(next), &after[next.len_utf8()..]),
                    None => (Part::Letter('\\'), after),
                },
                letter => (Part::Letter(letter), after),
            };
            parts.push(part);
            rest = left;
        }
        Pattern(parts)
    }

    /// The only name that this matches, if there is just one.
    pub(super) fn literal(&self) -> Option<String> {
        let letter = |part: &Part| if let Part::Letter(letter) = part { Some(*letter) } else { None };
        self.0.iter().map(letter).collect()
    }

    /// Whether every name that this matches begins with `start`.
    pub(super) fn starts_with(&self, start: &str) -> bool {
        let mut parts = self.0.iter();
        start.chars().all(|letter| matches!(parts.next(), Some(Part::Letter(own)) if *own == letter))
    }

    /// Whether this matches `name`. Takes time proportional to the product of their lengths: it only goes back to the last `*`.
    pub(super) fn fits(&self, name: &str) -> bool {
        let name = name.chars().collect::<Vec<_>>();
        let (mut at, mut of, mut star) = (0, 0, None);
        while let Some(&letter) = name.get(at) {
            match self.0.get(of) {
                Some(Part::Some) => {
                    star = Some((at, of));
                    of += 1;
                }
                Some(part) if part.fits(letter) => (at, of) = (at + 1, of + 1),
                _ => match &mut star {
                    Some((from, back)) => {
                        *from += 1;
                        (at, of) = (*from, *back + 1);
                    }
                    None => return false,
                },
            }
        }
        self.0.iter().skip(of).all(|part| matches!(part, Part::Some))
    }
}

impl Part {
    fn fits(&self, letter: char) -> bool {
        match self {
            Part::Letter(own) => *own == letter,
            Part::Any | Part::Some => true,
            Part::Set { is_negated, ranges } => {
                let is_in = |range: &Range| match range {
                    Range::Letters(from, to) => (*from..=*to).contains(&letter),
                    Range::Class(is) => is(letter),
                };
                ranges.iter().any(is_in) != *is_negated
            }
        }
    }
}

/// The set after a `[`, and the rest of the text; `None` if no `]` closes the set.
fn set(text: &str) -> Option<(Part, &str)> {
    let (is_negated, mut rest) = match text.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let (Some(after), false) = (rest.strip_prefix(']'), ranges.is_empty()) {
            return Some((Part::Set { is_negated, ranges }, after));
        }
        if let Some((class, is)) = CLASSES.iter().find(|(class, _)| rest.starts_with(class)) {
            ranges.push(Range::Class(*is));
            rest = &rest[class.len()..];
            continue;
        }
        let (from, after) = letter(rest)?;
        let (to, after) = match after.strip_prefix('-').filter(|after| !after.starts_with(']')) {
            Some(after) => letter(after)?,
            None => (from, after),
        };
        ranges.push(Range::Letters(from, to));
        rest = after;
    }
}

fn letter(text: &str) -> Option<(char, &str)> {
    let text = text.strip_prefix('\\').filter(|text| !text.is_empty()).unwrap_or(text);
    let letter = text.chars().next()?;
    Some((letter, &text[letter.len_utf8()..]))
}

/// The files that a pattern matches, sorted, up to a limit. As in glob(7), a pattern matches a leading dot only if it has one.
pub(super) fn files(pattern: &Path, most: usize) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let Some(text) = part.to_str().filter(|text| text.contains(['*', '?', '[', '\\'])) else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let pattern = Pattern::file(text);
        let mut next = Vec::new();
        for folder in &found {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_NAMES);
            let mut names: Vec<_> =
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.retain(|name| name.starts_with('.') == pattern.starts_with(".") && pattern.fits(name));
            names.sort_unstable();
            next.extend(names.iter().map(|name| folder.join(name)));
        }
        next.truncate(most);
        found = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_glob() {
        for (name, pattern, is) in [
            ("a.conf", "*.conf", true),
            ("a.conf", "a?conf", true),
            ("aaab", "*a*b", true),
            ("", "*", true),
            ("", "?", false),
            ("ab", "a", false),
            ("a", "ab", false),
            ("abc", "*b", false),
            ("10-a.conf", "[0-9][0-9]-[a-c].conf", true),
            ("10-d.conf", "[0-9][0-9]-[a-c].conf", false),
            ("b", "[!a]", true),
            ("a", "[^a]", false),
            ("]", "[]]", true),
            ("-", "[a-]", true),
            ("7", "[[:digit:]]", true),
            ("x", "[[:digit:]x]", true),
            ("[a", "[a", true),
            ("*", "\\*", true),
            ("a", "\\*", false),
            ("-", "[\\--a]", true),
            ("\\", "\\", true),
        ] {
            assert_eq!(Pattern::file(pattern).fits(name), is, "{name} {pattern}");
        }
    }

    /// bash finds the same names (POSIX XCU 2.13).
    #[cfg(unix)]
    #[test]
    fn sets_are_those_of_the_shell() {
        let names = ["a", "b", "-", "]", "[", "!", "^", "\\", "7", "A", "é", "a]", "[a", "ab"];
        let patterns = [
            "[a-b]",
            "[!a]",
            "[^a]",
            "[]a]",
            "[a",
            "[a]]",
            "[!]]",
            "[[:alpha:]]",
            "[\\]]",
            "[b-a]",
            "[a\\-b]",
            "*[7-]",
        ];
        for pattern in patterns {
            for name in names {
                let mut sh = std::process::Command::new("bash");
                sh.env("LC_ALL", "C.UTF-8").args([
                    "-c",
                    &format!("case $1 in {pattern}) ;; *) exit 1 ;; esac"),
                    "sh",
                    name,
                ]);
                let Ok(status) = sh.status() else { return };
                assert_eq!(Pattern::file(pattern).fits(name), status.success(), "{name} {pattern}");
            }
        }
    }

    #[test]
    fn hosts_know_no_sets() {
        assert!(Pattern::host("a[b]?").fits("a[b]c") && !Pattern::host("a[b]?").fits("abc"));
        assert_eq!(Pattern::host("a[b]").literal().as_deref(), Some("a[b]"));
        assert!(Pattern::host("a*").literal().is_none() && Pattern::host("ab*").starts_with("ab"));
        assert!(!Pattern::host("a*").starts_with("ab") && !Pattern::host("a").starts_with("ab"));
    }
}
