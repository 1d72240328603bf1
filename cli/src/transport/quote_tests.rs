#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::process::Command;

use proptest::prelude::*;

use super::*;

/// The shells of this machine that could be somebody's login shell.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["sh"], vec!["bash"], vec!["dash"], vec!["busybox", "sh"], vec!["zsh", "-f"], vec!["ksh"]];
    let others = [vec!["mksh"], vec!["fish", "--no-config"], vec!["tcsh", "-f"]];
    let there = |shell: &Vec<&str>| {
        Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", ":"])
            .output()
            .is_ok_and(|run| run.status.success())
    };
    all.into_iter().chain(others).filter(there).collect()
}

fn said_by(shell: &[&str], text: &[u8]) -> Vec<u8> {
    let text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(text);
    let run = Command::new(shell[0]).args(&shell[1..]).arg("-c").arg(text).output().unwrap();
    assert!(run.stderr.is_empty(), "{shell:?}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

fn printed(words: &[Vec<u8>]) -> Vec<u8> {
    printed_by(word, words)
}

fn printed_by(quote: fn(&mut Vec<u8>, &[u8]), words: &[Vec<u8>]) -> Vec<u8> {
    let mut text = b"printf '<%s>'".to_vec();
    for one in words {
        text.push(b' ');
        quote(&mut text, one);
    }
    on_one_line(text, "name")
}

fn expected(words: &[Vec<u8>]) -> Vec<u8> {
    words.iter().flat_map(|word| [b"<", word.as_slice(), b">"].concat()).collect()
}

#[test]
fn every_shell_reads_the_exact_words() {
    let words: Vec<Vec<u8>> = [
        "",
        "plain",
        "two words",
        "'",
        "\\",
        "!",
        "!!",
        "it's",
        "a\\'b",
        "\\n",
        "%s%%",
        "$HOME `id` $(id)",
        "*?[a]{b,c}~",
        "#a;b|c&d<e>f",
        "-n",
        "\"",
        "^a^b",
        "=ls",
        "tab\there",
        "\r",
        "é世界🦀",
        "a\nb\n",
        "\n",
        "c\\\nd'\n!\\n",
    ]
    .map(|word| word.as_bytes().to_vec())
    .to_vec();
    for shell in shells() {
        for word in &words {
            let words = std::slice::from_ref(word);
            assert_eq!(said_by(&shell, &printed(words)), expected(words), "{shell:?} {word:?}");
        }
        assert_eq!(said_by(&shell, &printed(&words)), expected(&words), "{shell:?}");
        assert_eq!(said_by(&shell, &printed_by(hidden_word, &words)), expected(&words), "{shell:?}");
    }
    let started = |file: &str| [file.as_bytes(), b"\n", &printed_by(hidden_word, &words)].concat();
    for shell in shells().into_iter().filter(|shell| shell[0] == "zsh") {
        assert_eq!(said_by(&shell, &started("setopt rc_quotes extended_glob")), expected(&words));
    }
}

#[test]
fn hidden_words_are_not_found_by_three_letters() {
    for word in ["my-server --port 80", "/home/me/project", "aaaa", "it's a server!", "pkill -f 'node x'"] {
        let mut text = Vec::new();
        hidden_word(&mut text, word.as_bytes());
        let text = String::from_utf8(text).unwrap();
        let found = word.as_bytes().windows(3).filter(|three| three.iter().all(u8::is_ascii_alphanumeric));
        for three in found {
            assert!(!text.contains(std::str::from_utf8(three).unwrap()), "{word}: {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_words_survive_any_shell(words in prop::collection::vec("[^\0\u{7f}-\u{a0}]{0,20}", 1..5)) {
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        for shell in shells() {
            prop_assert_eq!(said_by(&shell, &printed(&words)), expected(&words), "{:?}", shell);
            prop_assert_eq!(said_by(&shell, &printed_by(hidden_word, &words)), expected(&words), "{:?}", shell);
        }
    }

    #[test]
    fn any_bytes_survive_a_posix_shell(words in prop::collection::vec(prop::collection::vec(1..=255u8, 0..20), 1..5)) {
        prop_assert_eq!(said_by(&["sh"], &printed(&words)), expected(&words));
        prop_assert_eq!(said_by(&["sh"], &printed_by(hidden_word, &words)), expected(&words));
    }
}
