#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::path::Path;
use std::process::{Command, Output};

use super::*;

/// Runs the text as sshd would have a login shell do.
fn login(shell: &[&str], command: &RemoteCommand) -> Output {
    login_at(shell, command, Path::new("/"))
}

fn login_at(shell: &[&str], command: &RemoteCommand, home: &Path) -> Output {
    let text: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(command.text());
    let mut run = Command::new(shell[0]);
    run.args(&shell[1..]).arg("-c").arg(text).stdin(std::process::Stdio::null()).env("HOME", home);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(shell[0])).find(|path| path.is_file());
    run.envs(command.private().map(|private| ("LC_RUNCODE", private)));
    run.env("SHELL", found.unwrap_or_else(|| "/bin/sh".into())).output().unwrap()
}

fn all_shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["bash"], vec!["dash"], vec!["zsh", "-f"], vec!["fish"], vec!["tcsh", "-f"], vec!["mksh"]];
    let there = |shell: &Vec<&str>| {
        Command::new(shell[0]).args(["-c", ":"]).output().is_ok_and(|run| run.status.success())
    };
    all.into_iter().filter(there).collect()
}

fn posix_shells() -> Vec<Vec<&'static str>> {
    all_shells().into_iter().filter(|shell| !["fish", "tcsh"].contains(&shell[0])).collect()
}

fn out(shell: &[&str], command: &RemoteCommand) -> (String, i32) {
    let run = login(shell, command);
    (String::from_utf8_lossy(&run.stdout).into_owned(), run.status.code().unwrap_or(-1))
}

fn snippet(text: &str) -> RemoteCommand {
    RemoteCommand::snippet(Some(&Workdir::parse("/usr").unwrap()), &Variables::default(), text).unwrap()
}

#[test]
fn a_snippet_runs_in_the_workdir_with_its_status() {
    for shell in all_shells() {
        for (text, said, status) in [
            ("pwd", "/usr\n", 0),
            ("sh -c 'exit 7'", "", 7),
            ("sh -c 'exit 255'", "", 255),
            ("false || echo x", "x\n", 0),
            ("cd /tmp && pwd", "/tmp\n", 0),
            ("true && false", "", 1),
            ("echo a # b", "a\n", 0),
            ("echo a; sh -c 'kill -9 $$'", "a\n", 137),
            ("exit 3", "", 3),
            ("exec sh -c 'exit 5'", "", 5),
            ("echo a\necho b", "a\nb\n", 0),
            ("", "", 0),
        ] {
            assert_eq!(out(&shell, &snippet(text)), (said.to_owned(), status), "{shell:?} {text}");
        }
    }
}

#[test]
fn any_folder_can_be_entered() {
    let home = tempfile::tempdir().unwrap();
    let odd = home.path().join("a b'$(x)\"!\\é");
    std::fs::create_dir(&odd).unwrap();
    for shell in all_shells() {
        for (workdir, expected) in
            [(odd.to_str().unwrap(), odd.as_path()), ("~", home.path()), ("~/a b'$(x)\"!\\é", &odd)]
        {
            let workdir = Workdir::parse_own(workdir).unwrap();
            let command = RemoteCommand::snippet(Some(&workdir), &Variables::default(), "/bin/pwd").unwrap();
            let run = login_at(&shell, &command, home.path());
            let said = String::from_utf8_lossy(&run.stdout).into_owned();
            assert_eq!(said.trim_end(), expected.to_str().unwrap(), "{shell:?} {run:?}");
        }
    }
}

