//! What a value of an argument may be.

use regex::Regex;
use runcode_text::is_steering;

/// The longest value of an argument that says nothing else, in bytes.
const MAX: usize = 4096;

/// How large a compiled pattern may be, in bytes.
const PATTERN: usize = 1 << 20;

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Any text that shows itself.
    #[default]
    Text,
    /// One word: `[A-Za-z0-9._:@+-]+`.
    Word,
    /// A path without `..`.
    Path,
    /// A whole number.
    Int,
    /// An RFC 3339 time, or words such as `10 min ago`.
    Time,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Kind; 5] = [Kind::Text, Kind::Word, Kind::Path, Kind::Int, Kind::Time];

    /// Its word in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Word => "word",
            Kind::Path => "path",
            Kind::Int => "int",
            Kind::Time => "time",
        }
    }

    /// Why a value is none of this kind, as the rest of a sentence about it.
    fn refuse(self, value: &str) -> Option<&'static str> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+-".contains(&byte);
        let (is_right, why) = match self {
            Kind::Text => return None,
            Kind::Word => (
                !value.is_empty() && value.bytes().all(is_word),
                "is not one word of letters, digits and . _ : @ + -",
            ),
            Kind::Path => (
                !value.is_empty() && value.split('/').all(|part| part != ".."),
                "is not a path, or has a `..` in it",
            ),
            Kind::Int => (is_int(value), "is not a whole number of at most 18 digits"),
            Kind::Time => {
                (is_time(value), "is not a time, such as 2026-01-31T10:00:00Z, `10 min ago` or yesterday")
            }
        };
        (!is_right).then_some(why)
    }
}

fn is_int(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

const TIME_WORDS: [&str; 15] = [
    "s",
    "m",
    "h",
    "d",
    "min",
    "hour",
    "hours",
    "day",
    "days",
    "week",
    "weeks",
    "ago",
    "today",
    "yesterday",
    "now",
];

fn is_time(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte);
    if value.len() <= 64 && value.bytes().all(allowed) && value.parse::<jiff::Timestamp>().is_ok() {
        return true;
    }
    let is_part = |part: &str| {
        let word = part.trim_start_matches(|byte: char| byte.is_ascii_digit());
        word.is_empty() || TIME_WORDS.contains(&word)
    };
    let mut parts = value.split(' ').filter(|part| !part.is_empty()).peekable();
    parts.peek().is_some() && parts.all(is_part)
}

/// What a value may be, and what it is when nobody gives one.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Its type.
    pub kind: Kind,
    /// The values that there are; empty is no such list.
    pub choices: Vec<String>,
    pub(crate) pattern: Option<Regex>,
    /// The longest value, in bytes.
    pub max: usize,
    /// The value when none is given.
    pub default: Option<String>,
    /// Whether no report shows its value.
    pub secret: bool,
    /// Whether a value may begin with `-` wherever it stands.
    pub dash: bool,
}

impl Default for Argument {
    fn default() -> Argument {
        Argument {
            kind: Kind::Text,
            choices: Vec::new(),
            pattern: None,
            max: MAX,
            default: None,
            secret: false,
            dash: false,
        }
    }
}

impl PartialEq for Argument {
    fn eq(&self, other: &Argument) -> bool {
        let rest = |it: &Argument| (it.kind, it.max, it.secret, it.dash);
        rest(self) == rest(other)
            && self.choices == other.choices
            && self.default == other.default
            && self.pattern() == other.pattern()
    }
}

impl Eq for Argument {}

