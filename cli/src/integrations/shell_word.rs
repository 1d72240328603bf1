//! One word for the local shell, as other programs run the commands that we write into their settings.

use crate::error::{Code, Error, Result};

/// `word` so that sh, bash, zsh, dash, fish and Python's shlex read it as it is, and so that an ssh_config(5) line with
/// it is well-formed: ssh minds the quotes of a ProxyCommand before any shell does, a backslash before one included.
///
/// In double quotes where they do, because cmd.exe knows no others; else in single ones, with quotes and backslashes
/// between. A control character is an error: no line of a settings file can carry it.
pub fn quote(word: &str) -> Result<String> {
    if word.chars().any(char::is_control) {
        return Err(Error::new(Code::Error, format!("`{}` has a control character", word.escape_debug()))
            .hint("install runcode in a folder with a plainer name"));
    }
    if !word.contains(['"', '$', '`', '\\', '!']) {
        return Ok(format!("\"{word}\""));
    }
    let inner = word.chars().map(|c| match c {
        '\'' => "'\"'\"'".to_owned(),
        '\\' => "'\"\\\\\"'".to_owned(),
        c => c.to_string(),
    });
    Ok(format!("'{}'", inner.collect::<String>()))
}

/// The words of a command as POSIX shells split them; `None` when a quote is open, or when an operator or expansion
/// makes it more than words.
pub fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' => return None,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '$' | '`' | '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n' | '*' | '?' | '[' => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Whether `command` runs a program named `runcode` with `verb` as its first argument.
pub fn is_runcode(command: &str, verb: &str) -> bool {
    let Some(words) = split(command) else { return false };
    let [program, first, ..] = words.as_slice() else { return false };
    let name = program.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_runcode =
        name == "runcode" || name.strip_prefix("runcode").is_some_and(|rest| rest.starts_with(['.', '-']));
    is_runcode && first == verb
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_commands_are_known_by_program_and_verb() {
        for ours in [
            "\"/home/u/.local/bin/runcode\" statusline",
            "'/a \"b\"/runcode' statusline --wrap 'x'",
            "/c/bin/runcode-v1.0-linux-amd64 statusline --plain",
            "\"C:/Users/u/runcode.exe\" statusline",
        ] {
            assert!(is_runcode(ours, "statusline"), "{ours}");
        }
        for foreign in
            ["", "statusline", "/x/runcode", "/x/runcodex statusline", "echo runcode statusline", "'a"]
        {
            assert!(!is_runcode(foreign, "statusline"), "{foreign}");
        }
    }

    #[test]
    fn a_control_character_is_refused() {
        assert!(quote("/a\nProxyCommand x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn sh_reads_a_quoted_word_as_it_is() {
        for word in ["", "a b", "$(id)", "`id`", "it's", "\"q\"", "a\\b", "!x", "%h", "ü*?", "~"] {
            let script = format!("printf %s {}", quote(word).unwrap());
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    proptest! {
        #[test]
        fn splitting_undoes_quoting(words in prop::collection::vec("[^\\p{Cc}]{0,9}", 0..4)) {
            let line = words.iter().map(|word| quote(word).unwrap()).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line), Some(words));
        }
    }
}
