//! A profile, and a call of it with values.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::REDACTED;
use crate::argument::{Argument, Kind};
use crate::line::{NAME, one_line};
use crate::words::{Part, Words};

/// How many arguments a profile may have.
pub const MAX_ARGUMENTS: usize = 64;

/// The longest rendered command, in bytes.
pub const MAX_RENDERED: usize = 65_536;

/// What a profile says besides its words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What it is for, in its owner's words.
    pub description: Option<String>,
    /// The arguments that it says something of; others are any text.
    pub arguments: BTreeMap<String, Argument>,
    /// Whether each run needs an approval.
    pub requires_approval: bool,
    /// Whether the command reads the caller's stdin.
    pub stdin: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// A command that a server's owner allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    words: Words,
    rules: Rules,
}

/// What is wrong with a profile, as the rest of a sentence about the argument or, without one, the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The argument.
    pub argument: Option<String>,
    /// What is wrong.
    pub why: &'static str,
}

/// Why values do not fit a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The profile has no such argument.
    Unknown(String),
    /// An argument is there twice.
    Repeated(String),
    /// An argument has no value.
    Missing(String),
    /// A value is not what the argument takes, as the rest of a sentence about it.
    Value(String, &'static str),
    /// The command would be too long.
    TooLong,
}

impl Profile {
    /// A profile of these words and rules.
    ///
    /// # Errors
    /// The first mistake.
    pub fn new(words: Words, mut rules: Rules) -> Result<Profile, Mistake> {
        let names = words.arguments().into_iter().map(str::to_owned).collect::<Vec<_>>();
        if names.len() > MAX_ARGUMENTS {
            return Err(Mistake { argument: None, why: "has more than 64 arguments" });
        }
        for (name, argument) in &rules.arguments {
            let at = |why| Mistake { argument: Some(name.clone()), why };
            if !names.contains(name) {
                return Err(at("has no place in the command"));
            }
            if argument.choices.iter().any(|choice| argument.misshapen(choice).is_some()) {
                return Err(at("has a choice that it would refuse"));
            }
            if argument.default.as_ref().is_some_and(|default| argument.refuse(default).is_some()) {
                return Err(at("has a default that it would refuse"));
            }
        }
        for name in names {
            rules.arguments.entry(name).or_default();
        }
        Ok(Profile { words, rules })
    }

