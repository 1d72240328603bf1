#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::argument::Kind;

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
        (&["cat", "--", "{{a}}"], Rules::default(), true),
        (&["--", "{{a}}"], Rules::default(), false),
        (&["nice", "--", "sort", "{{a}}"], Rules::default(), false),
        (&["/usr/bin/sudo", "-u", "app", "--", "sort", "{{a}}"], Rules::default(), false),
        (&["env", "--", "timeout", "5", "sort", "{{a}}"], Rules::default(), false),
        (&["sudo", "--", "sort", "--", "{{a}}"], Rules::default(), true),
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

#[test]
fn a_shell_in_disguise_is_warned_of() {
    for (words, is_warned) in [
        (&["sh", "-c", "{{a}}"][..], true),
        (&["python3", "-c", "print({{a}})"], true),
        (&["{{a}}"], true),
        (&["sudo", "{{a}}"], true),
        (&["sudo", "systemctl", "restart", "{{a}}"], false),
        (&["xargs", "{{a}}"], true),
        (&["ssh", "{{a}}"], true),
        (&["env", "-S", "x {{a}}"], true),
        (&["eval", "{{a}}"], true),
        (&["journalctl", "-u", "{{a}}"], false),
        (&["grep", "-e", "{{a}}"], false),
        (&["sh", "script", "{{a}}"], false),
        (&["bash", "-lc", "{{a}}"], true),
        (&["bash", "--norc", "-ec", "{{a}}"], true),
        (&["bash", "-c", "--", "{{a}}"], true),
        (&["perl", "-ne", "{{a}}"], true),
        (&["/usr/bin/python3.11", "-c", "{{a}}"], true),
        (&["su", "app", "-c", "{{a}}"], true),
        (&["awk", "{{a}}"], true),
        (&["awk", "-f", "prog", "{{a}}"], false),
        (&["sudo", "-n", "{{a}}"], true),
        (&["sudo", "-u", "app", "{{a}}"], true),
        (&["sudo", "-u", "app", "cat", "{{a}}"], false),
        (&["setsid", "{{a}}"], true),
        (&["docker", "exec", "c", "{{a}}"], true),
        (&["docker", "logs", "{{a}}"], false),
        (&["kubectl", "exec", "web", "--", "{{a}}"], true),
    ] {
        let words_of = Words::argv(words.iter().copied()).unwrap();
        assert_eq!(words_of.warning().is_some(), is_warned, "{words:?}");
    }
}

/// The shells that may be a host's `sh`, and those that may be somebody's login shell.
fn shells() -> (Vec<&'static str>, Vec<&'static str>) {
    let is_there = |shell: &&str| {
        let run = Command::new("sh").args(["-c", &format!("command -v {shell}")]).output();
        run.is_ok_and(|run| run.status.success())
    };
    let sh = ["dash", "bash", "busybox", "mksh", "zsh", "ksh", "yash"].into_iter().filter(is_there).collect();
    let login = ["dash", "bash", "zsh", "mksh", "ksh", "fish", "tcsh"].into_iter().filter(is_there).collect();
    (sh, login)
}

/// A folder in which `sh` is this shell.
fn folder_of(sh: &str, below: &Path) -> std::path::PathBuf {
    let folder = below.join(sh);
    std::fs::create_dir(&folder).unwrap();
    let found = Command::new("sh").args(["-c", &format!("command -v {sh}")]).output().unwrap().stdout;
    std::os::unix::fs::symlink(String::from_utf8(found).unwrap().trim_end(), folder.join("sh")).unwrap();
    folder
}

/// A login shell that runs this line as sshd would, with the `sh` of this folder first; its stdin is a pipe.
fn login(shell: &str, line: &str, sh: &Path) -> (std::process::Child, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("{}:{}", sh.display(), std::env::var("PATH").unwrap());
    let mut run = Command::new(shell);
    if ["zsh", "tcsh"].contains(&shell) {
        run.arg("-f");
    }
    run.arg("-c").arg(line).env("PATH", path).stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped());
    (run.process_group(0).spawn().unwrap(), writer)
}

fn output(shell: &str, line: &str, sh: &Path) -> (String, String, Option<i32>) {
    let (mut child, lifeline) = login(shell, line, sh);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut err).unwrap();
    let status = child.wait().unwrap();
    drop(lifeline);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(out), text(err), status.code())
}

/// A temporary folder, removed when dropped.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let folder = std::env::temp_dir().join(format!("runcode-policy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Temporary(folder)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn every_shell(name: &str, check: impl Fn(&str, &Path, &str)) {
    let home = Temporary::new(name);
    let (sh, login) = shells();
    let folders = sh.iter().map(|sh| (*sh, folder_of(sh, &home.0))).collect::<Vec<_>>();
    for (sh, folder) in &folders {
        check("dash", folder, sh);
    }
    for shell in login {
        check(shell, &folders[0].1, shell);
    }
}

