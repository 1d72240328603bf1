//! Taking out what looks like a secret, before anything is written or shown.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::Regex;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// How much of a text is looked at, in bytes. The rest is left out, so that a long text cannot make this slow.
const LONGEST: usize = 256 * 1024;

/// A text without what looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The text.
    pub text: String,
    /// Whether anything was taken out.
    pub is_changed: bool,
}

/// What a secret looks like.
struct Rule {
    /// In lower case: without any of these there is none, and the pattern is not even compiled.
    needs: &'static [&'static str],
    pattern: &'static str,
    /// What the match becomes.
    with: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

const fn rule(needs: &'static [&'static str], pattern: &'static str, with: &'static str) -> Rule {
    Rule { needs, pattern, with, compiled: OnceLock::new() }
}

/// Parts of the names that secrets have.
const NAMES: [&str; 18] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
    "private-key",
    "private_key",
    "credential",
    "mysql_pwd",
    "connection_string",
    "cookie",
    "_pat",
    "_dsn",
];

/// A word that has one of [`NAMES`] in it.
macro_rules! name {
    () => {
        "[a-z0-9_.-]*(?:password|passwd|passphrase|token|secret|api[-_]?key|access[-_]?key|private[-_]?key|credential|mysql_pwd|connection_string|cookie|_pat\\b|_dsn\\b)[a-z0-9_-]*"
    };
}

/// The whole of a value, quoted or not, even where several quoted pieces make up one word.
macro_rules! value {
    () => {
        r#"(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\;&|)])+"#
    };
}

