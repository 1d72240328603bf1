#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use proptest::prelude::*;

use super::*;
use crate::argument::Kind;

#[path = "shell_tests.rs"]
mod in_shells;

#[path = "warnings_tests.rs"]
mod warned;

fn one_line(rendered: &str, reads_stdin: bool) -> String {
    crate::one_line(rendered, reads_stdin, crate::NAME)
}

fn given(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn template(text: &str) -> Profile {
    Profile::new(Words::template(text).unwrap(), Rules::default()).unwrap()
}

fn argv(words: &[&str], rules: Rules) -> Profile {
    Profile::new(Words::argv(words.iter().copied()).unwrap(), rules).unwrap()
}

#[test]
fn rendering_is_exact() {
    let logs = template("journalctl -u {{service}} --since {{since}} --no-pager");
    let call = logs.call(given(&[("service", "api"), ("since", "10 min ago")])).unwrap();
    assert_eq!(call.rendered(), "journalctl -u 'api' --since '10 min ago' --no-pager");
    let call = template("journalctl --since={{since}}").call(given(&[("since", "it's")])).unwrap();
    assert_eq!(call.rendered(), "journalctl --since='it'\\''s'");
    for (words, rendered) in [
        (&["sh", "-c", "exit {{n}}"][..], "sh -c 'exit 7'"),
        (&["echo", "a|b", "", "it's"], "echo 'a|b' '' 'it'\\''s'"),
        (&["A=1", "B=2"], "'A=1' B=2"),
        (&["if", "if"], "'if' if"),
        (&["echo", "~", "a*", "$x"], "echo '~' 'a*' '$x'"),
    ] {
        let profile = argv(words, Rules::default());
        let values = if profile.arguments().next().is_some() { given(&[("n", "7")]) } else { Vec::new() };
        assert_eq!(profile.call(values).unwrap().rendered(), rendered, "{words:?}");
    }
}

#[test]
fn a_template_has_plain_words_alone() {
    for good in ["df -h", "a {{b}}", "a --b={{c-1}}", " a\tb ", "/usr/bin/x -n10 a:b@c,d%e+f"] {
        assert!(Words::template(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        " ",
        "a | b",
        "a;b",
        "a>b",
        "a `b`",
        "a $b",
        "a & b",
        "a 'b'",
        "a \"b\"",
        "a {{}}",
        "a {{B}}",
        "a {{b",
        "a b}}",
        "a x{{b}}",
        "a {{b}}x",
        "a {{b}}{{c}}",
        "{{a}} b",
        "A=1 b",
        "A={{b}} c",
        "a\nb",
        "a ~",
        "a *",
        "a \\b",
        "a (b)",
        "a #b",
        "a !b",
        "a é",
        &"a ".repeat(129),
        &"a".repeat(4097),
    ] {
        assert!(Words::template(bad).is_err(), "{bad:?}");
    }
    assert!(Words::template("a | b").unwrap_err().contains("\"|\""));
    for bad in [&[][..], &[""], &["a", "{{"], &["a", "{{B}}"], &["a", "x\ny"]] {
        assert!(Words::argv(bad.iter().copied()).is_err(), "{bad:?}");
    }
}

#[test]
fn no_value_becomes_an_option() {
    let dash = Argument { dash: true, ..Argument::default() };
    let allowed = |names: &[&str]| Rules {
        arguments: names.iter().map(|name| ((*name).to_owned(), dash.clone())).collect(),
        ..Rules::default()
    };
    for (words, rules, is_taken) in [
        (&["sort", "-r", "{{a}}"][..], Rules::default(), false),
        (&["cat", "{{a}}"], Rules::default(), false),
        (&["cat", "{{a}}.log"], Rules::default(), false),
        (&["cat", "{{b}}{{a}}"], Rules::default(), false),
        (&["cat", "{{b}}-x", "x{{a}}"], Rules::default(), false),
        (&["{{a}}"], Rules::default(), false),
        (&["cat", "--", "{{a}}"], Rules::default(), false),
        (&["cat", "--", "{{a}}"], allowed(&["a"]), true),
        (&["--", "{{a}}"], Rules::default(), false),
        (&["nice", "--", "sort", "{{a}}"], Rules::default(), false),
        (&["/usr/bin/sudo", "-u", "app", "--", "sort", "{{a}}"], Rules::default(), false),
        (&["env", "--", "timeout", "5", "sort", "{{a}}"], Rules::default(), false),
        (&["sudo", "--", "sort", "--", "{{a}}"], Rules::default(), false),
        (
            &["no-such-wrapper", "-u", "nobody", "--", "git", "-C", "x", "fetch", "{{a}}"],
            Rules::default(),
            false,
        ),
        (&["x", "--since={{a}}"], Rules::default(), true),
        (&["cat", "./{{a}}"], Rules::default(), true),
        (&["cat", "{{a}}"], allowed(&["a"]), true),
        (&["cat", "{{b}}{{a}}"], allowed(&["a"]), true),
        (&["cat", "{{b}}{{a}}"], allowed(&["b"]), false),
    ] {
        let profile = argv(words, rules);
        let mut values = given(&[("a", "--output=/etc/passwd")]);
        values.extend(
            profile.arguments().any(|(name, _)| name == "b").then(|| ("b".to_owned(), String::new())),
        );
        assert_eq!(profile.call(values).is_ok(), is_taken, "{words:?}");
    }
    let mut number = Rules::default();
    number.arguments.insert("n".to_owned(), Argument { kind: Kind::Int, ..Argument::default() });
    let head = argv(&["head", "{{n}}"], number);
    assert!(head.call(given(&[("n", "-1")])).is_err() && head.call(given(&[("n", "1")])).is_ok());
}

#[test]
fn a_path_stays_one_beside_other_parts() {
    let kind = |kind| Argument { kind, ..Argument::default() };
    for (word, kinds, values, is_taken) in [
        ("/srv/.{{a}}", [Kind::Path, Kind::Text], ["./secret", ""], false),
        ("/srv/{{a}}{{b}}/etc", [Kind::Path, Kind::Path], ["/.", "./."], false),
        ("/srv/{{a}}", [Kind::Word, Kind::Text], ["..", ""], false),
        ("/srv/{{a}}", [Kind::Path, Kind::Text], ["a/b", ""], true),
        ("/srv/{{a}}.{{b}}", [Kind::Word, Kind::Word], ["a", "b"], true),
        ("{{a}}...{{b}}", [Kind::Word, Kind::Word], ["main", "next"], true),
        ("../{{a}}", [Kind::Word, Kind::Text], ["x", ""], true),
        ("../logs/.{{a}}", [Kind::Path, Kind::Text], ["./etc", ""], false),
        ("--dir={{a}}", [Kind::Word, Kind::Text], ["..", ""], false),
        ("-C.{{a}}", [Kind::Path, Kind::Text], ["./etc", ""], false),
        ("host:{{a}}", [Kind::Word, Kind::Text], ["..", ""], false),
        ("--range={{a}}..{{b}}", [Kind::Word, Kind::Word], ["v1", "v2"], true),
    ] {
        let mut rules = Rules::default();
        let used = ["a", "b"].into_iter().filter(|name| word.contains(&format!("{{{{{name}}}}}")));
        let used = used.zip(kinds).zip(values).collect::<Vec<_>>();
        for ((name, of), _) in &used {
            rules.arguments.insert((*name).to_owned(), kind(*of));
        }
        let values = used.iter().map(|((name, _), value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(argv(&["cat", word], rules).call(values).is_ok(), is_taken, "{word} {used:?}");
    }
}

#[test]
fn values_are_asked_for_by_name() {
    let mut rules = Rules::default();
    rules.arguments.insert("b".to_owned(), Argument { default: Some("x".to_owned()), ..Argument::default() });
    let profile = argv(&["p", "{{a}}", "{{b}}"], rules);
    let call = |values: &[(&str, &str)]| profile.call(given(values)).map(|call| call.rendered().to_owned());
    assert_eq!(call(&[("a", "1")]).unwrap(), "p '1' 'x'");
    assert_eq!(call(&[("b", "1")]), Err(Refusal::Missing("a".to_owned())));
    assert_eq!(call(&[("a", "1"), ("c", "1")]), Err(Refusal::Unknown("c".to_owned())));
    assert_eq!(call(&[("a", "1"), ("a", "1")]), Err(Refusal::Repeated("a".to_owned())));
    let long = argv(&["p", "{{a}}", "{{a}}", "{{a}}", "{{a}}", "{{a}}"], Rules::default());
    assert_eq!(long.call(given(&[("a", &"'".repeat(4096))])), Err(Refusal::TooLong));
}

#[test]
fn a_mistake_in_the_rules_is_told() {
    let with = |argument: Argument| {
        let rules = Rules { arguments: [("a".to_owned(), argument)].into(), ..Rules::default() };
        Profile::new(Words::argv(["p", "{{a}}"]).unwrap(), rules).map(|_| ()).map_err(|mistake| mistake.why)
    };
    let int = || Argument { kind: Kind::Int, ..Argument::default() };
    assert!(with(Argument { default: Some("x".to_owned()), ..int() }).unwrap_err().contains("default"));
    assert!(
        with(Argument { choices: vec!["1".to_owned(), "x".to_owned()], ..int() })
            .unwrap_err()
            .contains("choice")
    );
    assert_eq!(with(Argument { choices: vec!["1".to_owned()], ..int() }), Ok(()));
    let unused = Rules { arguments: [("z".to_owned(), int())].into(), ..Rules::default() };
    assert!(Profile::new(Words::argv(["p", "{{a}}"]).unwrap(), unused).is_err());
}

#[test]
fn a_secret_is_in_no_report() {
    let mut rules = Rules::default();
    rules.arguments.insert("a".to_owned(), Argument { secret: true, ..Argument::default() });
    let call =
        argv(&["p", "--key={{a}}", "{{b}}"], rules).call(given(&[("a", "hunter2"), ("b", "x")])).unwrap();
    assert_eq!(call.rendered(), "p '--key=hunter2' 'x'");
    assert_eq!(call.shown(), "p '--key=[redacted]' 'x'");
    assert_eq!(call.shown_values().collect::<Vec<_>>(), [("a", "[redacted]"), ("b", "x")]);
    assert!(!format!("{call:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn no_rule_is_got_round(value in "(-|[ -~]|\\PC|[\\x00-\\x1f]){0,8}", literal in "[a-z-]{0,2}") {
        let word = format!("{literal}{{{{a}}}}");
        let profile = argv(&["p", &word], Rules::default());
        if let Ok(call) = profile.call(vec![("a".to_owned(), value.clone())]) {
            assert!(!value.chars().any(runcode_text::is_steering));
            assert!(!literal.is_empty() || !value.starts_with('-'));
            assert!(!call.rendered().contains('\n') && !call.one_line().contains('\n'));
        }
    }

    #[test]
    fn no_template_panics(text in "([a-z =.-]|\\{\\{|\\}\\}|\\PC){0,40}") {
        if let Ok(words) = Words::template(&text) {
            let _ = words.shown();
            let profile = Profile::new(words, Rules::default()).unwrap();
            let _ = profile.warning();
            let names = profile.arguments().map(|(name, _)| (name.to_owned(), "x y".to_owned())).collect::<Vec<_>>();
            let call = profile.call(names).unwrap();
            assert!(call.rendered().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:=@+,%-' ".contains(&byte)));
        }
    }
}
