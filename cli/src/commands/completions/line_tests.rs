#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use proptest::prelude::*;

use super::*;

fn offer(word: &str) -> Offer {
    Offer { word: word.to_owned(), help: String::new() }
}

/// The word at the end of a line, and what stands around the cursor.
fn at_end(text: &str) -> Option<(String, Quote)> {
    let line = Line::of_bash(text)?;
    Some((line.words().pop()?, line.quote))
}

#[test]
fn a_line_is_read_as_bash_reads_it() {
    let words = |text| Line::of_bash(text).map(|line| line.words());
    assert_eq!(
        words("runcode  put a\\ b 'c d'\"e\\\"\\n\" ").unwrap(),
        ["runcode", "put", "a b", "c de\"\\n", ""]
    );
    assert_eq!(words("r $HOME/x 'y").unwrap(), ["r", "$HOME/x", "y"]);
    assert_eq!(at_end("r ~/x").unwrap(), ("~/x".to_owned(), Quote::None));
    assert_eq!(at_end("r \"a\\").unwrap(), ("a".to_owned(), Quote::Double));
    assert_eq!(at_end("r --out=~/x").unwrap().0, "--out=~/x");
}

#[test]
fn what_is_no_plain_word_gets_no_answer() {
    for text in [
        "r $x", "r \"$x", "r $(a", "r `a", "r \"`a", "r $'a", "r $\"a", "r a*", "r a?", "r [a", "r {a",
        "r a!", "r \"a!", "r ~", "r ~u/a", "r '~/a", "r \\~/a", "r a; b", "r a & b", "r a | b", "r > b",
        "r (b", "r #b", "r a\\\nb", "r a\nb",
    ] {
        assert!(Line::of_bash(text).is_none(), "{text:?}");
    }
}

#[test]
fn what_is_typed_stays_and_the_rest_is_quoted() {
    let finished = |text, replaced, word| Line::of_bash(text).unwrap().finished(&offer(word), replaced, true);
    for (text, replaced, word, wanted) in [
        ("r a", "a", "a $(b)", "a\\ \\$\\(b\\) "),
        ("r \"a", "a", "a$`!\"\\", "a\\$\\`\"\\!\"\\\"\\\\\""),
        ("r 'a", "a", "a'!$", "a'\\'''\\!'$'"),
        ("r a\\", "a\\", "a b", "a\\ b "),
        ("r --out=a", "a", "--out=a b", "a\\ b "),
        ("r \"a\"", "\"a\"", "a/", "\"a\"/"),
        ("r ", "", "./-rf", "./-rf "),
        ("r a", "a", "aé\u{3000}$日", "a'é''\u{3000}'\\$'日' "),
        ("r 世", "世", "世$(b)", "世''\\$\\(b\\) "),
        ("r \"世", "世", "世$é`$", "世\"\"\\$é\"\"\\`\\$\""),
        ("r '世", "世", "世é$", "世é$'"),
    ] {
        assert_eq!(finished(text, replaced, word).as_deref(), Some(wanted), "{text:?}");
    }
    assert_eq!(finished("r '", "", "'a"), None, "readline would take the first quote for the one before it");
    assert_eq!(finished("r \"", "", "!a"), None);
    assert_eq!(finished("r a", "b", "ab"), None, "not what stands there");
    assert_eq!(finished("r a", "r a", "ab"), None, "more than the word");
}