    /// What it says besides its words.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Its words.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// The arguments in the order of their places.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &Argument)> {
        self.words.arguments().into_iter().filter_map(|name| Some((name, self.rules.arguments.get(name)?)))
    }

    /// The command with these values.
    ///
    /// # Errors
    /// The first value that does not fit.
    pub fn call(&self, given: impl IntoIterator<Item = (String, String)>) -> Result<Call, Refusal> {
        let mut values = BTreeMap::new();
        for (name, value) in given {
            if !self.rules.arguments.contains_key(&name) {
                return Err(Refusal::Unknown(name));
            }
            if values.insert(name.clone(), value).is_some() {
                return Err(Refusal::Repeated(name));
            }
        }
        for (name, argument) in self.arguments() {
            let value = match (values.get(name), &argument.default) {
                (Some(value), _) => value,
                (None, Some(default)) => values.entry(name.to_owned()).or_insert_with(|| default.clone()),
                (None, None) => return Err(Refusal::Missing(name.to_owned())),
            };
            if let Some(why) = argument.refuse(value) {
                return Err(Refusal::Value(name.to_owned(), why));
            }
        }
        self.refuse_options(&values)?;
        self.refuse_ways_up(&values)?;
        let of = |name: &str| values.get(name).cloned().unwrap_or_default();
        let rendered = self.rendered(&of);
        if rendered.len() > MAX_RENDERED {
            return Err(Refusal::TooLong);
        }
        let is_secret = |name: &str| self.rules.arguments.get(name).is_some_and(|argument| argument.secret);
        let shown = self.rendered(&|name| if is_secret(name) { REDACTED.to_owned() } else { of(name) });
        let secrets = values.keys().filter(|name| is_secret(name)).cloned().collect();
        Ok(Call { values, secrets, rendered, shown, reads_stdin: self.rules.stdin })
    }

    /// Refuses a path or a word that makes a `..` together with what stands beside it, in a word that may have others of its own.
    fn refuse_ways_up(&self, values: &BTreeMap<String, String>) -> Result<(), Refusal> {
        for word in &self.words.0 {
            let (mut whole, mut own) = (String::new(), String::new());
            let mut narrow = None;
            for part in &word.parts {
                match part {
                    Part::Literal(text) => {
                        whole.push_str(text);
                        own.push_str(text);
                    }
                    Part::Value(name) => {
                        own.push('x');
                        whole.push_str(values.get(name).map_or("", String::as_str));
                        let kind = self.rules.arguments.get(name).map(|argument| argument.kind);
                        if matches!(kind, Some(Kind::Path | Kind::Word)) {
                            narrow = Some(name);
                        }
                    }
                }
            }
            // A path may also begin behind `--dir=`, `host:` or `-C`.
            let begins = |part: &str| {
                let part = part.rsplit(['=', ':']).next().unwrap_or_default();
                part == ".." || part.strip_prefix('-').and_then(|rest| rest.get(1..)) == Some("..")
            };
            let ways_up = |text: &str| text.split('/').filter(|part| begins(part)).count();
            let leads_up = ways_up(&whole) > ways_up(&own);
            if let Some(name) = narrow.filter(|_| leads_up && word.parts.len() > 1) {
                return Err(Refusal::Value(name.clone(), "makes a path with a `..` in it"));
            }
        }
        Ok(())
    }

    /// Refuses a word that only its values make an option: it begins with a placeholder and now with `-`, and the argument does not
    /// allow that. A `--` before it changes nothing: any program may run another one, and nobody can tell whose options it ends.
    fn refuse_options(&self, values: &BTreeMap<String, String>) -> Result<(), Refusal> {
        for word in &self.words.0 {
            let Some(Part::Value(first)) = word.parts.first() else { continue };
            let of = |name: &String| values.get(name).map_or("", String::as_str);
            let begins = word.parts.iter().find_map(|part| match part {
                Part::Literal(text) => Some((first, text.as_str())),
                Part::Value(name) => Some((name, of(name))).filter(|(_, value)| !value.is_empty()),
            });
            if let Some((name, text)) = begins
                && text.starts_with('-')
                && !self.rules.arguments.get(name).is_some_and(|argument| argument.dash)
            {
                return Err(Refusal::Value(
                    name.clone(),
                    "makes a word that begins with `-`, which the profile allows only with `dash = true`",
                ));
            }
        }
        Ok(())
    }

    fn rendered(&self, of: &dyn Fn(&str) -> String) -> String {
        let mut text = String::new();
        for (number, word) in self.words.0.iter().enumerate() {
            if number > 0 {
                text.push(' ');
            }
            let mut whole = String::new();
            for part in &word.parts {
                match part {
                    Part::Literal(literal) if word.is_whole => whole.push_str(literal),
                    Part::Literal(literal) => text.push_str(literal),
                    Part::Value(name) if word.is_whole => whole.push_str(&of(name)),
                    Part::Value(name) => runcode_text::sh_word(&mut text, &of(name)),
                }
            }
            if word.is_whole {
                runcode_text::sh_word(&mut text, &whole);
            }
        }
        text
    }
}

/// A profile with values that fit.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    values: BTreeMap<String, String>,
    secrets: Vec<String>,
    rendered: String,
    shown: String,
    reads_stdin: bool,
}

impl Call {
    /// The command for `sh`, with every secret in it.
    pub fn rendered(&self) -> &str {
        &self.rendered
    }

    /// The command as a report may show it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Every argument and its value, with defaults and secrets, by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same as a report may show it.
    pub fn shown_values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values().map(|(name, value)| (name, if self.is_secret(name) { REDACTED } else { value }))
    }

    /// Whether no report shows the value of this argument.
    pub fn is_secret(&self, name: &str) -> bool {
        self.secrets.iter().any(|secret| secret == name)
    }

    /// Whether the command reads the caller's stdin.
    pub fn reads_stdin(&self) -> bool {
        self.reads_stdin
    }

    /// What the host runs, as a report may show it.
    pub fn shown_line(&self) -> String {
        one_line(&self.shown, self.reads_stdin, NAME)
    }

    /// What the host runs.
    pub fn one_line(&self) -> String {
        one_line(&self.rendered, self.reads_stdin, NAME)
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({})", self.shown)
    }
}

#[cfg(all(test, unix))]
#[path = "profile_tests.rs"]
mod tests;
