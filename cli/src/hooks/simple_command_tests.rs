#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::simple_command::*;

fn values(text: &str) -> Option<Vec<Option<String>>> {
    parse(text).map(|command| command.words.into_iter().map(|word| word.value).collect())
}

#[test]
fn simple_commands_are_read() {
    for (text, words) in [
        ("runcode list --json", &["runcode", "list", "--json"][..]),
        ("  runcode\tlist \n\n", &["runcode", "list"]),
        ("runcode exec -- 'a; b | c' \"x y\" a\\ b", &["runcode", "exec", "--", "a; b | c", "x y", "a b"]),
        ("runcode put a \\\n  b", &["runcode", "put", "a", "b"]),
        ("runcode exec -- 'two\nlines'", &["runcode", "exec", "--", "two\nlines"]),
        ("runcode get x > out 2>&1", &["runcode", "get", "x"]),
        ("runcode write f <<'EOF'\n$(x) `y`\nEOF\n", &["runcode", "write", "f"]),
        ("runcode write f <<EOF\nplain; text\nEOF", &["runcode", "write", "f"]),
        ("runcode write f <<-\\E > o\n\ta\n\tE", &["runcode", "write", "f"]),
        ("/a/b/runcode x", &["/a/b/runcode", "x"]),
    ] {
        let words = words.iter().map(|word| Some((*word).to_owned())).collect();
        assert_eq!(values(text), Some(words), "{text}");
    }
    assert_eq!(values("runcode put src/*.py"), Some(vec![Some("runcode".into()), Some("put".into()), None]));
}

#[test]
fn text_that_the_locale_may_change_is_told() {
    for (text, depends) in [
        (r#"runcode write "中\"; touch x; id #""#, true),
        (r#"runcode write 'x' "中""#, true),
        (r#"runcode write \中"#, true),
        (r#"runcode write 中"#, true),
        (r#"runcode write "\中""#, true),
        (r#"runcode write '中\' a"#, false),
        ("runcode write f <<'E'\n中\nE", false),
        ("runcode list", false),
    ] {
        assert_eq!(parse(text).map(|command| command.depends_on_locale), Some(depends), "{text}");
    }
}

#[test]
fn whatever_could_run_more_is_refused() {
    for text in [
        "",
        " \n",
        "runcode x; y",
        "runcode x & y",
        "runcode x | y",
        "runcode x && y",
        "runcode $(y)",
        "runcode `y`",
        "runcode \"$(y)\"",
        "runcode \"`y`\"",
        "runcode $HOME",
        "runcode x\ny",
        "runcode 12>&1",
        "runcode <(y)",
        "runcode >(y)",
        "(runcode x)",
        "runcode x <<EOF\n$(y)\nEOF",
        "runcode x <<EOF\n`y`\nEOF",
        "runcode x <<EOF\na\\\nEOF\nb",
        "runcode x <<'EOF'\na\nEOF\ny",
        "runcode x <<'EOF'\na",
        "runcode x <<'E'OF\nE\ny\nEOF",
        "A=b runcode x",
        "! runcode x",
        "runcode x # y",
        "runcode 'x",
        "runcode \"x",
        "runcode x\\",
        "runcode x &> y",
        "{ runcode x",
        "runcode x\r\ny",
        "runcode *(e:y:)",
        "'runcode' x",
        "runcod\\e x",
        "runcode x <<<y",
        "runcode x >| y",
        "runcode x <> y",
        "~/runcode x",
        "runcode x >&y",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

/// Runs `text` in a shell that knows one program. Returns the words of each call of it, and whether anything else was called.
fn called(shell: &str, text: &str, folder: &std::path::Path) -> Option<(Vec<Vec<String>>, bool)> {
    let script = "runcode() { printf '%s\\0' call \"$@\" >&3; while IFS= read -r _; do :; done <&0; }\n\
        command_not_found_handle() { printf 'other\\0' >&3; }\ncommand_not_found_handler() { printf 'other\\0' >&3; }\n\
        PATH=/nonexistent; exec 3>/dev/fd/1 1>/dev/null; eval \"$1\"";
    let options: &[&str] = if shell == "zsh" { &["-f", "-o", "no_nomatch", "-c"] } else { &["--norc", "-c"] };
    let mut child = Command::new(shell);
    child.args(options).args([script, "shell", text]).current_dir(folder).env_clear();
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take().unwrap().flush().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut calls, mut is_other) = (Vec::new(), false);
    for word in said.split_terminator('\0') {
        match (word, calls.last_mut()) {
            ("call", _) => calls.push(vec!["runcode".to_owned()]),
            ("other", _) => is_other = true,
            (word, Some(call)) => call.push(word.to_owned()),
            (_, None) => is_other = true,
        }
    }
    Some((calls, is_other))
}

fn piece() -> impl Strategy<Value = &'static str> {
    let pieces = [
        "runcode", " ", "\n", "a", "b", "E", "'", "\"", "\\", ";", "&", "|", "(", ")", "$", "`", "<", ">",
        "<<", "<<-", "<<E", "<<'E'", "\nE\n", "2>&1", "#", "*", "?", "{", "}", "[", "]", "!", "=", "~", "\t",
        "$(b)", "`b`", "--", "-n", "\\\n", "1", "^", ",", "fi", "if", ":",
    ];
    prop::sample::select(pieces.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// What is accepted as one call of one program is exactly that to the shells, with the same words.
    #[test]
    fn shells_agree(pieces in prop::collection::vec(piece(), 0..14)) {
        let text = format!("runcode {}", pieces.concat());
        let Some(command) = parse(&text) else { return Ok(()) };
        let folder = tempfile::tempdir().unwrap();
        for shell in ["bash", "zsh"] {
            let Some((calls, is_other)) = called(shell, &text, folder.path()) else { continue };
            prop_assert!(!is_other && calls.len() <= 1, "{} {:?}: {:?}", shell, text, calls);
            // A redirection from a file that is not there calls nothing; words with patterns are not compared.
            let words = command.words.iter().map(|word| word.value.clone()).collect::<Option<Vec<_>>>();
            if let (Some(call), Some(words)) = (calls.first(), words) {
                prop_assert_eq!(call, &words, "{} {:?}", shell, text);
            }
        }
    }
}
