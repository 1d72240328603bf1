//! What every shell makes of the one line that a host runs.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

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
