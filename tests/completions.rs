//! `completions` and `man`.

use std::process::Command;

use crate::support::{Said, World, skipped};

#[test]
fn every_shell_has_a_script_that_it_reads() {
    let world = World::new();
    for (shell, program, arguments) in [
        ("bash", "bash", &["-n"][..]),
        ("zsh", "zsh", &["-n"]),
        ("fish", "fish", &["--no-execute"]),
        ("powershell", "", &[]),
        ("elvish", "", &[]),
    ] {
        let script = world.run(&["completions", shell]).succeeds();
        assert!(script.text().contains("runcode") && script.text().contains("config-ssh"), "{shell}");
        assert!(!script.text().contains(" proxy"), "{shell}");
        let path = world.home().join(shell);
        std::fs::write(&path, &script.stdout).unwrap();
        if program.is_empty() {
            continue;
        }
        match Command::new(program).args(arguments).arg(&path).output() {
            Ok(output) => drop(Said::of(output).succeeds()),
            Err(_) => skipped(&format!("there is no {program}")),
        }
    }
    world.run(&["completions", "tcsh"]).ends_with(2);
}

/// What a shell is offered for these words, the last one being typed.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    let mut command = world.command(&[&["--", "runcode"], words].concat());
    command.env("RUNCODE_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    Said::of(command.output().unwrap()).succeeds().text().lines().map(str::to_owned).collect()
}

#[test]
fn verbs_options_files_and_workspaces_are_completed() {
    let world = World::new().connected();
    assert_eq!(offered(&world, &["config"]), ["config-ssh"]);
    assert!(offered(&world, &[""]).iter().any(|word| word == "exec"));
    assert!(!offered(&world, &[""]).iter().any(|word| word == "proxy"));
    assert_eq!(offered(&world, &["config-ssh", "--dry"]), ["--dry-run"]);
    for verb in ["connect", "run", "shell", "stop", "clean"] {
        assert!(offered(&world, &[verb, ""]).iter().any(|word| word == "box"), "{verb}");
    }
    std::fs::write(world.home().join("local.txt"), "").unwrap();
    for words in
        [&["put", "loc"][..], &["write", "notes", "--file", "loc"], &["get", "notes", "--out", "loc"]]
    {
        assert_eq!(offered(&world, words), ["local.txt"]);
    }
    assert!(offered(&world, &["get", "loc"]).is_empty());
}

#[test]
fn bash_itself_completes_a_workspace() {
    let world = World::new().connected();
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_runcode")).parent().unwrap();
    let script = "source <(runcode completions bash)\nCOMP_WORDS=(runcode connect bo)\nCOMP_CWORD=2\nCOMP_TYPE=9\n\
        complete -p runcode | grep -o '_clap[a-z_]*' >f\n$(cat f) runcode bo connect\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", script]).env_clear().env("HOME", world.home()).current_dir(world.home());
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let Ok(output) = command.env("PATH", path).output() else {
        return skipped("there is no bash");
    };
    assert_eq!(Said::of(output).succeeds().text().trim(), "box");
}

#[test]
fn manual_pages_are_made_of_the_help() {
    let world = World::new();
    let page = world.run(&["man"]).succeeds();
    assert!(page.text().contains(".TH RUNCODE 1") && page.text().contains("config\\-ssh"), "{}", page.text());
    let page = world.run(&["man", "connect"]).succeeds();
    assert!(
        page.text().contains(".TH RUNCODE-CONNECT 1") && page.text().contains(".SH EXAMPLES\n.nf\n"),
        "{}",
        page.text()
    );
    world.run(&["man", "no-such", "--json"]).fails_as("usage", 2);
    let folder = world.home().join("man1");
    let report = world.run(&["man", "--out", folder.to_str().unwrap(), "--json"]).succeeds().json();
    assert!(report["pages"].as_array().unwrap().len() > 15);
    assert!(folder.join("runcode-config-ssh.1").exists() && !folder.join("runcode-proxy.1").exists());
}