#[test]
fn words_of_fish_and_powershell_are_plain() {
    for (token, word) in
        [("a\\ b", "a b"), ("'a\\'b", "a'b"), ("\"a\\$b", "a$b"), ("a\\", "a"), ("\"a\\n", "a\\n")]
    {
        assert_eq!(word_of_fish(token).as_deref(), Some(word), "{token}");
    }
    for token in ["$a", "\"$a", "(a", "a*", "\\x41", "a;b"] {
        assert_eq!(word_of_fish(token), None, "{token}");
    }
    assert_eq!(word_of_powershell("'a b'").as_deref(), Some("a b"));
    assert_eq!(word_of_powershell("\"a").as_deref(), Some("a"));
    assert_eq!(word_of_powershell("\"$(a)"), None);
    assert_eq!(quoted_for_powershell("--out=a/b").as_deref(), Some("--out=a/b"));
    assert_eq!(quoted_for_powershell("a'$(b)\u{2019}").as_deref(), Some("'a''$(b)\u{2019}\u{2019}'"));
    assert_eq!(quoted_for_powershell("w\" --api-base \"https://evil"), None);
    assert_eq!(quoted_for_powershell("a b\\"), None);
    assert_eq!(quoted_for_powershell("\u{2014}a").as_deref(), Some("'\u{2014}a'"));
}

proptest! {
    #[test]
    fn no_line_panics(text in any::<String>(), word in any::<String>(), end in 0..20_usize) {
        if let Some(line) = Line::of_bash(&text) {
            let replaced = text.chars().rev().take(end).collect::<Vec<_>>().into_iter().rev().collect::<String>();
            let _ = line.finished(&offer(&word), &replaced, true);
        }
        let _ = (word_of_fish(&text), word_of_powershell(&text));
    }

    /// readline inserts what several answers begin with: that must still be the start of each, wherever it is cut.
    #[test]
    fn a_common_start_is_a_start_of_each(
        open in "['\"]?", typed in "[a$ é]{1,2}", one in "[ab'\"$`!\\\\ ;é世]{0,4}", other in "[ab'\"$`!\\\\ ;é世]{0,4}",
    ) {
        let typed = typed.replace(['$', ' '], "a");
        let text = format!("r {open}{typed}");
        let line = Line::of_bash(&text).unwrap();
        let (one, other) = (format!("{typed}{one}"), format!("{typed}{other}"));
        let answers = [&one, &other].map(|word| line.finished(&offer(word), &typed, false).unwrap());
        let common = answers[0].chars().zip(answers[1].chars()).take_while(|(a, b)| a == b).map(|(a, _)| a);
        let cut = format!("r {open}{}", common.collect::<String>());
        // A `!` within stays as it was typed, and gets no further answer.
        if let Some((word, _)) = at_end(&cut) {
            prop_assert!(one.starts_with(&word) && other.starts_with(&word), "{cut:?}");
            prop_assert!(word.starts_with(&typed));
        } else {
            prop_assert!(cut.contains('!'), "{cut:?}");
        }
    }

    /// What a byte beyond ASCII is, the user's locale decides: a blank, or the first half of a letter whose second is `\`.
    #[test]
    fn bytes_beyond_ascii_are_inert(open in "['\"]?", typed in "[aé世]{1,2}", name in "[!-~ é世\u{a0}\u{3000}]{0,8}") {
        let text = format!("r {open}{typed}");
        let line = Line::of_bash(&text).unwrap();
        let inserted = line.finished(&offer(&format!("{typed}{name}")), &typed, true).unwrap();
        prop_assert!(!inserted.as_bytes().windows(2).any(|two| two[0] > 127 && two[1] == b'\\') || open == "'", "{inserted}");
        let (mut quote, mut chars) = (open.chars().next(), inserted[typed.len()..].chars());
        while let Some(c) = chars.next() {
            match (quote, c) {
                (None | Some('"'), '\\') => drop(chars.next()),
                (None, '\'' | '"') => quote = Some(c),
                (Some(mark), c) if c == mark => quote = None,
                _ => prop_assert!(quote.is_some() || c.is_ascii(), "{inserted}"),
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn bash_reads_the_exact_word(open in "['\"]?", name in "[!-~ é世]{1,12}") {
        let text = format!("printf %s {open}a");
        let line = Line::of_bash(&text).unwrap();
        let word = format!("a{name}");
        let script = format!("{}{}", &text[..text.len() - 1], line.finished(&offer(&word), "a", true).unwrap());
        let output = std::process::Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
    }
}
