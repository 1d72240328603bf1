//! Words and the arguments that they mean.
#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use serde_json::{Value, json};

use super::*;

fn tool() -> Tool {
    Tool::with(
        json!({
            "env": { "type": "string", "enum": ["staging", "production"] },
            "dry_run": { "type": "boolean" },
            "count": { "type": "integer", "minimum": 1, "maximum": 9 },
            "ratio": { "type": "number" },
            "tag": { "type": "array", "items": { "type": "string", "maxLength": 3 } },
            "from": { "type": "string", "x-position": 1, "minLength": 2 },
            "to": { "type": "string", "x-position": 2 },
            "rest": { "type": "array", "items": { "type": "string" }, "x-rest": true },
        }),
        &["env"],
    )
}

fn read(words: &[&str]) -> Result<Value, Vec<String>> {
    let given = Given::Words(words.iter().map(|word| (*word).to_owned()).collect());
    let told =
        |mistakes: Vec<Mistake>| mistakes.into_iter().map(|(at, what)| format!("{at} {what}")).collect();
    arguments(&tool(), given).map(Value::from).map_err(told)
}

#[test]
fn words_become_arguments_by_the_schema() {
    for (words, expected) in [
        (&["--env", "staging"][..], json!({ "env": "staging" })),
        (
            &["--env=staging", "--count=3", "--ratio", "-1.5"],
            json!({ "env": "staging", "count": 3, "ratio": -1.5 }),
        ),
        (&["--env=staging", "--dry-run"], json!({ "env": "staging", "dry_run": true })),
        (&["--env=staging", "--no-dry_run"], json!({ "env": "staging", "dry_run": false })),
        (&["--env=staging", "--dry_run=false"], json!({ "env": "staging", "dry_run": false })),
        (&["--env=staging", "--tag", "a", "--tag=b"], json!({ "env": "staging", "tag": ["a", "b"] })),
        (&["ab", "--env", "staging", "-5"], json!({ "env": "staging", "from": "ab", "to": "-5" })),
        (&["--from=ab", "c", "--env=staging"], json!({ "env": "staging", "from": "ab", "to": "c" })),
        (&["--env=staging", "--", "--x", "--"], json!({ "env": "staging", "rest": ["--x", "--"] })),
        (
            &["--env=staging", "--to=0005", "--from", "1e3", "--tag=1.0", "--ratio=18446744073709551615"],
            json!({ "env": "staging", "to": "0005", "from": "1e3", "tag": ["1.0"], "ratio": u64::MAX }),
        ),
        (
            &["--env=staging", "--to=true", "18446744073709551616"],
            json!({ "env": "staging", "to": "true", "from": "18446744073709551616" }),
        ),
        (&["--env=staging", "--to="], json!({ "env": "staging", "to": "" })),
    ] {
        assert_eq!(read(words).unwrap(), expected, "{words:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    for (words, expected) in [
        (&[][..], &["--env is required"][..]),
        (
            &["--dry-run", "false", "--nope", "1", "a", "b", "c", "--count", "x", "--env", "prod"],
            &[
                "--dry-run takes no separate value: write --dry-run=false",
                "--nope is not an argument of this tool",
                "b is one positional argument too many",
                "c is one positional argument too many",
                "--count is not an integer",
                "--env is not one of staging, production",
                "--from is shorter than 2 characters",
            ],
        ),
        (
            &["--env=staging", "--count=0", "--count=10"],
            &["--count is given more than once", "--count is more than 9"],
        ),
        (&["--env=staging", "--count=0"], &["--count is less than 1"]),
        (&["--env=staging", "--tag=long"], &["--tag is longer than 3 characters"]),
        (
            &["--env=staging", "--dry-run=1", "--no-dry-run=x"],
            &["--dry-run takes true or false", "--no-dry-run takes no value"],
        ),
        (
            &["--env=staging", "-x", "--ratio=inf"],
            &["-x is not an argument of this tool", "--ratio is not a number"],
        ),
        (&["--env"], &["--env needs a value"]),
        (
            &["--env=staging", "--count=18446744073709551616", "--ratio=-9223372036854775809"],
            &[
                "--count is a whole number of more than 64 bits, which cannot be passed on exactly",
                "--ratio is a whole number of more than 64 bits, which cannot be passed on exactly",
            ],
        ),
    ] {
        let mistakes = read(words).unwrap_err();
        assert_eq!(
            mistakes.iter().collect::<std::collections::BTreeSet<_>>(),
            expected.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>().iter().collect(),
            "{words:?}"
        );
    }
    let bare = Tool::with(json!({ "flag": { "type": "boolean" } }), &[]);
    for words in [["--flag", "no"], ["--", "x"]] {
        let given = Given::Words(words.map(str::to_owned).to_vec());
        assert!(arguments(&bare, given).is_err(), "{words:?}");
    }
}

#[test]
fn a_whole_object_is_checked_alike() {
    let check = |value: Value| arguments(&tool(), Given::Object(value.as_object().unwrap().clone()));
    assert!(check(json!({ "env": "staging", "count": 2, "tag": ["a"] })).is_ok());
    let mut mistakes = check(json!({ "count": "2", "tag": ["a", 7], "x": 1 })).unwrap_err();
    mistakes.sort();
    let at = mistakes.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>();
    assert_eq!(at, ["count", "env", "tag", "x"]);
}
