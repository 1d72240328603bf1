//! `completions` and `man`.

use std::process::Command;

use crate::support::{CommandOutput, World, skipped};

#[test]
fn every_shell_reads_its_completion_script() {
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
            Ok(output) => drop(CommandOutput::of(output).succeeds()),
            Err(_) => skipped(&format!("there is no {program}")),
        }
    }
    world.run(&["completions", "tcsh"]).ends_with(2);
}

/// What zsh is offered for these words, the last one being typed.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    let mut command = world.command(&[&["--", "runcode"], words].concat());
    command.env("RUNCODE_COMPLETE", "zsh").env("RUNCODE_SSH", "/no/such/ssh"); // nobody's real ssh config
    let said = CommandOutput::of(command.output().unwrap()).succeeds();
    said.text().lines().map(|line| line.trim_end_matches('\t').to_owned()).collect()
}

/// What bash inserts for `replaced`, the end of `line`.
fn inserted(world: &World, line: &str, replaced: &str) -> Vec<String> {
    let mut command = world.command(&["--", line, replaced]);
    command.env("RUNCODE_COMPLETE", "bash").env("RUNCODE_SSH", "/no/such/ssh");
    CommandOutput::of(command.output().unwrap()).succeeds().text().lines().map(str::to_owned).collect()
}

#[test]
fn verbs_options_and_workspaces_complete() {
    let world = World::new().connected();
    assert!(offered(&world, &["config"])[0].starts_with("config-ssh\t"));
    let verbs = offered(&world, &[""]);
    assert!(verbs.iter().any(|line| line.starts_with("exec\t")));
    assert!(!verbs.iter().any(|line| line.starts_with("proxy")));
    assert!(offered(&world, &["config-ssh", "--dry"])[0].starts_with("--dry-run\t"));
    for verb in ["connect", "run", "shell", "stop", "clean"] {
        assert_eq!(offered(&world, &[verb, ""]), ["box\tworkspace #1"], "{verb}");
        assert_eq!(inserted(&world, &format!("runcode {verb} b"), "b"), ["box "], "{verb}");
    }
    for verb in ["exec", "put", "get", "write", "context", "forward", "current", "disconnect"] {
        assert_eq!(offered(&world, &[verb, "-w", ""]), ["box\tworkspace #1"], "{verb}");
        assert_eq!(inserted(&world, &format!("runcode {verb} --workspace b"), "b"), ["box "], "{verb}");
    }
    std::fs::write(world.home().join("lo cal.txt"), "").unwrap();
    for words in [
        &["put", "lo"][..],
        &["write", "notes", "--file", "lo"],
        &["get", "notes", "--out", "lo"],
        &["put", ""],
    ] {
        assert_eq!(offered(&world, words), ["\tfiles"]);
        assert!(
            inserted(&world, &format!("runcode {}", words.join(" ")), "lo")
                .iter()
                .all(|it| it == "lo\\ cal.txt ")
        );
    }
    assert_eq!(inserted(&world, "runcode get notes --out=lo", "lo"), ["lo\\ cal.txt "]);
    assert!(offered(&world, &["get", "lo"]).is_empty());
    assert!(inserted(&world, "runcode get lo", "lo").is_empty());
}

/// A project's settings can set the variable for whatever an agent runs.
#[test]
fn no_variable_makes_a_command_succeed() {
    let world = World::new().connected();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        for (words, status) in [
            (&["exec", "--", "exit 3"][..], 3),
            (&["exec", "--", "runcode", "exec"], 127),
            (&["list", "--", "runcode", "list"], 2),
            (&["--", "exec", "--", "false"], 2),
            (&["--", "./runcode-not", "exec"], 2),
            (&["--"], 2),
        ] {
            let mut command = world.command(words);
            let said = CommandOutput::of(command.env("RUNCODE_COMPLETE", shell).output().unwrap());
            assert_eq!((said.status, said.text()), (status, ""), "{shell} {words:?}: {said:?}");
        }
    }
    let mut called = world.command(&["--", "/usr/bin/runcode", "config"]);
    let said = CommandOutput::of(called.env("RUNCODE_COMPLETE", "zsh").output().unwrap()).succeeds();
    assert!(said.text().starts_with("config-ssh\t"), "{said:?}");
}

/// Completes awkward file names on a terminal, and looks at what the command is given.
fn names_arrive_as_one_word(shell: &str) {
    if Command::new(shell).arg("--version").output().is_err() {
        return skipped(&format!("there is no {shell}"));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/completions/typed.py");
    let output = Command::new("python3").args([script, shell, env!("CARGO_BIN_EXE_runcode")]).output();
    match output {
        Ok(output) => drop(CommandOutput::of(output).succeeds()),
        Err(_) => skipped("there is no python3"),
    }
}

#[test]
fn bash_inserts_names_as_one_word() {
    names_arrive_as_one_word("bash");
}

#[test]
fn zsh_inserts_names_as_one_word() {
    names_arrive_as_one_word("zsh");
}

#[test]
fn fish_inserts_names_as_one_word() {
    names_arrive_as_one_word("fish");
}

#[test]
fn manual_pages_are_made_from_the_help() {
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