static RULES: [Rule; 16] = [
    rule(
        &["private key"],
        // Its lines, not the commands after them, where its end is missing.
        concat!(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----",
            r"(?:(?:\s*\n\s*|(?:\\r)?\\n)(?:(?:Proc-Type|DEK-Info):[^\n\\]*|[A-Za-z0-9+/=]*)|[ \t]+[A-Za-z0-9+/=]{20,})*",
            r"(?:\s*[A-Za-z0-9+/=]{0,76}(?:\s|\\[rn])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?"
        ),
        REDACTED,
    ),
    rule(
        &["gh", "github_pat_", "glpat-"],
        r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})",
        REDACTED,
    ),
    rule(&["xox", "xapp-"], r"\b(?:xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,})", REDACTED),
    rule(
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[^\s'\x22]+",
        "hooks.slack.com/[redacted]",
    ),
    rule(&["akia", "asia"], r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", REDACTED),
    rule(
        &["k_live_", "k_test_", "whsec_"],
        r"\b(?:[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/=]{8,})",
        REDACTED,
    ),
    rule(&["sg."], r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", REDACTED),
    rule(&["sk-"], r"\bsk-[A-Za-z0-9_-]{16,}", REDACTED),
    rule(&["eyj"], r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*", REDACTED),
    rule(&["bearer", "basic"], r"(?i)\b(bearer|basic)([\s:]+|%20)[a-z0-9._~+/-]{6,}=*", "${1}${2}[redacted]"),
    rule(&["://"], r"://[^/\s@'\x22:]*:[^/\s'\x22]*@", "://[redacted]@"),
    // A whole word in quotes, such as '--password=two words'.
    rule(&NAMES, concat!("(?i)'(-{0,2}", name!(), r"=)[^']*'(?:\\''[^']*')*"), "'${1}[redacted]'"),
    rule(&NAMES, concat!("(?i)\"(-{0,2}", name!(), r#"=)(?:[^"\\]|\\.)*""#), "\"${1}[redacted]\""),
    // JSON, YAML, headers: "password": "x".
    rule(
        &NAMES,
        concat!("(?i)(", name!(), r#"\\?["']?[ \t]*:[ \t]*)(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"\\,;&|)}]+)"#),
        "${1}[redacted]",
    ),
    rule(&NAMES, concat!(r"(?i)(", name!(), r"(?:=|[ \t]+=[ \t]*))", value!()), "${1}[redacted]"),
    // An option and its value as two words.
    rule(
        &NAMES,
        concat!(
            r"(?i)(^|[\s'\x22])('?--?",
            name!(),
            r#"'?[ \t]+)(?:'[^'-][^']*'|"[^"-](?:[^"\\]|\\.)*"|[^\s'"\\;&|)-][^\s;&|)]*)"#
        ),
        "${1}${2}[redacted]",
    ),
];

/// Takes out what looks like a secret.
pub fn redact(text: &str) -> Redacted {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        return Redacted { text: redact(&text[..end]).text + "…", is_changed: true };
    }
    let lower = text.to_ascii_lowercase();
    let mut now = Cow::Borrowed(text);
    for rule in RULES.iter().filter(|rule| rule.needs.iter().any(|word| lower.contains(word))) {
        let compiled = rule.compiled.get_or_init(|| Regex::new(rule.pattern).ok());
        match compiled {
            Some(pattern) => {
                if let Cow::Owned(changed) = pattern.replace_all(&now, rule.with) {
                    now = Cow::Owned(changed);
                }
            }
            // A pattern that cannot be used hides everything rather than nothing.
            None => now = Cow::Borrowed(REDACTED),
        }
    }
    let is_changed = now != text;
    Redacted { text: now.into_owned(), is_changed }
}

/// Takes out what looks like a secret in the words of a command. What belongs to a word is known here, whatever is in it.
pub fn redact_words<'a>(words: impl IntoIterator<Item = &'a str>) -> (Vec<String>, bool) {
    let (mut shown, mut is_any, mut is_value) = (Vec::new(), false, false);
    for word in words {
        let mut next = match word.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_name(name.trim_start_matches('-')) => {
                format!("{name}={REDACTED}")
            }
            _ if is_value && !word.starts_with('-') => REDACTED.to_owned(),
            _ => word.to_owned(),
        };
        is_value =
            word.starts_with('-') && !word.contains('=') && is_secret_name(word.trim_start_matches('-'));
        if next == word {
            next = redact(word).text;
        }
        is_any |= next != word;
        shown.push(next);
    }
    (shown, is_any)
}

/// Whether this is the name of an option or a variable that holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_name =
        !name.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    is_name
        && NAMES
            .iter()
            .any(|part| if part.starts_with('_') { lower.ends_with(part) } else { lower.contains(part) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for rule in &RULES {
            Regex::new(rule.pattern).unwrap();
            assert!(rule.needs.iter().all(|word| *word == word.to_ascii_lowercase()));
        }
    }

    /// `@` is joined away, so that no scanner takes these for secrets of ours.
    #[test]
    fn secrets_are_taken_out() {
        let long = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8";
        for (text, shown) in [
            (format!("git clone https://u:pa@ss@host/x {}", ""), "git clone https://[redacted]@host/x "),
            (format!("echo ghp@_{long}"), "echo [redacted]"),
            (format!("echo github@_pat_{long}"), "echo [redacted]"),
            (format!("x xoxb@-123456789012-{long} y"), "x [redacted] y"),
            (
                "curl https://hooks.slack.com/services/T0/B0/x -d 1".into(),
                "curl https://hooks.slack.com/[redacted] -d 1",
            ),
            ("aws AKIA@IOSFODNN7EXAMPLE".into(), "aws [redacted]"),
            (format!("sk@_live_{long}"), "[redacted]"),
            (format!("SG@.{long}.{long}"), "[redacted]"),
            (format!("sk@-ant-api03-{long}"), "[redacted]"),
            (format!("sk@-proj-{long}"), "[redacted]"),
            (format!("curl -H 'Authorization: Bearer {long}'"), "curl -H 'Authorization: Bearer [redacted]'"),
            (
                "curl -H \"authorization: basic dXNlcjpwYXNz==\"".into(),
                "curl -H \"authorization: basic [redacted]\"",
            ),
            (format!("eyJ@hbGciOiJI.{long}.{long}"), "[redacted]"),
            (
                "cat <<E\n-----BEGIN OPENSSH PRIVATE@ KEY-----\nabc\n-----END OPENSSH PRIVATE@ KEY-----\nE"
                    .into(),
                "cat <<E\n[redacted]\nE",
            ),
            ("echo '-----BEGIN PRIVATE@ KEY-----\nabc".into(), "echo '[redacted]"),
            ("echo '-----BEGIN PRIVATE@ KEY-----\nabc'; rm -rf x".into(), "echo '[redacted]'; rm -rf x"),
            (
                format!(
                    "K='-----BEGIN RSA PRIVATE@ KEY-----\\n{long}\\nab==\\n-----END RSA PRIVATE@ KEY-----' x"
                ),
                "K='[redacted]' x",
            ),
            (
                format!("K='-----BEGIN PRIVATE@ KEY----- {long} a= -----END PRIVATE@ KEY-----' x"),
                "K='[redacted]' x",
            ),
            ("password = hunter2 x".into(), "password = [redacted] x"),
            ("psql --password=hunter2 -c x".into(), "psql --password=[redacted] -c x"),
            ("psql '--password=hun ter2' -c x".into(), "psql '--password=[redacted]' -c x"),
            ("a '--token=it'\\''s two' b".into(), "a '--token=[redacted]' b"),
            ("a --token='hun ter2' b".into(), "a --token=[redacted] b"),
            ("a --token \"hun ter2\" b".into(), "a --token [redacted] b"),
            ("a --db-password hunter2; b".into(), "a --db-password [redacted]; b"),
            ("PGPASSWORD=hunter2 psql".into(), "PGPASSWORD=[redacted] psql"),
            (
                "export AWS_SECRET_ACCESS_KEY=\"hunter2\" && x".into(),
                "export AWS_SECRET_ACCESS_KEY=[redacted] && x",
            ),
            (
                "curl -d '{\"password\": \"hunter2\", \"a\": 1}'".into(),
                "curl -d '{\"password\": [redacted], \"a\": 1}'",
            ),
        ] {
            let text = text
                .replace("@_", "_")
                .replace("@-", "-")
                .replace("@.", ".")
                .replace("AKIA@", "AKIA")
                .replace("eyJ@", "eyJ")
                .replace("PRIVATE@", "PRIVATE");
            let found = redact(&text);
            assert_eq!(found.text, shown, "{text}");
            assert!(found.is_changed);
            assert_eq!(redact(&found.text).text, found.text, "again: {text}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in [
            "make test",
            "ls -la /home/x/tokens",
            "psql --no-password --command 'select 1'",
            "git log --format='%h: %s'",
            "ssh://host:22/x and http://host:80/@x",
            "cat sk-1 gh_x basic",
            // The value is empty, and another command follows.
            "PASSWORD= rm -rf x",
            "x --token\nrm -rf x",
            "",
        ] {
            assert_eq!(redact(text), Redacted { text: text.to_owned(), is_changed: false });
        }
    }

    #[test]
    fn a_long_text_does_not_take_long() {
        let began = std::time::Instant::now();
        for piece in [
            "-----BEGIN PRIVATE@ KEY-----\n",
            "password=x'",
            "'token=\"",
            "a",
            "://a:",
            "\"secret: \"\\",
            "--token '",
        ] {
            let text = piece.replace('@', "").repeat(LONGEST / piece.len() + 1);
            let found = redact(&text);
            assert!(found.is_changed && found.text.len() <= 3 * LONGEST, "{piece}");
        }
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }

    #[test]
    fn words_are_taken_whole() {
        let (shown, is_any) =
            redact_words(["psql", "--password=two 'words'", "--token", "it's", "-c", "x", "PASSWORD=a b"]);
        let expected =
            ["psql", "--password=[redacted]", "--token", "[redacted]", "-c", "x", "PASSWORD=[redacted]"];
        assert!(is_any && shown == expected, "{shown:?}");
        assert!(!redact_words(["a", "--no-password", "-x", "b=c"]).1);
    }
}