fn exact(values: &[&str]) -> (Profile, Vec<(String, String)>, String) {
    let names = (0..values.len()).map(|number| format!("a{number}")).collect::<Vec<_>>();
    let mut words = vec!["printf".to_owned(), "<%s>".to_owned()];
    let mut expected = String::new();
    for (name, value) in names.iter().zip(values) {
        words.extend([format!("{{{{{name}}}}}"), format!("x'{{{{{name}}}}}!")]);
        expected.push_str(&format!("<{value}><x'{value}!>"));
    }
    let dash = Argument { dash: true, ..Argument::default() };
    let arguments = names.iter().map(|name| (name.clone(), dash.clone())).collect();
    let profile =
        argv(&words.iter().map(String::as_str).collect::<Vec<_>>(), Rules { arguments, ..Rules::default() });
    let given = names.into_iter().zip(values.iter().map(|value| (*value).to_owned())).collect();
    (profile, given, expected)
}

#[test]
fn odd_values_reach_the_program_as_they_are() {
    let values = [
        "",
        "plain",
        "two words",
        "'",
        "''",
        "\\",
        "\\'",
        "!",
        "!!",
        "it's $HOME `id` $(id)",
        "*?[a]{b,c}~",
        "~",
        "#a;b|c&d<e>f",
        "-n",
        "--",
        "\"",
        "%s%%",
        "a\\nb",
        "=ls",
        "ä 世界 🦀",
        "$'x'",
        "${x:-y}",
        "a=b",
        "\\\\",
    ];
    let (profile, given, expected) = exact(&values);
    let call = profile.call(given).unwrap();
    every_shell("odd", |shell, sh, name| {
        for stdin in [false, true] {
            let run = output(shell, &one_line(call.rendered(), stdin), sh);
            assert_eq!(run, (expected.clone(), String::new(), Some(0)), "{name}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_value_reaches_the_program_as_it_is(
        values in proptest::collection::vec("([ -~]|\\PC){0,12}", 12),
    ) {
        let values = values.iter().map(String::as_str).collect::<Vec<_>>();
        let (profile, given, expected) = exact(&values);
        if let Ok(call) = profile.call(given) {
            let line = call.one_line();
            every_shell("any", |shell, sh, name| {
                assert_eq!(output(shell, &line, sh), (expected.clone(), String::new(), Some(0)), "{name}");
            });
        }
    }
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
            let _ = (words.shown(), words.warning());
            let profile = Profile::new(words, Rules::default()).unwrap();
            let names = profile.arguments().map(|(name, _)| (name.to_owned(), "x y".to_owned())).collect::<Vec<_>>();
            let call = profile.call(names).unwrap();
            assert!(call.rendered().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:=@+,%-' ".contains(&byte)));
        }
    }
}

#[test]
fn the_status_is_the_commands() {
    every_shell("status", |shell, sh, name| {
        for (command, status) in [("exit 7", 7), ("true", 0), ("sh -c 'exit 255'", 255), ("/none/such", 127)]
        {
            assert_eq!(output(shell, &one_line(command, false), sh).2, Some(status), "{name}: {command}");
        }
        let (said, ..) = output(shell, &one_line("cat; echo over", false), sh);
        assert_eq!(said, "over\n", "{name}: it reads nothing");
    });
}

/// Whether any process has this word among its arguments.
fn runs(word: &str) -> bool {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|argument| argument == word)
    })
}

/// What the lifeline's end leaves running: nothing, also of a command that ignores TERM and has children.
#[test]
fn the_lifeline_ends_the_whole_group() {
    let home = Temporary::new("lifeline");
    let (all, logins) = shells();
    let folders = all.iter().map(|sh| (*sh, folder_of(sh, &home.0))).collect::<Vec<_>>();
    let pairs = folders
        .iter()
        .map(|(sh, folder)| ("dash", folder, *sh))
        .chain(logins.iter().map(|shell| (*shell, &folders[0].1, *shell)));
    let started = pairs.enumerate().map(|(number, (shell, sh, name))| {
        let unique = format!("10{:05}{number:02}", std::process::id());
        let command =
            format!("trap \"\" TERM; /bin/sleep {unique} & /bin/sleep {unique}; /bin/sleep {unique}");
        let (child, lifeline) = login(shell, &one_line(&command, false), sh);
        (name, unique, child, lifeline)
    });
    let mut started = started.collect::<Vec<_>>();
    let within = Instant::now();
    while !started.iter().all(|(_, unique, ..)| runs(unique)) {
        assert!(within.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = started.drain(..).map(|(name, unique, child, lifeline)| {
        drop(lifeline);
        (name, unique, child)
    });
    for (name, unique, mut child) in ended.collect::<Vec<_>>() {
        let since = Instant::now();
        let _ = child.wait().unwrap();
        while runs(&unique) {
            assert!(since.elapsed() < Duration::from_secs(10), "{name}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
