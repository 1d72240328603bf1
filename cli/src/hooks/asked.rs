//! A one-time word at the end of a command that the user was asked about, and that runs on this machine if they agree. Only the gate
//! makes such words: lines of a skill or a slash command run in the same shell, but no gate has seen them.

const MARK: &str = "\n#runcode-asked-";

/// How many digits a word has.
const DIGITS: usize = 32;

/// The command with its word, as a comment that every shell skips.
pub fn put_on(text: &str, word: &str) -> String {
    format!("{text}{MARK}{word}")
}

/// A command, and its word if it has one.
pub fn take_off(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(MARK) {
        Some((text, word)) if word.len() == DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            (text, Some(word))
        }
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_off_as_it_was_put_on() {
        let word = "0123456789abcdef0123456789abcdef";
        for text in ["runcode route off", "runcode write f <<'E'\nx\nE", "runcode x \\\n", ""] {
            let with = put_on(text, word);
            assert_eq!(take_off(&with), (text, Some(word)));
            let twice = put_on(&with, word);
            assert_eq!(take_off(&twice), (&*with, Some(word)));
        }
        for text in ["runcode x", "x\n#runcode-asked-0", "x #runcode-asked-0123456789abcdef0123456789abcdef"]
        {
            assert_eq!(take_off(text), (text, None));
        }
        let other = format!("x\n#runcode-asked-{}/", "a".repeat(31));
        assert_eq!(take_off(&other).1, None, "a word is no path");
    }
}
