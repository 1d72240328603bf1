//! Other programs' files, of any content: what was put in and taken out again leaves every byte as it was.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{CommandOutput, World};

/// Runs the program, not a function: few cases, of a kind that the unit tests have by the hundred.
fn for_any(content: impl Strategy<Value = Vec<u8>>, check: impl Fn(&[u8])) {
    let config = Config { cases: 32, failure_persistence: None, ..Config::default() };
    let checked = |content: Vec<u8>| {
        check(&content);
        Ok(())
    };
    TestRunner::new(config).run(&content, checked).unwrap();
}

fn pieces(known: Vec<&'static str>) -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(known).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = prop_oneof![3 => known, 1 => prop::collection::vec(any::<u8>(), 0..12)];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// `install`, twice, then `remove`: whether or not the file could be understood, its bytes are the old ones after it.
fn comes_back(world: &World, path: &Path, content: &[u8], install: &[&str], remove: &[&str]) -> bool {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        CommandOutput::of(command.env("SHELL", "/bin/bash").output().unwrap()).status
    };
    let is_in = run(install) == 0;
    assert_eq!(run(install) == 0, is_in);
    let now = std::fs::read(path).unwrap();
    assert_eq!(now != content, is_in, "what is refused is not touched");
    run(remove);
    assert_eq!(std::fs::read(path).unwrap(), content);
    is_in
}

#[test]
fn any_ssh_config_is_restored() {
    let world = World::new();
    let path = world.home().join(".ssh/config");
    let known = vec![
        "Host *\n",
        "  User me\r\n",
        "\n",
        "\r",
        "# (runcode made this file)\n",
        "Include ~/x\n",
        "\u{feff}",
        "Match all",
    ];
    for_any(pieces(known), |content| {
        assert!(comes_back(&world, &path, content, &["config-ssh"], &["config-ssh", "--remove"]));
    });
    let half = b"Host a\n# >>> runcode managed block (do not edit) >>>\nHost b\n";
    assert!(!comes_back(&world, &path, half, &["config-ssh"], &["config-ssh", "--remove"]));
}

#[test]
fn any_shell_file_is_restored() {
    let world = World::new();
    let path = world.home().join(if cfg!(target_os = "macos") { ".bash_profile" } else { ".bashrc" });
    let known = vec![
        "export A=1\n",
        "if true; then\r\n",
        "fi",
        "\n",
        "# (runcode made this file)\n",
        "cat <<EOF\n",
        "\\\n",
    ];
    for_any(pieces(known), |content| {
        let (install, remove) = (["install-path", "--profile"], ["install-path", "--remove"]);
        assert!(comes_back(&world, &path, content, &install, &remove));
    });
}

#[test]
fn any_settings_file_is_restored() {
    let world = World::new();
    let path = world.home().join(".claude/settings.json");
    let member = prop::sample::select(vec![
        "\"a\" :1",
        "\n  \"b\": [ ]",
        "\"c\":{\"statusLine\":{}}",
        "\r\n\t\"d\": \"\\u0027é'\" ",
        "\"statusLine\": {\"type\":\"command\", \"command\": \"echo 'it is' \\\"mine\\\"\" }",
        "\"statusLine\": null",
    ]);
    let object = (prop::collection::vec(member, 0..4), prop::sample::select(vec!["", " ", "\n", "\r\n"]));
    let object = object
        .prop_map(|(members, space)| format!("{space}{{{}{space}}}{space}", members.join(",")).into_bytes());
    let any = prop_oneof![4 => object, 1 => pieces(vec!["{", "}", "\"statusLine\"", ":", "// x\n", "[]", "\u{feff}"])];
    for flag in ["--wrap", "--force"] {
        for_any(any.clone().boxed(), |content| {
            let (install, remove) = (["install-statusline", flag], ["install-statusline", "--remove"]);
            comes_back(&world, &path, content, &install, &remove);
        });
    }
}
