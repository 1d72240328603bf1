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
fn every_help_is_as_accepted() {
    insta::assert_snapshot!("help", help(&["--help"]));
    for verb in verbs() {
        insta::assert_snapshot!(format!("help-{verb}"), help(&[&verb, "--help"]));
    }
}

#[test]
fn every_help_fits_a_terminal_and_shows_an_example_where_it_takes_arguments() {
    for verb in verbs() {
        let text = help(&[&verb, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{verb}: {text}");
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(help(&["--version"]), format!("runcode {}\n", env!("CARGO_PKG_VERSION")));
}
