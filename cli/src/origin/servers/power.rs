//! `[servers.NAME.power]`: the programs that start and stop a machine.

use crate::origin::servers::reader::Section;

/// How many words a command may have.
const MAX_WORDS: usize = 64;

/// The longest word, in bytes.
const MAX_WORD: usize = 4096;

/// What starts a machine, stops it, and says what state it is in: each a program and its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Power {
    /// Starts it.
    pub start: Option<Vec<String>>,
    /// Stops it.
    pub stop: Option<Vec<String>>,
    /// Prints its state, one word.
    pub state: Option<Vec<String>>,
}

impl Power {
    pub(super) fn read(mut section: Section<'_>) -> Power {
        let mut command = |key| {
            let words = section.texts(key)?;
            let count = words.len();
            let words =
                words.into_iter().map(|word| word.parse(word_of_command)).collect::<Option<Vec<_>>>()?;
            let is_command =
                (1..=MAX_WORDS).contains(&count) && words.first().is_some_and(|word| !word.is_empty());
            if !is_command {
                section.note(key, format_args!("is not a program and its arguments, 1 to {MAX_WORDS} words"));
            }
            is_command.then_some(words)
        };
        let power = Power { start: command("start"), stop: command("stop"), state: command("state") };
        section.finish();
        power
    }
}

fn word_of_command(text: &str) -> Result<String, &'static str> {
    match text.len() > MAX_WORD || text.contains('\0') {
        true => Err("is longer than 4096 bytes, or has a NUL"),
        false => Ok(text.to_owned()),
    }
}
