//! `dev` and `demo`: a control plane of one's own, which leaves nothing behind.

use std::path::Path;

use crate::support::{CommandOutput, World, processes_with, until};

#[test]
fn dev_runs_a_command_and_leaves_nothing() {
    let world = World::new();
    let script = "runcode connect demo >/dev/null && runcode exec -- 'echo in $(basename $(pwd)); exit 7'";
    let mut command = world.command(&["dev", "--", "sh", "-c", script]);
    for variable in ["RUNCODE_API_BASE", "RUNCODE_WEB_BASE", "RUNCODE_TOKEN"] {
        command.env_remove(variable);
    }
    assert_eq!(CommandOutput::of(command.output().unwrap()).ends_with(7).text(), "in demo\n");
    assert_eq!(processes_with(&world.home().to_string_lossy()), Vec::<String>::new());
    assert!(!world.cache("attachments").exists() && !world.cache("ws-1").exists());
}

#[test]
fn dev_restores_the_attached_workspace() {
    let world = World::new().connected();
    let pid = std::fs::read(world.cache("ws-1/master.pid")).unwrap();
    let script = "runcode connect demo >/dev/null && runcode current --json";
    let within = world.run(&["dev", "--", "sh", "-c", script]).succeeds().json();
    assert_ne!(within["api_base"], world.base());
    let after = world.run(&["current", "--json"]).succeeds().json();
    assert_eq!((&after["api_base"], &after["workspace_id"]), (&world.base().into(), &1.into()));
    assert_eq!(world.run(&["exec", "--", "echo back"]).succeeds().text(), "back\n");
    // Both workspaces are #1, and the connection of the one outlasts the other.
    assert_eq!(std::fs::read(world.cache("ws-1/master.pid")).unwrap(), pid);
}

#[test]
fn dev_state_is_private_under_any_umask() {
    let world = World::new();
    let dev = world.command(&["dev", "--", "runcode", "run", "demo", "--", "stat -c %a .."]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(dev.get_program()).args(dev.get_args());
    command.env_clear().envs(dev.get_envs().filter_map(|(name, value)| Some((name, value?))));
    for variable in ["RUNCODE_API_BASE", "RUNCODE_WEB_BASE", "RUNCODE_TOKEN"] {
        command.env_remove(variable);
    }
    assert_eq!(CommandOutput::of(command.output().unwrap()).succeeds().text(), "700\n");
}

#[test]
fn dev_exits_like_a_shell_on_a_bad_command() {
    let world = World::new();
    let said = world.run(&["dev", "--", "no-such-command"]).ends_with(127);
    assert!(said.stderr.contains("there is no program `no-such-command`"), "{said:?}");
    world.run(&["dev", "--json", "--", "no-such-command"]).fails_as("not_found", 127);
    world.run(&["dev", "--", "/dev/null"]).ends_with(126);
    world.run(&["dev", "--", "sh", "-c", "exit 7"]).ends_with(7);
    let taken = world.base().replace("http://", "");
    let said = world.run(&["dev", "--listen", &taken, "--", "true"]).ends_with(1);
    assert!(
        said.stderr.contains("hint: choose another port") && !said.stderr.contains("os error"),
        "{said:?}"
    );
}

#[test]
fn demo_succeeds_and_leaves_nothing() {
    let world = World::new();
    let temporary = world.home().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = world.command(&["demo"]);
    for variable in ["RUNCODE_API_BASE", "RUNCODE_WEB_BASE", "RUNCODE_TOKEN"] {
        command.env_remove(variable);
    }
    let said = CommandOutput::of(command.env("TMPDIR", &temporary).output().unwrap()).succeeds();
    assert!(said.text().contains("HELLO FROM THIS SIDE"));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(!world.cache("").exists());
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let world = World::new();
    let temporary = world.home().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let demo = world.command(&["demo"]).env("TMPDIR", &temporary).spawn().unwrap();
    until("it is under way", || std::fs::read_dir(&temporary).unwrap().count() > 0);
    let pid = rustix::process::Pid::from_raw(demo.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    CommandOutput::of(demo.wait_with_output().unwrap()).ends_with(130);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

/// A plane whose state is kept keeps the default workspace's files, and adds none to others that it knows.
#[test]
fn dev_state_keeps_the_default_workspace() {
    let world = World::new();
    let (kept, others) = (world.home().join("kept"), world.home().join("others"));
    let dev = |state: &Path, arguments: &[&str], script: &str| {
        let line =
            [&["dev", "--state", state.to_str().unwrap()], arguments, &["--", "sh", "-c", script]].concat();
        world.run(&line).succeeds()
    };
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("of-somebody-else"), "").unwrap();
    dev(&kept, &[], "runcode run demo -- 'echo hi > f'");
    assert_eq!(dev(&kept, &[], "runcode run demo -- cat f").text(), "hi\n");
    let web = format!("web={}", world.workspace().display());
    dev(&others, &["--workspace", &web], "true");
    let list = dev(&others, &[], "runcode list --json").json();
    let titles = list.as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap());
    assert_eq!(titles.collect::<Vec<_>>(), ["web"]);
}

/// Anything may lie beside the binary, in a folder of downloads for example; and an empty PATH must not name the working folder.
#[test]
fn dev_puts_nothing_but_runcode_on_path() {
    let world = World::new();
    let downloads = world.home().join("Downloads");
    std::fs::create_dir(&downloads).unwrap();
    let binary = downloads.join("runcode-1.2.3");
    std::fs::copy(env!("CARGO_BIN_EXE_runcode"), &binary).unwrap();
    for planted in ["git", "ls", "ssh", "runcode"] {
        let path = downloads.join(planted);
        std::fs::write(&path, "#!/bin/sh\necho PLANTED\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let script = "found=$(command -v runcode) && ls \"$(dirname \"$found\")\" && \
                  runcode run demo -- echo here && echo \"$found\"";
    for path in [std::env::var_os("PATH"), Some("".into()), None] {
        let mut command = world.command(&["dev", "--", "sh", "-c", script]);
        let arguments = command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
        let environment =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let environment = environment.collect::<Vec<_>>();
        command = std::process::Command::new(&binary);
        command.args(arguments).env_clear().envs(environment).current_dir(&downloads).env_remove("PATH");
        for variable in ["RUNCODE_API_BASE", "RUNCODE_WEB_BASE", "RUNCODE_TOKEN"] {
            command.env_remove(variable);
        }
        if let Some(path) = &path {
            command.env("PATH", path);
        }
        let said = CommandOutput::of(command.output().unwrap()).succeeds();
        let said = said.text();
        let [listed, ran, found] = said.lines().collect::<Vec<_>>()[..] else { panic!("{path:?}: {said}") };
        assert_eq!((listed, ran), ("runcode", "here"), "{path:?}");
        assert!(!Path::new(found).parent().unwrap().exists(), "{found} is left");
    }
}
