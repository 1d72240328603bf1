//! What the command line and the environment cannot mean: refused before anything is done, with what to write instead.

use std::path::Path;

use crate::support::{CommandOutput, World};

#[test]
fn usage_errors_have_the_code_usage() {
    let world = World::new();
    for arguments in [
        &["--json", "nonsense"][..],
        &["connect", "--json"],
        &["connect", "a", "--ttl", "0", "--json"],
        &["list", "--json", "--nope"],
    ] {
        world.run(arguments).fails_as("usage", 2);
    }
    assert!(world.run(&["nonsense"]).ends_with(2).stderr.starts_with("runcode: "));
    world.run(&["exec"]).ends_with(255);
    world.run(&["exec", "--nope", "--", "true"]).ends_with(255);
    world.run(&["connect", "exec", "--nope"]).ends_with(2);
}

/// The message has the first, the hint the second.
#[test]
fn usage_errors_say_what_to_write() {
    let world = World::new();
    for (arguments, message, hint) in [
        (&[][..], "there is no command", "runcode --help"),
        (&["lst"], "no command `lst`", "`list`"),
        (&["ssh", "box"], "no command `ssh`", "runcode shell <workspace>"),
        (&["conect"], "no command `conect`", "did you mean `connect` or"),
        (&["prox"], "no command `prox`", ""),
        (&["connect"], "<WORKSPACE>", "runcode connect [OPTIONS] <WORKSPACE>"),
        (&["connect", "a", "b"], "does not take `b`", "runcode connect --help"),
        (&["connect", "a", "--timeout", "soon"], "not a whole number", "runcode connect --help"),
        (&["list", "--al"], "no option `--al`", "`--all`"),
        (&["exec", "--evn", "A=1", "--", "true"], "no option `--evn`", "did you mean `--env`?"),
        (&["run", "a", "--profile", "x", "--name", "y"], "no option `--name`", "--arg name=VALUE"),
        (&["codex", "--model", "x"], "no option `--model`", "runcode codex -- --model"),
        (&["approve", "x"], "no command `approve`", "`runcode servers approve FILE`"),
        (&["exec", "-la"], "no option `-l`", "runcode exec -- ls -la"),
        (&["run", "box", "-la"], "no option `-l`", "runcode run my-ws -- ls -la"),
        (&["exec"], "<CMD>", "runcode exec [OPTIONS] [--] <CMD>..."),
        (&["completions", "zssh"], "bash, zsh", "`zsh`"),
        (&["exec", "--timeout", "0", "--", "true"], "less than 1", "runcode exec --help"),
        (&["jobs", "down"], "`runcode jobs` has no command `down`", "that is `runcode jobs kill ID` here"),
        (&["jobs", "ls"], "no command `ls`", "that is `runcode jobs` here"),
        (&["jobs", "cat", "x"], "no command `cat`", "`runcode jobs output ID`"),
        (&["jobs", "rm", "x"], "no command `rm`", "`runcode jobs clean ID`"),
        (&["jobs", "start", "x"], "no command `start`", "`runcode exec --detach -- CMD`"),
        (&["jobs", "kill", "x", "-9"], "`runcode jobs kill` has no option `-9`", "--signal KILL"),
        (&["jobs", "wait", "x", "--nope"], "`runcode jobs wait` has no", "runcode jobs wait --help"),
        (&["jobs", "kill", "x", "--signal", "9"], "use one of TERM", "see `runcode jobs kill --help`"),
        (&["exec", "--profile", "x", "a=b"], "--profile", "--arg NAME=VALUE"),
        (&["write", "a/b/"], "names a folder", "a/b/NAME"),
        (&["forward", "8080:80", "-R"], "either way", "runcode forward 80 -R --local 8080"),
        (&["forward", "8080:80", "--local", "7"], "both name", "runcode forward 80 --local 8080"),
        (&["forward", "7:db:5"], "runcode forward 5 --to db --local 7", "runcode forward --help"),
        (&["man", "--json"], "--json is not supported", "--json"),
        (&["completions", "bash", "--json"], "--json is not supported", "--json"),
    ] {
        let status = if arguments.iter().any(|word| ["exec", "run", "wait", "codex"].contains(word)) {
            255
        } else {
            2
        };
        let json = [&["--json"], arguments].concat();
        let said = world.run(&json).fails_as("usage", status).json();
        assert!(said["message"].as_str().unwrap().contains(message), "{arguments:?}: {said}");
        assert!(said["hint"].as_str().unwrap().contains(hint), "{arguments:?}: {said}");
        assert!(!said.to_string().contains("proxy"), "{said}");
        if arguments.is_empty() || arguments.iter().any(|word| *word == "man" || *word == "bash") {
            continue; // no arguments at all are a question; those print what is asked for
        }
        let said = world.run(arguments).ends_with(status);
        assert!(said.stdout.is_empty() && said.stderr.starts_with("runcode: "), "{said:?}");
        assert!(said.stderr.contains(message) && said.stderr.contains("  hint: "), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 2, "{said:?}");
    }
}

#[test]
fn meaningless_variables_are_refused() {
    let world = World::new();
    for (variable, value, says) in [
        ("RUNCODE_TRANSPORT", "foo", "openssh"),
        ("RUNCODE_TRANSPORT", "OpenSSH", "openssh"),
        ("RUNCODE_SPARE", "no", "`on`"),
        ("RUNCODE_CLIENT", "a\nb", "printable"),
        ("RUNCODE_CLIENT", "böse", "printable"),
    ] {
        let mut command = world.command(&["connect", "box", "--json"]);
        let said =
            CommandOutput::of(command.env(variable, value).output().unwrap()).fails_as("usage", 2).json();
        assert!(said["message"].as_str().unwrap().contains(variable), "{said}");
        assert!(said["hint"].as_str().unwrap().contains(says), "{said}");
        let mut command = world.command(&["exec", "--", "true"]);
        CommandOutput::of(command.env(variable, value).output().unwrap()).ends_with(255);
    }
    for ssh in ["ssh", "/nonexistent/ssh"] {
        let mut command = world.command(&["connect", "box", "--json"]);
        CommandOutput::of(command.env("RUNCODE_SSH", ssh).output().unwrap()).fails_as("ssh_missing", 1);
    }
    for transport in ["mux", "openssh", ""] {
        let mut command = world.command(&["connect", "box"]);
        CommandOutput::of(command.env("RUNCODE_TRANSPORT", transport).output().unwrap()).succeeds();
    }
}

#[test]
fn a_missing_home_is_reported() {
    let world = World::new();
    for home in ["relative", "/dev/null"] {
        let mut command = world.command(&["connect", "1", "--json"]);
        CommandOutput::of(command.env("HOME", home).output().unwrap()).fails_as("io", 1);
    }
}

#[test]
fn a_missing_ssh_client_says_how_to_get_one() {
    let world = World::new();
    let empty = world.home().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for (variable, value) in [("PATH", empty.as_path()), ("RUNCODE_SSH", Path::new("/nonexistent/ssh"))] {
        let mut command = world.command(&["run", "1", "--json", "--", "true"]);
        let said =
            CommandOutput::of(command.env(variable, value).output().unwrap()).fails_as("ssh_missing", 255);
        assert!(said.json()["hint"].is_string(), "{said:?}");
        // Nor can anybody say then whether a bare name is a host of the ssh config.
        let mut command = world.command(&["connect", "buildhost", "--json"]);
        CommandOutput::of(command.env(variable, value).output().unwrap()).fails_as("ssh_missing", 1);
    }
}
