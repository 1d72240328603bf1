//! Machines of one's own that a program starts and stops.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::{file, with_servers, write};
use crate::support::{CommandOutput, World, is_running, until};

/// A world whose server `gpu` has this `power`, with a program `cloud` beside its servers.toml.
fn with_power(power: &str, cloud: &str) -> Option<World> {
    let world = with_servers("")?;
    let gpu = "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n";
    write(&world, &format!("{gpu}[servers.gpu.power]\n{power}\n"));
    let program = beside(&world, "cloud");
    std::fs::write(&program, format!("#!/bin/sh\n{cloud}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    Some(world)
}

/// A file beside servers.toml, where programs run.
fn beside(world: &World, name: &str) -> PathBuf {
    file(world).with_file_name(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

const ALL: &str =
    "start = [\"./cloud\", \"start\"]\nstop = [\"./cloud\", \"stop\"]\nstate = [\"./cloud\", \"state\"]";

/// The binary in a folder of the home: what lies beside that folder is no project's.
fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.current_dir(world.workspace());
    command
}

fn run(world: &World, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(command(world, arguments).output().unwrap())
}

#[test]
fn a_machine_is_started_watched_and_stopped() {
    // It is up once it has been asked for its state a second time.
    let cloud = "echo $1 >> calls\ncase $1 in\nstart) echo starting > is;;\nstop) echo stopped > is;;\n\
                 state) cat is; grep -q starting is && echo running > is; true;;\nesac";
    let Some(world) = with_power(ALL, cloud) else { return };
    std::fs::write(beside(&world, "is"), "stopped\n").unwrap();
    let rows = || run(&world, &["list", "--state", "--json"]).succeeds().json();
    assert_eq!((&rows()[0]["state"], &rows()[0]["connectable"]), (&json!("stopped"), &json!(false)));
    assert!(run(&world, &["list", "--state"]).succeeds().text().contains("runcode connect gpu --start"));
    let said = run(&world, &["connect", "gpu", "--start", "--wait", "--json"]).succeeds();
    assert_eq!((&said.json()["started"], &said.json()["reused"]), (&json!(true), &json!(false)));
    assert!(said.stderr.contains("starting gpu…"), "{}", said.stderr);
    assert_eq!(rows()[0]["state"], "running");
    // One that is up is not started again.
    let said = run(&world, &["connect", "gpu", "--start", "--json"]).succeeds().json();
    assert_eq!((&said["started"], &said["reused"]), (&json!(false), &json!(true)));
    let said = run(&world, &["stop", "gpu", "--json"]).succeeds().json();
    assert_eq!((&said["stopped"], &said["detached"]), (&json!(true), &json!(true)));
    assert!(!world.cache("srv-gpu").exists());
    let calls = read(&beside(&world, "calls"));
    assert_eq!((calls.matches("start").count(), calls.matches("stop").count()), (1, 1), "{calls}");
    assert_eq!(rows()[0]["state"], "stopped");
    // Without --state nobody is asked.
    let count = read(&beside(&world, "calls")).lines().count();
    assert_eq!(run(&world, &["list", "--json"]).succeeds().json()[0]["state"], json!(null));
    assert_eq!(read(&beside(&world, "calls")).lines().count(), count);
}

#[test]
fn a_program_that_fails_has_the_last_word() {
    let cloud = "echo first >&2; printf 'no \\033[2Jquota\\n\\n' >&2; exit 3";
    let Some(world) = with_power(ALL, cloud) else { return };
    for (arguments, code) in [
        (&["connect", "gpu", "--start", "--json"][..], "start_failed"),
        (&["stop", "gpu", "--json"], "stop_failed"),
    ] {
        let said = run(&world, arguments).fails_as(code, 2).json();
        let message = said["message"].as_str().unwrap();
        assert!(message.contains("cloud\" says: \"no \u{fffd}[2Jquota\""), "{message}");
    }
    // Of what it says of a state, nothing is believed.
    let said = run(&world, &["list", "--state", "--json"]).succeeds();
    assert_eq!(said.json()[0]["state"], json!(null));
    assert!(said.stderr.contains("the state of `gpu` is not known"), "{}", said.stderr);
    write(&world, "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n");
    for arguments in [&["connect", "gpu", "--start", "--json"][..], &["stop", "gpu", "--json"]] {
        let said = run(&world, arguments).fails_as("unavailable", 2).json();
        assert!(said["hint"].as_str().unwrap().contains("[servers.gpu.power]"), "{said}");
    }
    for arguments in [&["connect", "ssh:box", "--start", "--json"][..], &["stop", "ssh:box", "--json"]] {
        run(&world, arguments).fails_as("unavailable", 2);
    }
}

#[test]
fn a_program_gets_its_words_and_no_stdin() {
    let Some(world) = with_power(
        "start = [\"./cloud\", \"$(touch hacked)\", \"a b\", \"\"]",
        "for word; do echo \"<$word>\"; done > words; cat >> words; echo \"$CLOUD_REGION\" >> words",
    ) else {
        return;
    };
    let mut connect = command(&world, &["connect", "gpu", "--start"]);
    let mut child = connect.env("CLOUD_REGION", "eu").stdin(Stdio::piped()).spawn().unwrap();
    until("it is done, though our stdin stays open", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
    assert_eq!(read(&beside(&world, "words")), "<$(touch hacked)>\n<a b>\n<>\neu\n");
    assert!(!beside(&world, "hacked").exists());
}

#[test]
fn a_program_that_takes_too_long_is_killed_whole() {
    let Some(world) = with_power(ALL, "sleep 1000 & echo $! > pid; wait") else { return };
    write(&world, &read(&file(&world)).replace("state = ", "# state = "));
    let said =
        run(&world, &["connect", "gpu", "--start", "--timeout", "1", "--json"]).fails_as("start_failed", 2);
    assert!(said.json()["message"].as_str().unwrap().contains("longer than"), "{said:?}");
    let pid = || read(&beside(&world, "pid")).trim().parse::<i32>().unwrap();
    let first = pid();
    until("all of it is gone", || !is_running(first));
    // And so is one that is not wanted any more.
    std::fs::remove_file(beside(&world, "pid")).unwrap();
    let child = command(&world, &["stop", "gpu", "--json"]).spawn().unwrap();
    until("it runs", || read(&beside(&world, "pid")).ends_with('\n'));
    let runcode = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(runcode, rustix::process::Signal::INT).unwrap();
    CommandOutput::of(child.wait_with_output().unwrap()).fails_as("interrupted", 130);
    let second = pid();
    until("all of it is gone", || !is_running(second));
}

#[test]
fn a_program_that_others_may_write_is_not_run() {
    let Some(world) = with_power(ALL, "touch ran") else { return };
    let program = beside(&world, "cloud");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o722)).unwrap();
    let said = run(&world, &["stop", "gpu", "--json"]).fails_as("bad_config", 2).json();
    assert!(said["message"].as_str().unwrap().contains("others may write"), "{said}");
    // What lies in the current folder is none that PATH leads to.
    write(&world, &read(&file(&world)).replace("./cloud", "cloud"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut stop = command(&world, &["stop", "gpu", "--json"]);
    let path = format!(".:{}", std::env::var("PATH").unwrap());
    let said =
        CommandOutput::of(stop.env("PATH", path).current_dir(program.parent().unwrap()).output().unwrap());
    said.fails_as("bad_config", 2);
    assert!(!beside(&world, "ran").exists());
}

/// A project's settings can set every variable, and its agent may pass any option: neither starts a program of the project.
#[test]
fn no_servers_toml_of_a_project_runs_programs() {
    let Some(world) = with_power(ALL, "touch ran; echo running") else { return };
    let project = world.workspace();
    std::fs::create_dir_all(project.join(".git")).unwrap();
    std::fs::create_dir(project.join("src")).unwrap();
    let own = file(&world).parent().unwrap().to_owned();
    let theirs = project.join("home/.config/runcode");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::rename(&own, &theirs).unwrap();
    let (named, config) = (theirs.join("servers.toml"), project.join("home/.config"));
    let named = named.to_str().unwrap();
    let link = world.home().join("link.toml");
    std::os::unix::fs::symlink(named, &link).unwrap();
    let link = link.to_str().unwrap();
    let from = |folder: &str, variable: (&str, &str), arguments: &[&str]| {
        let mut command = command(&world, arguments);
        CommandOutput::of(command.env(variable.0, variable.1).current_dir(folder).output().unwrap())
    };
    let none = ("NONE", "");
    let (top, below) = (project.to_str().unwrap(), project.join("src"));
    let below = below.to_str().unwrap();
    let home = project.join("home");
    for (folder, variable, option) in [
        (top, none, Some("home/.config/runcode/servers.toml")),
        (below, none, Some("../home/.config/runcode/servers.toml")),
        (below, none, Some(link)),
        (below, ("RUNCODE_SERVERS", named), None),
        (below, ("XDG_CONFIG_HOME", config.to_str().unwrap()), None),
        (below, ("HOME", home.to_str().unwrap()), None),
        (home.to_str().unwrap(), ("HOME", home.to_str().unwrap()), None),
    ] {
        let servers = option.map(|file| ["--servers", file]).unwrap_or_default();
        let servers = if option.is_some() { &servers[..] } else { &[] };
        for verb in [&["connect", "gpu", "--start", "--json"][..], &["stop", "gpu", "--json"]] {
            let said = from(folder, variable, &[verb, servers].concat()).fails_as("bad_config", 2).json();
            assert!(said["message"].as_str().unwrap().contains("inside this project"), "{variable:?} {said}");
            assert!(said["hint"].as_str().unwrap().contains("/.config/runcode/servers.toml"), "{said}");
        }
        let said = from(folder, variable, &[&["list", "--state", "--json"], servers].concat()).succeeds();
        assert_eq!(said.json()[0]["state"], json!(null), "{variable:?}");
        assert!(said.stderr.contains("inside this project"), "{}", said.stderr);
        // Where it leads still counts: that starts nothing here.
        from(folder, variable, &[&["servers", "check", "--json"], servers].concat()).succeeds();
    }
    // Where the current folder has been deleted, nobody can tell what project it was in.
    let gone = project.join("gone");
    std::fs::create_dir(&gone).unwrap();
    let ours = command(&world, &["list", "--state", "--json", "--servers", named]);
    let mut left = Command::new("sh");
    left.args(["-c", "rmdir ../gone; exec \"$@\"", "sh"]).arg(ours.get_program()).args(ours.get_args());
    left.env_clear()
        .envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(&gone);
    let said = CommandOutput::of(left.output().unwrap()).succeeds();
    assert_eq!((said.json()[0]["state"].clone(), gone.exists()), (json!(null), false));
    assert!(!theirs.join("ran").exists());
    // In another project it is a file of the user's like any other.
    let other = world.home().join("other");
    std::fs::create_dir(&other).unwrap();
    let said = from(other.to_str().unwrap(), none, &["list", "--state", "--json", "--servers", named]);
    assert_eq!(
        (said.succeeds().json()[0]["state"].clone(), theirs.join("ran").exists()),
        (json!("running"), true)
    );
}