impl Argument {
    /// Has every value match this pattern as a whole.
    ///
    /// # Errors
    /// When it is not a regular expression, or too large a one.
    pub fn set_pattern(&mut self, pattern: &str) -> Result<(), &'static str> {
        const WHY: &str = "is not a regular expression, or too large a one";
        let compiled = |pattern: &str| {
            let limited = |text: &str| {
                regex::RegexBuilder::new(text)
                    .size_limit(PATTERN)
                    .dfa_size_limit(PATTERN)
                    .nest_limit(64)
                    .build()
            };
            limited(pattern).and_then(|_| limited(&format!("\\A(?:{pattern})\\z"))) // alone too: no `)` of its own ends ours
        };
        if pattern.len() > 4096 {
            return Err(WHY);
        }
        self.pattern = Some(compiled(pattern).map_err(|_| WHY)?);
        Ok(())
    }

    /// The pattern, anchored.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().map(Regex::as_str)
    }

    /// Why a value is refused wherever it would stand, as the rest of a sentence about the argument.
    pub fn refuse(&self, value: &str) -> Option<&'static str> {
        if let Some(why) = self.misshapen(value) {
            return Some(why);
        }
        let is_chosen = self.choices.is_empty() || self.choices.iter().any(|choice| choice == value);
        (!is_chosen).then_some("is not one of its choices")
    }

    /// As [`Argument::refuse`], whatever the choices are.
    pub(crate) fn misshapen(&self, value: &str) -> Option<&'static str> {
        if value.len() > self.max {
            return Some("is longer than the profile allows");
        }
        if value.chars().any(is_steering) {
            return Some("has a control character, or one that does not show itself");
        }
        if let Some(why) = self.kind.refuse(value) {
            return Some(why);
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(value)) {
            return Some("does not match its pattern");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn of(kind: Kind) -> Argument {
        Argument { kind, ..Argument::default() }
    }

    #[test]
    fn kinds_take_what_they_say() {
        let cases: [(Kind, &[&str], &[&str]); 5] = [
            (
                Kind::Text,
                &["", "a b", "$(id)", "'", "Grüße"],
                &["a\nb", "\0", "\u{1b}[2J", "\u{9b}", "\u{7f}", "\u{202e}", "\u{200b}", "\u{2028}"],
            ),
            (Kind::Word, &["api", "a.b_c:d@e+f-g", "-x"], &["", "a b", "a/b", "a;b", "ä", "a'"]),
            (Kind::Path, &["/a/b", "a", "..a/b..", "-x"], &["", "..", "a/../b", "../a", "/.."]),
            (
                Kind::Int,
                &["0", "-1", "007", "999999999999999999"],
                &["", "-", "+1", "1.0", "1e3", "1 ", "1234567890123456789", "１"],
            ),
            (
                Kind::Time,
                &[
                    "10 min ago",
                    "yesterday",
                    "5m",
                    "2 hours ago",
                    "2026-01-31T10:00:00Z",
                    "2026-01-31T10:00:00.5+02:00",
                    "1700000000",
                ],
                &[
                    "",
                    " ",
                    "10 minutes",
                    "@now",
                    "2026-01-31T10:00:00Z[UTC]",
                    "now;id",
                    "-1h",
                    "ago2",
                    "$(now)",
                ],
            ),
        ];
        for (kind, good, bad) in cases {
            for value in good {
                assert_eq!(of(kind).refuse(value), None, "{kind:?} {value:?}");
            }
            for value in bad {
                assert!(of(kind).refuse(value).is_some(), "{kind:?} {value:?}");
            }
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let with = |pattern: &str| {
            let mut argument = of(Kind::Text);
            argument.set_pattern(pattern).map(|()| argument)
        };
        for (pattern, good, bad) in [
            ("[a-z]+", "abc", "abc1"),
            ("a|b", "b", "ab"),
            ("a|ab", "ab", "abc"),
            ("(?m)^a$", "a", "b"),
            ("", "", "x"),
        ] {
            let argument = with(pattern).unwrap();
            assert_eq!(
                (argument.refuse(good).is_none(), argument.refuse(bad).is_none()),
                (true, false),
                "{pattern}"
            );
        }
        for broken in ["(", "a)|(?:b", "(?x)a#", "((a{1000}){1000}){1000}", &"a".repeat(5000), "\\1"] {
            assert!(with(broken).is_err(), "{broken}");
        }
        // A backtracking engine would take for ever.
        let argument = with("(a*)*b").unwrap();
        assert!(argument.refuse(&"a".repeat(4000)).is_some());
    }

    #[test]
    fn choices_and_lengths_hold() {
        let mut argument =
            Argument { max: 3, choices: vec!["api".into(), "-x".into()], ..Argument::default() };
        assert_eq!((argument.refuse("api"), argument.refuse("-x")), (None, None));
        assert!(argument.refuse("db").is_some());
        argument.choices.clear();
        assert!(argument.refuse("éé").is_some() && argument.refuse("abc").is_none());
    }
}
