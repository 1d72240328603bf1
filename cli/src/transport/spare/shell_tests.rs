#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::*;
use crate::transport::{RemoteCommand, Variables};

const TOKEN: &str = "runcode-0123456789abcdef0123456789abcdef";
const OWN: &str = "runcode-fedcba9876543210fedcba9876543210";
const INPUT: &[u8] = b"one\ntwo\n\0\xff";

/// A shell as a login shell, with this start-up file where it reads one; `None` where there is no such shell.
fn run(shell: &[&str], start_up: &str, argument: &[u8], input: &[u8]) -> Option<Output> {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("start-up"), start_up).unwrap();
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg("-c").arg(std::ffi::OsStr::from_bytes(argument)).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/").env("LANG", "C.UTF-8");
    command.env("BASH_ENV", folder.path().join("start-up"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join().unwrap();
    Some(output)
}

/// The same over a spare; `Err` if the shell did not answer.
fn spare(shell: &[&str], start_up: &str, text: &[u8]) -> Option<Result<(Output, bool), Output>> {
    let input = [question(TOKEN).as_bytes(), &lines(text, OWN, TOKEN), INPUT].concat();
    let mut output = run(shell, start_up, waiting(TOKEN).as_bytes(), &input)?;
    let Some(answer) = answer(&output.stdout, TOKEN) else { return Some(Err(output)) };
    output.stdout = answer.printed;
    Some(Ok((output, answer.is_bash)))
}

fn shown(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

const SHELLS: [&[&str]; 5] = [&["bash"], &["dash"], &["zsh"], &["busybox", "sh"], &["yash"]];

#[test]
fn a_spare_does_what_a_channel_does() {
    let snippets = [
        "true",
        "exit 7",
        "cat",
        "read -r x; echo \"got $x\"; cat",
        "nosuchcommand",
        "echo $1 $# $0",
        "echo $LINENO; echo 'a\nb'",
        "if true; then\necho x\nfi\nnosuchcommand\necho $?",
        "cat <<E\nhi $HOME\n  yo\\\nE\nE\n",
        "echo \"\\\"`echo hi`\\\\n\"; printf %s 'x\\ty'",
        "kill -TERM $$",
        "exec 3<&0; cat <&3",
        "echo ${undefined?oops}",
        "set -u; echo $undefined; echo x",
        "set -e; false; echo no",
        "trap 'echo bye' EXIT; exit 4",
        "env | grep -c _r",
        "(sleep .05; echo late)& exit 3",
        "echo é 漢",
        "cd /; pwd",
        "echo err >&2; exit 255",
        "wait; echo $? ${!-none}",
        "umask; set -- a b; echo $#",
        "\techo tab ; \n  echo two  ",
        "#c\necho x",
        "-x",
        "echo $((1/0))",
    ];
    let folder = crate::grant::Workdir::below(None, "/").unwrap();
    for shell in SHELLS {
        for snippet in snippets {
            for workdir in [None, Some(&folder)] {
                let command = RemoteCommand::snippet(workdir, &Variables::default(), snippet).unwrap();
                let Some(direct) = run(shell, "", command.text(), INPUT) else { continue };
                let (spared, is_bash) = spare(shell, "", command.text()).unwrap().unwrap();
                assert_eq!(is_bash, shell == ["bash"]);
                if is_bash || command.may_use_spare().spare_form() == Some(Form::Evaluated) {
                    assert_eq!(shown(&spared), shown(&direct), "{shell:?}: {snippet}");
                }
            }
        }
        for arguments in [&["printf", "%s|", "a b", "", "c\nd", "'"][..], &["nosuchcommand", "x"]] {
            let command = RemoteCommand::arguments(None, &Variables::default(), arguments).unwrap();
            let Some(direct) = run(shell, "", command.text(), INPUT) else { continue };
            let (spared, is_bash) = spare(shell, "", command.text()).unwrap().unwrap();
            if is_bash {
                assert_eq!(shown(&spared), shown(&direct), "{shell:?}: {arguments:?}");
            }
        }
    }
}

#[test]
fn start_up_files_change_nothing_or_no_spare() {
    let texts = ["echo A; sh -c 'exit 7'", "nosuchcommand", "echo \"$x$IFS\"; cat", "echo a\necho b\npwd"];
    let harmless = [
        "",
        "set -u",
        "set -euo pipefail",
        "shopt -so nounset",
        "cd() { builtin cd \"$@\"; echo cd; }",
        "shopt -s expand_aliases; alias cd=nosuchcommand echo='echo ALIASED' read=nosuchcommand",
        "test() { echo running; }",
        "unset SHELL",
        "set -a",
        "set -f",
        "IFS=:",
        "set -C; set -k; set -m",
        "echo hello; echo oops >&2; printf 'no newline'",
        "shopt -s nocasematch extglob failglob nullglob lastpipe xpg_echo",
        "set -o posix",
        "exec 2>&1",
        "false",
    ];
    let excluded = [
        "set -x",
        "set -v",
        "TMOUT=5",
        "LC_ALL=ja_JP.SJIS",
        "trap 'echo D' DEBUG",
        "trap 'echo bye' EXIT",
        "read() { builtin read \"$@\"; }",
        "eval() { echo E; builtin eval \"$@\"; }",
        "exit() { echo bye; builtin exit \"$@\"; }",
        "printf() { echo P; }",
        "readonly IFS",
        "declare -r _rt=1",
        "read -r x; echo $x",
        "cat >/dev/null",
        "head -c 3",
        "exec </dev/null",
        "exit 3",
        "SSH_ORIGINAL_COMMAND=make",
    ];
    for start_up in harmless {
        for text in texts {
            let command = RemoteCommand::snippet(None, &Variables::default(), text).unwrap();
            let Some(direct) = run(&["bash"], start_up, command.text(), INPUT) else { return };
            let spared = spare(&["bash"], start_up, command.text()).unwrap();
            assert_eq!(shown(&spared.unwrap().0), shown(&direct), "{start_up}: {text}");
        }
    }
    for start_up in excluded {
        assert!(spare(&["bash"], start_up, b"echo never >&2\nexit").unwrap().is_err(), "{start_up}");
    }
}

#[test]
fn other_shells_have_no_spare() {
    for shell in [&["fish"][..], &["tcsh"], &["ksh93"], &["bash", "-r"], &["true"]] {
        let Some(spared) = spare(shell, "", b"echo never\nexit") else { continue };
        let output = spared.unwrap_err();
        assert!(!shown(&output).0.contains("never\n"), "{shell:?}");
    }
}

#[test]
fn half_a_command_does_not_run() {
    let text = b"echo ran\necho too";
    let whole = lines(text, OWN, TOKEN);
    for length in 0..whole.len() - 1 {
        let input = [question(TOKEN).as_bytes(), &whole[..length]].concat();
        let Some(output) = run(&["dash"], "", waiting(TOKEN).as_bytes(), &input) else { return };
        assert_eq!(answer(&output.stdout, TOKEN).unwrap().printed, b"", "{length}");
        assert_eq!(output.status.code(), None, "nobody takes its status for the command's");
    }
}

#[test]
fn every_shell_of_ours_has_the_spares_token() {
    let (text, expected) = (format!(": {OWN}; sh -c x {OWN} 'y'"), format!(": {TOKEN}; sh -c x {TOKEN} 'y'"));
    assert_eq!(lines(text.as_bytes(), OWN, TOKEN), format!("{expected}\n{TOKEN}\n").into_bytes());
    assert_eq!(lines(b"x", OWN, TOKEN), format!("x\n{TOKEN}\n").into_bytes());
}

#[test]
fn only_whole_answers_count() {
    let at = |text: &str| answer(text.replace("TOKEN", TOKEN).as_bytes(), TOKEN);
    let found = |printed: &str, is_bash| Some(Answer { printed: printed.into(), is_bash });
    assert_eq!(at("hello\nTOKEN+b.x"), found("hello\nx", true));
    assert_eq!(at("TOKEN+."), found("", false));
    for none in ["", "TOKEN", "TOKEN+", "TOKEN+b", "TOKENb.", "TOKEN+c."] {
        assert_eq!(at(none), None, "{none}");
    }
    assert!(fits("echo é".as_bytes()) && !fits(b"echo \xff") && !fits(&vec![b'x'; MAX_TEXT + 1]));
}
