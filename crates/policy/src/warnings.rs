//! What is no mistake in a profile, and yet makes it a shell.
//!
//! A warning too many costs a look, one too few a server: options of an interpreter count wherever they stand before a value,
//! and whether the value is the whole word, a part of it, or attached to the option.

use crate::Profile;
use crate::programs::{
    BECOME, CODE_ANYWHERE, CODE_LATER, CONTAINERS, FEEDS_ARGUMENTS, FEEDS_FIRST, INTERPRETERS, Interpreter,
    LONG_OPTIONS, OF_BECOME, OF_DEFAULTS, OF_INTERPRETERS, RUNS_ITS_ARGUMENTS, SHELL_BY_DEFAULT, Stdin,
};
use crate::words::{Part, Word};

const CHOOSES: &str = "lets a value choose the program, so it amounts to a shell";
const TEXT: &str = "puts a value where an interpreter takes a program as text, so it amounts to a shell";
const FILE: &str = "lets a value choose the file that an interpreter runs, so it may amount to a shell";
const ARGUMENTS: &str = "gives a value to a program that runs its arguments, so it may amount to a shell";
const FED: &str = "has an interpreter read its program from the caller's stdin, so it amounts to a shell";

/// The name of a program, without its folder and its version.
fn base(word: &Word) -> Option<&str> {
    let name = word.literal()?.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let bare =
        name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-');
    Some(if bare.is_empty() { name } else { bare }) // `.` is a program too
}

/// What the word begins with, up to its first value.
fn beginning(word: &Word) -> &str {
    match word.parts.first() {
        Some(Part::Literal(text)) => text,
        _ => "",
    }
}

fn has_value(word: &Word) -> bool {
    word.arguments().next().is_some()
}

fn is_option(word: &Word) -> bool {
    beginning(word).starts_with(['-', '+']) && beginning(word) != "-"
}

/// The last of these programs among the words, and what follows it.
fn behind<'w>(words: &'w [Word], names: &[&str]) -> Option<&'w [Word]> {
    let place = words.iter().rposition(|word| base(word).is_some_and(|name| names.contains(&name)))?;
    words.get(place + 1..)
}

/// Every interpreter among the words, with what follows it.
fn interpreters(words: &[Word]) -> impl Iterator<Item = (&'static Interpreter, &[Word])> {
    words.iter().enumerate().filter_map(|(at, word)| {
        let name = base(word)?;
        let lower = name.to_ascii_lowercase();
        let found = INTERPRETERS.iter().find(|it| it.names.contains(&name) || it.names.contains(&&*lower))?;
        Some((found, words.get(at + 1..)?))
    })
}

/// The name of a long option, with one dash or two, without what is attached to it.
fn long_name(text: &str) -> Option<String> {
    let name = text.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    let name = name.split(['=', ':']).next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

impl Interpreter {
    /// Whether the word begins as an option that takes a program as text: `-c`, one of a cluster (`-lc`), with the text attached
    /// (`-cTEXT`, `--eval=TEXT`).
    fn takes_code(&self, word: &Word) -> bool {
        let text = beginning(word);
        is_among(text, self.short, self.long) || self.long_alone.iter().any(|start| text.starts_with(start))
    }

    /// The same for an option whose argument alone counts.
    fn takes_next(&self, word: &Word) -> bool {
        is_among(beginning(word), self.short_next, self.long_next)
    }
}

/// Whether a text begins as one of these options.
fn is_among(text: &str, short: &str, long: &[&str]) -> bool {
    if long_name(text).is_some_and(|name| long.contains(&&*name)) {
        return true;
    }
    let cluster = text.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
    cluster.chars().take_while(char::is_ascii_alphabetic).any(|letter| short.contains(letter))
}

/// Whether the word, or the one before it, is or begins with an option whose argument is a program, whatever it is an option of.
fn starts(before: &[Word], word: &Word) -> bool {
    let is_one = |text: &str| long_name(text).is_some_and(|name| LONG_OPTIONS.contains(&name.as_str()));
    let is_attached = beginning(word).contains(['=', ':']) && is_one(beginning(word));
    is_attached || before.last().and_then(Word::literal).is_some_and(is_one)
}

/// Whether an interpreter before the word takes it as a program, or as a part of one.
fn takes_text(before: &[Word], word: &Word) -> bool {
    let is_later = |between: &[Word]| between.iter().any(|word| !is_option(word));
    interpreters(before).any(|(it, between)| {
        between.iter().any(|word| it.takes_code(word))
            || between.last().is_some_and(|word| it.takes_next(word))
            || it.takes_code(word)
            || it.takes_next(word)
            || (it.is_first && between.iter().all(is_option) && !is_option(word))
    }) || behind(before, &CODE_ANYWHERE).is_some()
        || behind(before, &CODE_LATER).is_some_and(is_later)
}

/// Whether the word begins with a value, and is the first operand of an interpreter, which reads its program there.
fn names_program_file(before: &[Word], word: &Word) -> bool {
    interpreters(before).any(|(it, between)| {
        // With `-s`, a shell reads its program from stdin.
        let is_passed = |word: &Word| is_option(word) && !(it.is_shell && has_letter(word, 's'));
        it.is_file && matches!(word.parts.first(), Some(Part::Value(_))) && between.iter().all(is_passed)
    })
}

/// Whether the word is a cluster of short options with this letter.
fn has_letter(word: &Word, letter: char) -> bool {
    let cluster = beginning(word).strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    cluster.is_some_and(|letters| letters.contains(letter))
}

/// Whether nothing but options stands between a program that becomes another user and the word behind these.
fn chooses_after_become(before: &[Word]) -> bool {
    let Some(between) = behind(before, &BECOME) else { return false };
    let mut between = between.iter();
    while let Some(word) = between.next() {
        match word.literal() {
            Some(option) if OF_BECOME.contains(&option) => _ = between.next(),
            Some(option) if option.starts_with('-') || option.contains('=') => {}
            _ => return false,
        }
    }
    true
}

/// The words that are no options, nor the arguments of these.
fn operands<'w>(words: &'w [Word], taking: &'static [&'static str]) -> impl Iterator<Item = &'w Word> {
    let mut words = words.iter();
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            match word.literal() {
                Some(option) if taking.contains(&option) => _ = words.next(),
                _ if is_option(word) => {}
                _ => return Some(word),
            }
        }
    })
}

