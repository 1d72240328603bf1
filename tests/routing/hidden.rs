//! What a checkout may bring: settings that set variables, and skills whose lines no gate sees.

use std::os::unix::fs::PermissionsExt as _;

use super::{Routed, bash, call, feed, shells};
use crate::support::{CommandOutput, World};

#[test]
fn a_cache_of_ones_own_is_not_hidden() {
    let it = Routed::new(World::new());
    let (fast, other) = (it.world.home().join("fast"), it.world.home().join("other"));
    std::fs::create_dir(&fast).unwrap();
    let in_fast = |args: &[&str]| {
        let mut command = it.world.command(args);
        command.env("XDG_CACHE_HOME", &fast).current_dir(&it.project);
        CommandOutput::of(command.output().unwrap())
    };
    CommandOutput::of(it.world.command(&["route", "off"]).current_dir(&it.project).output().unwrap())
        .succeeds();
    it.world.run(&["disconnect", "--all"]).succeeds();
    in_fast(&["connect", it.world.words(), "--route"]).succeeds();
    let line = it.line_in(&fast);
    let asked = call("Bash", &bash("touch ran"), &it.project);
    let gate = || it.gate(|command| _ = command.env("XDG_CACHE_HOME", &other), &asked);
    let said = gate();
    assert_eq!((said.status, said.text()), (2, ""), "{said:?}");
    assert!(said.stderr.contains("points to another cache"), "{said:?}");
    for shell in shells() {
        let said = it.road(shell, &line, "touch ran").env("XDG_CACHE_HOME", &other).output().unwrap();
        assert_eq!(said.status.code(), Some(255), "{said:?}");
    }
    assert!(!it.project.join("ran").exists() && !it.box_file("ran").exists());
    in_fast(&["route", "off"]).succeeds();
    assert_eq!((gate().status, gate().text()), (0, ""));
    assert!(!it.world.home().join(".cache/runcode/routed-caches").exists());
}

#[test]
fn a_user_of_any_name_stays_routed() {
    let it = Routed::new(World::new());
    let bin = it.world.home().join("bin");
    std::fs::create_dir(&bin).unwrap();
    // As a directory service names users; the number of nobody, so that the password file does not know the home either.
    let id = "#!/bin/sh\ncase $1 in -un) echo jane@corp ;; *) echo 4000000000 ;; esac\n";
    std::fs::write(bin.join("id"), id).unwrap();
    std::fs::set_permissions(bin.join("id"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let other = it.world.home().join("other-home");
    std::fs::create_dir(&other).unwrap();
    let line = it.line();
    let asked = call("Bash", &bash("touch ran"), &it.project);
    let said = it.gate(
        |command| _ = command.env("PATH", &path).env("HOME", &other).env_remove("XDG_CACHE_HOME"),
        &asked,
    );
    assert_eq!((said.status, said.text()), (2, ""), "{said:?}");
    for shell in shells() {
        let mut command = it.road(shell, &line, "touch ran");
        command.env("PATH", &path).env("HOME", &other).env_remove("XDG_CACHE_HOME");
        assert_eq!(CommandOutput::of(feed(&mut command, b"")).status, 255, "{shell}");
    }
    assert!(!it.project.join("ran").exists() && !it.box_file("ran").exists());
}

#[test]
fn what_the_gate_has_not_seen_asks_nobody() {
    let it = Routed::new(World::new());
    let line = it.line();
    let path = super::path_with_binary(&it);
    let off = "runcode route off";
    let run = |shell: &str, text: &str| {
        let mut command = it.road(shell, &line, text);
        CommandOutput::of(feed(command.env("PATH", &path), b""))
    };
    let is_on = || it.gate_of("Bash", &bash("x")).text() != "";
    for shell in shells() {
        for text in ["runcode route off", "runcode get f --out g", "runcode mcp"] {
            let said = run(shell, text);
            assert_eq!((said.status, said.text()), (255, ""), "{shell} {text}: {said:?}");
            assert!(said.stderr.contains("the user has not been asked"), "{said:?}");
        }
        assert!(is_on());
        run(shell, "runcode exec -- true").succeeds();
        // The user agrees to what the gate asks.
        let said = it.gate_of("Bash", &bash(off)).succeeds().json();
        let output = &said["hookSpecificOutput"];
        assert_eq!(output["permissionDecision"], "ask");
        let agreed = output["updatedInput"]["command"].as_str().unwrap().to_owned();
        let other = agreed.replace(off, "runcode stop");
        assert_eq!(run(shell, &other).status, 255, "the word is for one command");
        run(shell, &agreed).succeeds();
        assert!(!is_on());
        CommandOutput::of(it.world.command(&["route", "on"]).current_dir(&it.project).output().unwrap())
            .succeeds();
        assert_eq!(run(shell, &agreed).status, 255, "a word is good once");
        let said = it.gate_of("Bash", &bash(off)).succeeds().json();
        let refused = said["hookSpecificOutput"]["updatedInput"]["command"].as_str().unwrap().to_owned();
        assert!(is_on()); // this is another call
        assert_eq!(run(shell, &refused).status, 255, "the user may have refused");
        assert!(is_on());
    }
}

#[test]
fn a_variable_names_no_other_workspace_unasked() {
    let it = Routed::new(World::new());
    let harmless = bash("runcode exec --timeout 5 -- touch ran");
    let decision = |name: &str| {
        let said = it.gate(
            |command| _ = command.env("RUNCODE_WORKSPACE", name),
            &call("Bash", &harmless, &it.project),
        );
        said.succeeds().text().to_owned()
    };
    assert!(decision("ssh:localhost").contains(r#""permissionDecision":"ask""#));
    assert_eq!(decision(it.world.words()), "");
    let mut command = it.road("bash", &it.line(), "runcode exec --timeout 5 -- touch ran");
    command.env("RUNCODE_WORKSPACE", "ssh:localhost").env("PATH", super::path_with_binary(&it));
    let said = CommandOutput::of(feed(&mut command, b""));
    assert_eq!(said.status, 255, "{said:?}");
    assert!(!it.project.join("ran").exists() && !it.box_file("ran").exists());
}

#[test]
fn a_shell_that_takes_functions_takes_none() {
    let it = Routed::new(World::new());
    let asked = call("Bash", &bash("touch ran"), &it.project).to_string();
    // As where /bin/sh is bash.
    for name in ["sh", "id", "cat", "cd", "exec", "printf", "grep", "["] {
        let mut command = std::process::Command::new("bash");
        command.args(["--posix".as_ref(), super::root().join("plugin/gate").as_os_str()]);
        let mut command = it.as_client(command);
        let other = it.world.home().join("taken");
        let function = format!("() {{ : >'{}'; return 0; }}", other.display());
        command.env(format!("BASH_FUNC_{name}%%"), function).env("SHELLOPTS", "privileged");
        let said = CommandOutput::of(feed(&mut command, asked.as_bytes()));
        // It guards the command, or refuses the variable.
        assert!(said.status == 2 || said.text().contains("runcode_routed"), "{name}: {said:?}");
        assert!(!other.exists(), "{name}: {said:?}");
    }
}
