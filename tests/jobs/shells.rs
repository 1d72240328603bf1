//! Any `sh`, any login shell, and machines without `setsid`.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::files::with_login;

/// What a job must do, whatever runs it.
fn is_exact(world: &World, tag: &str) {
    let desk = Desk::of(world);
    let id = desk.start(&["--name", "first", "--", "sh -c 'echo out; echo err >&2; exit 7'"]);
    assert_eq!(desk.wait(&id), 7, "{tag}");
    assert_eq!(desk.output("first"), "out\n", "{tag}");
    assert_eq!(desk.run(&["jobs", "output", "first", "--stderr"]).succeeds().text(), "err\n", "{tag}");
    for (signal, status) in [("TERM", 143), ("KILL", 137)] {
        let id = desk.start(&["--", "sh", "-c", "sleep 120 & echo up; sleep 120"]);
        until("it is up", || desk.output(&id) == "up\n");
        let said = desk.run(&["jobs", "kill", &id, "--signal", signal]);
        assert_eq!((said.status, desk.wait(&id)), (0, status), "{tag}: {signal}: {said:?}");
    }
    let id = desk.start(&[
        "--",
        "sh",
        "-c",
        "trap 'exit 9' INT; echo up; for n in 0 1 2 3 4 5 6 7 8 9; do sleep 9; done",
    ]);
    until("it is up", || desk.output(&id) == "up\n");
    desk.run(&["jobs", "kill", &id, "--signal", "INT"]).succeeds();
    // A login shell that is still there hears it too, and may end first.
    assert!([9, 130].contains(&desk.wait(&id)), "{tag}: INT");
    let id = desk.start(&["--", "sh", "-c", "head -c 3000000 /dev/zero"]);
    assert_eq!(desk.wait(&id), 0, "{tag}");
    let tail = desk.run(&["jobs", "output", &id, "--since", "2999990"]).succeeds();
    assert_eq!(tail.stdout, [0; 10], "{tag}");
    desk.run(&["jobs", "clean"]).succeeds();
    assert_eq!(desk.list().len(), 0, "{tag}");
}

#[test]
fn jobs_run_under_any_shell() {
    let shells = ["bash", "dash", "zsh", "fish", "tcsh", "busybox sh", "mksh", "yash", "ksh93"];
    std::thread::scope(|scope| {
        for shell in shells {
            scope.spawn(move || runs_under(shell));
        }
    });
}

fn runs_under(shell: &str) {
    let program = shell.split(' ').next().unwrap();
    if !["/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists()) {
        return eprintln!("SKIPPED: there is no {program}");
    }
    let login = format!("SHELL=$(command -v {program}); export SHELL;");
    let setup = match shell {
        "fish" | "tcsh" => login,
        // Run by another name, busybox is no shell.
        "busybox sh" => busybox_as_sh().to_owned(),
        _ => format!(
            "{login} mkdir -p as; ln -sf $(command -v {program}) as/sh; PATH=$PWD/as:$PATH; export PATH;"
        ),
    };
    let Some(world) = with_login(&setup, shell) else { return };
    is_exact(&world, shell);
}

fn busybox_as_sh() -> &'static str {
    "mkdir -p as; ln -sf $(command -v busybox) as/sh; SHELL=$PWD/as/sh; PATH=$PWD/as:$PATH; export SHELL PATH;"
}

/// A folder with links to all programs but these.
fn programs_without(world: &World, missing: &[&str]) -> PathBuf {
    let own = world.home().join("own");
    fs::create_dir(&own).unwrap();
    for folder in ["/usr/bin", "/bin"] {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !missing.iter().any(|missing| name.starts_with(missing)) {
                let _ = symlink(entry.path(), own.join(name));
            }
        }
    }
    own
}

#[test]
fn jobs_need_no_setsid() {
    std::thread::scope(|scope| {
        for (missing, shell) in
            [(&["setsid"][..], "dash"), (&["setsid", "perl"], "dash"), (&["setsid", "perl"], "bash")]
        {
            scope.spawn(move || {
                let setup = format!("ln -sf $(command -v {shell}) own/sh; PATH=$PWD/own; export PATH;");
                let Some(world) = with_login(&setup, "sh") else { return };
                programs_without(&world, missing);
                assert!(world.run(&["exec", "--", "command -v setsid"]).status != 0);
                is_exact(&world, &format!("{shell} without {missing:?}"));
            });
        }
    });
}

/// systemd may end what a login session leaves behind. That is said before somebody relies on the job.
#[test]
fn an_end_at_logout_is_announced() {
    let Some((world, own)) = crate::files::with_programs() else { return };
    let desk = Desk::of(&world);
    for (rules, linger, is_noted) in [
        ("KillUserProcesses=no", "no", false),
        ("KillUserProcesses=yes\\nKillExcludeUsers=nobody", "no", true),
        ("KillUserProcesses=yes\\nKillExcludeUsers=nobody", "yes", true),
        ("KillUserProcesses=yes\\nKillExcludeUsers=nobody USER", "no", false),
    ] {
        let rules = rules.replace("USER", &crate::support::real_sshd::user());
        let script = format!("case $* in *Linger*) echo Linger={linger} ;; *) printf '{rules}\\n' ;; esac");
        crate::files::program(&own, "loginctl", &script);
        let said = desk.run(&["exec", "--detach", "--", "true"]).succeeds();
        assert_eq!(said.stderr.contains("KillUserProcesses"), is_noted, "{rules} {linger}: {said:?}");
    }
}