#[test]
fn what_replaces_its_shell_is_known() {
    for (text, expected) in [
        ("exec sleep 1", true),
        ("cd a && exec make", true),
        ("if true; then exec b; fi", true),
        ("A=1 exec b", true),
        ("( exec b )", true),
        ("a\nexec b", true),
        ("docker exec it", false),
        ("execute", false),
        ("echo exec", false),
        ("", false),
    ] {
        assert_eq!(replaces_its_shell(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn what_would_swallow_the_last_line_does_not() {
    for shell in posix_shells() {
        for (text, said) in [
            ("cat <<E\nhi\nE", "hi\n"),
            ("cat <<'E' | tr a-z A-Z\nhi\nE\necho x", "HI\nx\n"),
            ("cat <<-E\n\thi\n\tE", "hi\n"),
            ("echo $((1<<3))", "8\n"),
            ("set -eu; echo x", "x\n"),
            ("sleep 0 &", ""),
            ("f() {\necho y\n}\nf", "y\n"),
        ] {
            assert_eq!(out(&shell, &snippet(text)), (said.to_owned(), 0), "{shell:?} {text}");
        }
        assert!(!out(&shell, &snippet("cat <<E\nhi")).0.contains("exit"), "{shell:?}: open here-document");
        assert!(!out(&shell, &snippet("echo a\\")).0.contains("exit"), "{shell:?}: backslash");
        assert_eq!(out(&shell, &snippet("trap 'echo bye' EXIT; sh -c 'exit 6'")), ("bye\n".to_owned(), 6));
    }
    let own_variable = snippet("status=9; sh -c 'exit 0'");
    assert_eq!(out(&["bash"], &own_variable).1, 0, "a variable of the user's is not the status");
    for (text, expected) in
        [("a &&", true), ("a |", true), ("a\\", true), ("a <<E\nE", false), ("a <<-E\n\tE", false)]
    {
        assert_eq!(runs_on(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn nothing_runs_if_the_workdir_is_inaccessible() {
    let gone = Workdir::parse("/no/such/folder").unwrap();
    for shell in all_shells() {
        for command in [
            RemoteCommand::snippet(Some(&gone), &Variables::default(), "echo ran").unwrap(),
            RemoteCommand::snippet(Some(&gone), &Variables::default(), "false; echo ran").unwrap(),
            RemoteCommand::arguments(Some(&gone), &Variables::default(), &["echo", "ran"]).unwrap(),
        ] {
            let run = login(&shell, &command);
            let words = String::from_utf8_lossy(&run.stderr);
            assert_eq!((run.status.code(), run.stdout.len()), (Some(255), 0), "{shell:?}");
            assert!(words.starts_with("runcode: cannot enter /no/such/folder"), "{shell:?} {words}");
            assert!(words.contains("--home"), "{shell:?} {words}");
        }
    }
}

/// The shells that read what a start-up file says, with the text before the command as that file would leave them.
#[test]
fn start_up_files_change_no_command() {
    let files = [
        "set -u",
        "set -eu",
        "exit() { echo bye >&2; return 1; }",
        "cd() { command cd \"$@\" 2>/dev/null || builtin cd \"$@\"; false; }",
        "cd() { builtin cd \"$@\" || command cd \"$@\"; [ -d .venv ] && . .venv; } 2>/dev/null",
        "alias cd=no_such_program; alias exit=no_such_program",
        "test() { echo running the tests; }; printf() { :; }; true() { return 3; }; echo() { command echo x; }",
        "unset SHELL",
        "SHELL=/no/such/shell; export SHELL",
    ];
    let env =
        || Variables { plain: vec![(EnvName::parse("V").unwrap(), "w".to_owned())], secret: Vec::new() };
    let usr = Workdir::parse("/usr").unwrap();
    for shell in posix_shells() {
        for file in files {
            let is_taken = out(&shell, &RemoteCommand { text: file.into(), ..snippet("") }).1 == 0;
            if !is_taken {
                continue; // such as a function called `exit` in dash
            }
            let started = |command: RemoteCommand| RemoteCommand {
                text: [file.as_bytes(), b"\n", command.text()].concat(),
                ..command
            };
            let run = |command: RemoteCommand| out(&shell, &started(command));
            let plain = snippet("pwd; sh -c 'exit 7'");
            assert_eq!(run(plain), ("/usr\n".to_owned(), 7), "{shell:?} {file}");
            let variables = RemoteCommand::snippet(Some(&usr), &env(), "sh -c 'pwd; exit $((${#V}+3))'");
            assert_eq!(run(variables.unwrap()), ("/usr\n".to_owned(), 4), "{shell:?} {file}");
            let program = RemoteCommand::arguments(Some(&usr), &env(), &["sh", "-c", "pwd; exit 5"]);
            assert_eq!(run(program.unwrap()), ("/usr\n".to_owned(), 5), "{shell:?} {file}");
        }
    }
}

/// The user's own `cd` leads elsewhere, or nowhere, but reports success.
#[test]
fn a_false_cd_runs_nothing() {
    for shell in posix_shells() {
        for file in ["cd() { :; }", "cd() { builtin cd / || command cd /; } 2>/dev/null"] {
            let command = snippet("echo ran");
            let text = [file.as_bytes(), b"\n", command.text()].concat();
            assert_eq!(
                out(&shell, &RemoteCommand { text, ..command }),
                (String::new(), 255),
                "{shell:?} {file}"
            );
        }
    }
}

#[test]
fn a_restricted_shell_runs_nothing_elsewhere() {
    for command in [
        snippet("echo ran"),
        RemoteCommand::arguments(
            Some(&Workdir::parse("/usr").unwrap()),
            &Variables::default(),
            &["echo", "ran"],
        )
        .unwrap(),
    ] {
        let run = login(&["bash", "-r"], &command);
        assert_eq!((run.status.code(), run.stdout.len()), (Some(255), 0), "{run:?}");
        assert!(
            String::from_utf8_lossy(&run.stderr).contains("\nruncode: the login shell did not enter"),
            "{run:?}"
        );
    }
}

#[test]
fn secrets_arrive_outside_the_command_line() {
    let odd = "a b'c\\d!e$f\"g\n h";
    let name = |text: &str| EnvName::parse(text).unwrap();
    for shell in all_shells() {
        let env = Variables {
            plain: vec![(name("A"), "1".to_owned())],
            secret: vec![(name("B"), Secret::new(odd.to_owned())), (name("C"), Secret::new(String::new()))],
        };
        let script = "printf '<%s>' \"$A\" \"$B\" \"$C\" \"${LC_RUNCODE-none}\"";
        let command = RemoteCommand::arguments(None, &env, &["sh", "-c", script]).unwrap();
        assert!(!String::from_utf8_lossy(command.text()).contains("a b"), "{shell:?}");
        assert_eq!(out(&shell, &command), (format!("<1><{odd}><><none>"), 0), "{shell:?}");
        let snippet = RemoteCommand::snippet(None, &env, "sh -c 'echo \"$B\"; exit 3'").unwrap();
        assert_eq!(out(&shell, &snippet), (format!("{odd}\n"), 3), "{shell:?}");
        // A workspace that takes no LC_* variables.
        let lost = RemoteCommand { private: None, ..command };
        assert_eq!(out(&shell, &lost), (String::new(), 255), "{shell:?}");
    }
    let long =
        Variables { plain: Vec::new(), secret: vec![(name("A"), Secret::new("x".repeat(MAX_SECRETS)))] };
    assert_eq!(RemoteCommand::snippet(None, &long, "true").unwrap_err().code(), Code::Usage);
}

#[test]
fn arguments_and_variables_arrive_exactly() {
    let odd = "a b'c\\d!e$f\"g\n h";
    let name = |text: &str| EnvName::parse(text).unwrap();
    for shell in all_shells() {
        let plain = RemoteCommand::arguments(None, &Variables::default(), &["printf", "<%s>", "", odd, "-x"])
            .unwrap();
        assert_eq!(out(&shell, &plain), (format!("<><{odd}><-x>"), 0), "{shell:?}");
        let plain = vec![(name("A"), odd.to_owned()), (name("B_2"), String::new())];
        let env = Variables { plain, secret: Vec::new() };
        let env_args = RemoteCommand::arguments(None, &env, &["sh", "-c", "printf '<%s>' \"$A\" \"$B_2\""]);
        assert_eq!(out(&shell, &env_args.unwrap()), (format!("<{odd}><>"), 0), "{shell:?}");
        let env_snippet = RemoteCommand::snippet(None, &env, "sh -c 'echo \"$A\"; exit 3'").unwrap();
        assert_eq!(out(&shell, &env_snippet), (format!("{odd}\n"), 3), "{shell:?}");
    }
    for shell in posix_shells() {
        let keyword = RemoteCommand::arguments(None, &Variables::default(), &["if", "x"]).unwrap();
        assert_eq!(out(&shell, &keyword).1, 127, "{shell:?}: a keyword is the name of a program here");
    }
}

#[test]
fn scripts_run_in_sh_under_any_login_shell() {
    let script = "a=$1\nfor b in \"$@\"; do\n  printf '[%s]' \"$b\"\ndone\nexit 4";
    let command = RemoteCommand::script(script, &[b"x y", b"it's\n!", b""]).unwrap();
    for shell in all_shells() {
        assert_eq!(out(&shell, &command), ("[x y][it's\n!][]".to_owned(), 4), "{shell:?}");
    }
}

#[test]
fn the_outermost_process_keeps_the_token() {
    for shell in all_shells() {
        for text in ["sh -c 'ps -ww -o args= -p $PPID'", "true && sh -c 'ps -ww -o args= -p $PPID'"] {
            let command = snippet(text);
            assert!(out(&shell, &command).0.contains(command.token()), "{shell:?} {text}");
        }
    }
    assert_ne!(snippet("a").token(), snippet("a").token());
}

#[test]
fn long_or_nul_commands_are_refused_locally() {
    let long = "x".repeat(MAX_TEXT - 1000);
    assert!(RemoteCommand::snippet(None, &Variables::default(), &long).is_ok());
    let refused = RemoteCommand::snippet(None, &Variables::default(), "x".repeat(MAX_TEXT)).unwrap_err();
    assert_eq!(refused.code(), Code::Usage);
    assert!(RemoteCommand::snippet(None, &Variables::default(), "a\0b").is_err());
}

#[test]
fn names_of_variables() {
    for good in ["A", "_", "a1_B"] {
        assert!(EnvName::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "1a", "a-b", "a b", "é", "a=b", "a\n"] {
        assert!(EnvName::parse(bad).is_err(), "{bad:?}");
    }
}

/// ssh logs only its first 1 KiB.
#[test]
fn every_command_begins_with_its_word() {
    let long = "x".repeat(5000);
    for command in [
        RemoteCommand::script(&long, &[long.as_bytes()]).unwrap(),
        RemoteCommand::snippet(None, &Variables::default(), &long).unwrap(),
        RemoteCommand::arguments(None, &Variables::default(), &[&long]).unwrap(),
    ] {
        let start = format!(": {}; ", command.token());
        assert!(command.text().starts_with(start.as_bytes()), "{command:?}");
    }
}
