//! The words of a command as a profile writes them, with placeholders where values go.

/// The longest template, and the longest word, in bytes.
pub const MAX_TEMPLATE: usize = 4096;

/// How many words there may be.
pub const MAX_WORDS: usize = 128;

/// What a shell would read at a command's beginning as something else than a program's name.
const RESERVED: [&str; 18] = [
    "if", "then", "elif", "else", "fi", "do", "done", "case", "esac", "while", "until", "for", "in",
    "function", "select", "time", "coproc", "repeat",
];

/// The words of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub(crate) Vec<Word>);

/// One word: literals and placeholders in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) parts: Vec<Part>,
    /// Whether the word is quoted as a whole, or its literal part stands bare and its values are quoted.
    pub(crate) is_whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    Value(String),
}

impl Word {
    /// The names of its arguments.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The word, if no value is part of it.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Whether an argument may be called so: `[a-z][a-z0-9_-]{0,63}`.
pub fn is_argument_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Whether `sh` reads these bytes as they are, wherever they stand in a word.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:=@+,%-".contains(&byte))
}

impl Words {
    /// A template: words of plain characters, `{{argument}}`, or a plain word that ends in `={{argument}}`, between blanks.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence; the word is named.
    pub fn template(text: &str) -> Result<Words, String> {
        if text.len() > MAX_TEMPLATE {
            return Err(format!("is longer than {MAX_TEMPLATE} bytes"));
        }
        let tokens = text.split([' ', '\t']).filter(|token| !token.is_empty());
        let mut words = Vec::new();
        for token in tokens {
            let named = |why: &str| format!("has the word {} {why}", shown(token));
            let (literal, name) = match token.split_once("{{") {
                None => (token, None),
                Some((before, rest)) => {
                    (before, rest.strip_suffix("}}").filter(|name| is_argument_name(name)))
                }
            };
            let is_plain = literal.is_empty() || is_bare(literal);
            let ends_well = literal.is_empty() || literal.ends_with('=');
            if !is_plain || (token.contains("{{") && (name.is_none() || !ends_well)) {
                return Err(named(
                    "that is not of A-Z a-z 0-9 _ . / : = @ + , % -, {{argument}}, or NAME={{argument}}; \
                     argv = [...] takes any text",
                ));
            }
            if words.is_empty() && (name.is_some() || literal.contains('=')) {
                return Err(named("where the program has to stand"));
            }
            let literal = Some(literal).filter(|literal| !literal.is_empty());
            let parts = literal.map(|text| Part::Literal(text.to_owned())).into_iter();
            let parts = parts.chain(name.map(|name| Part::Value(name.to_owned()))).collect();
            words.push(Word { parts, is_whole: false });
        }
        Words::counted(words)
    }

    /// A list in which every element is exactly one argument: any text, with `{{argument}}` anywhere in it.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence.
    pub fn argv<'t>(elements: impl IntoIterator<Item = &'t str>) -> Result<Words, String> {
        let mut words = Vec::new();
        for element in elements {
            if element.len() > MAX_TEMPLATE || element.chars().any(char::is_control) {
                return Err(format!(
                    "has an element with more than {MAX_TEMPLATE} bytes, or with a control character"
                ));
            }
            let (mut parts, mut rest) = (Vec::new(), element);
            while let Some((before, after)) = rest.split_once("{{") {
                let name = after.split_once("}}").filter(|(name, _)| is_argument_name(name));
                let Some((name, after)) = name else {
                    return Err(format!(
                        "has the element {} with a `{{{{` that begins no {{{{argument}}}}",
                        shown(element)
                    ));
                };
                parts.extend(Some(before).filter(|it| !it.is_empty()).map(|it| Part::Literal(it.to_owned())));
                parts.push(Part::Value(name.to_owned()));
                rest = after;
            }
            parts.extend(Some(rest).filter(|it| !it.is_empty()).map(|it| Part::Literal(it.to_owned())));
            let mut word = Word { parts, is_whole: true };
            if let Some(literal) = word.literal() {
                let is_first = words.is_empty();
                let is_a_program = |text: &str| !text.contains('=') && !RESERVED.contains(&text);
                word.is_whole = !is_bare(literal) || (is_first && !is_a_program(literal));
            }
            words.push(word);
        }
        if words.first().is_some_and(|word: &Word| word.literal() == Some("")) {
            return Err("names no program".to_owned());
        }
        Words::counted(words)
    }

    fn counted(words: Vec<Word>) -> Result<Words, String> {
        match words.len() {
            1..=MAX_WORDS => Ok(Words(words)),
            _ => Err(format!("does not have 1 to {MAX_WORDS} words")),
        }
    }

    /// The names of the arguments, in the order of their first places.
    pub fn arguments(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.0.iter().flat_map(Word::arguments) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The command with its placeholders, as a person reads it.
    pub fn shown(&self) -> String {
        let word = |word: &Word| {
            let text = word.parts.iter().map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Value(name) => format!("{{{{{name}}}}}"),
            });
            let text = text.collect::<String>();
            let is_plain = text.replace("{{", "").replace("}}", "");
            if is_bare(&is_plain) {
                return text;
            }
            let mut quoted = String::new();
            runcode_text::sh_word(&mut quoted, &text);
            quoted
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

/// A word of a file in a message: cut, and without what steers a terminal.
fn shown(word: &str) -> String {
    let plain = word.chars().take(64).map(|c| if runcode_text::is_steering(c) { '\u{fffd}' } else { c });
    format!("\"{}\"", plain.collect::<String>())
}
