//! The help of every command, as a person reads it at 80 columns.

use std::process::Command;

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_runcode"))
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that the top-level help names.
fn verbs() -> Vec<String> {
    let top = help(&["--help"]);
    let list = top.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|verb| verb != "help")
        .collect()
}

#[test]
#[cfg(feature = "dev")]
fn every_help_matches_its_snapshot() {
    insta::assert_snapshot!("help", help(&["--help"]));
    for verb in verbs() {
        insta::assert_snapshot!(format!("help-{verb}"), help(&[&verb, "--help"]));
    }
}

#[test]
fn every_help_fits_and_shows_an_example() {
    for verb in verbs() {
        let text = help(&[&verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{verb}: {text}");
        assert!(text.contains("\nExamples:\n") || ["logout", "demo"].contains(&&*verb), "{verb}");
        // Columns that were broken at the edge are none: at 100 they would be whole.
        let wide = Command::new(env!("CARGO_BIN_EXE_runcode"))
            .args([&verb, "--help"])
            .env_clear()
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        let wide = String::from_utf8(wide.stdout).unwrap();
        assert_eq!(text.split("\nExamples:\n").nth(1), wide.split("\nExamples:\n").nth(1), "{verb}");
    }
    let top = help(&["--help"]);
    let start = top.split("Start here:\n").nth(1).unwrap();
    assert!(start.lines().all(|line| line.starts_with("  runcode ")), "{start}");
}

#[test]
fn manual_pages_have_a_source_and_no_date() {
    for (page, name) in [(&["man"][..], "RUNCODE"), (&["man", "config-ssh"], "RUNCODE-CONFIG-SSH")] {
        let version = env!("CARGO_PKG_VERSION");
        let heading = format!(".TH {name} 1 \"\" \"runcode {version}\" \"runcode manual\"");
        let text = help(page);
        let headings = text.lines().filter(|line| line.starts_with(".TH")).collect::<Vec<_>>();
        assert_eq!(headings, [heading]);
    }
}

#[test]
fn every_synopsis_has_one_style() {
    for verb in verbs() {
        let page = help(&["man", &verb]);
        let synopsis = page.split(".SH SYNOPSIS\n").nth(1).unwrap().lines().next().unwrap();
        let name = verb.replace('-', "\\-");
        assert!(
            synopsis.starts_with(&format!("\\fBruncode\\fR \\fB{name}\\fR [\\fIOPTIONS\\fR]")),
            "{synopsis}"
        );
        assert!(!synopsis.contains(['<', '>']), "{synopsis}");
    }
    assert!(help(&["man", "put"]).contains("\\fILOCAL\\fR... \\fIREMOTE\\fR\n"));
}

#[test]
fn help_is_asked_for_in_any_way() {
    let about_help = help(&["help", "help"]);
    for words in [&["help", "--help"][..], &["help", "-h"]] {
        assert_eq!(help(words), about_help);
    }
    for words in [&["help", "exec"][..], &["help", "exec", "--help"], &["help", "-h", "exec"]] {
        assert_eq!(help(words), help(&["exec", "--help"]), "{words:?}");
    }
    assert_eq!(help(&["help"]), help(&["--help"]));
}

#[test]
fn the_version_is_the_package_version() {
    assert_eq!(help(&["--version"]), format!("runcode {}\n", env!("CARGO_PKG_VERSION")));
}
