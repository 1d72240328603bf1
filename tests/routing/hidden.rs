//! A project's settings can set variables that hide the cache in which the project is routed.

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