/// Whether an interpreter reads its program from stdin.
fn reads_stdin(it: &Interpreter, rest: &[Word]) -> bool {
    let is_stdin = |word: &Word| matches!(word.literal(), Some("-" | "/dev/stdin" | "/dev/fd/0"));
    let is_named = rest.windows(2).any(|pair| match pair {
        [option, file] => it.takes_next(option) && is_stdin(file),
        _ => false,
    });
    let first = operands(rest, &OF_INTERPRETERS).next();
    if is_named || (it.is_file && first.is_some_and(is_stdin)) {
        return true;
    }
    let is_told = rest.iter().any(|word| it.takes_code(word) || (!it.is_file && it.takes_next(word)));
    match it.stdin {
        Stdin::IfTold => false,
        Stdin::UnlessTold => !is_told,
        Stdin::WithoutFile => {
            let is_asked = it.is_shell && rest.iter().any(|word| has_letter(word, 's'));
            !is_told && (is_asked || first.is_none())
        }
    }
}

/// Whether a program among the words reads its own program, or arguments for one, from stdin.
fn is_fed(words: &[Word]) -> bool {
    // Behind an interpreter of files stand that file and its arguments, whatever they are called.
    let ends = interpreters(words).position(|(it, _)| it.is_file).unwrap_or(usize::MAX);
    let has_reader = interpreters(words).take(ends.saturating_add(1)).any(|(it, rest)| reads_stdin(it, rest));
    let has_shell = SHELL_BY_DEFAULT.iter().any(|(name, needs)| {
        behind(words, &[name]).is_some_and(|rest| operands(rest, &OF_DEFAULTS).count() < *needs)
    });
    let first = words.first().and_then(base);
    has_reader
        || has_shell
        || behind(words, &FEEDS_ARGUMENTS).is_some()
        || first.is_some_and(|name| FEEDS_FIRST.contains(&name))
        || chooses_after_become(words)
}

impl Profile {
    /// Warns where a value, or what the caller feeds it, may become a program of its own: as the rest of a sentence about the
    /// profile.
    pub fn warning(&self) -> Option<&'static str> {
        let words = &self.words().0;
        if words.first().is_some_and(has_value) {
            return Some(CHOOSES);
        }
        let of_values =
            words.iter().enumerate().filter(|(_, word)| has_value(word)).find_map(|(at, word)| {
                let before = words.get(..at).unwrap_or_default();
                let is_value_only = matches!(word.parts[..], [Part::Value(_)]);
                let last = before.last().and_then(Word::literal).unwrap_or_default();
                let is_in_container = is_value_only
                    && behind(before, &CONTAINERS)
                        .is_some_and(|rest| behind(rest, &["exec", "run"]).is_some());
                if takes_text(before, word) {
                    Some(TEXT)
                } else if starts(before, word) {
                    Some(CHOOSES)
                } else if names_program_file(before, word) {
                    Some(FILE)
                } else if is_in_container
                    || (behind(before, &RUNS_ITS_ARGUMENTS).is_some() && (is_value_only || last == "-S"))
                {
                    Some(ARGUMENTS)
                } else {
                    chooses_after_become(before).then_some(CHOOSES)
                }
            });
        of_values.or_else(|| (self.rules().stdin && is_fed(words)).then_some(FED))
    }
}
