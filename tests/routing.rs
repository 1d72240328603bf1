//! Routing: what the plugin's hooks answer and what the road does with a command, without the client. `tests/plugin` drives the client.

mod gate;
#[cfg(target_os = "linux")]
mod helper;
mod hidden;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{CommandOutput, World, binary, feed, until};

/// A project that is routed to `box`, and the plugin of this repository.
struct Routed {
    world: World,
    project: PathBuf,
}

impl Routed {
    fn new(world: World) -> Routed {
        let project = world.home().join("project");
        std::fs::create_dir(&project).unwrap();
        let words = world.words();
        let connect = world.command(&["connect", words, "--route", "--json"]).current_dir(&project).output();
        let said = CommandOutput::of(connect.unwrap()).succeeds().json();
        assert_eq!(said["routing"], true);
        Routed { world, project }
    }

    /// Starts a program as the client does.
    fn as_client(&self, mut command: Command) -> Command {
        let of_world = self.world.command(&["x"]);
        command.env_clear().envs(of_world.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("RUNCODE_BIN", binary()).env("CLAUDE_PROJECT_DIR", &self.project);
        command.env("CLAUDE_CODE_SESSION_ID", "session").current_dir(&self.project);
        command
    }

    fn gate(&self, change: impl FnOnce(&mut Command), call: &Value) -> CommandOutput {
        let mut command = Command::new("sh");
        command.arg(root().join("plugin/gate"));
        let mut command = self.as_client(command);
        change(&mut command);
        CommandOutput::of(feed(&mut command, call.to_string().as_bytes()))
    }

    fn gate_of(&self, tool: &str, input: &Value) -> CommandOutput {
        self.gate(|_| {}, &call(tool, input, &self.project))
    }

    /// As Claude Code runs a command: the text within `eval`, after the session's environment file.
    fn road(&self, shell: &str, line: &str, text: &str) -> Command {
        let mut command = Command::new(shell);
        let quoted = text.replace('\'', "'\\''");
        let started = format!(
            "shopt -u extglob 2>/dev/null || true && {line} && eval '{quoted}' < /dev/null && pwd -P >| {}/cwd",
            self.world.home().display()
        );
        command.args(["-c", &started]);
        self.as_client(command)
    }

    /// What the session-start hook leaves in the environment file.
    fn line(&self) -> String {
        self.line_in(&self.world.home().join(".cache"))
    }

    /// The same, for a user whose cache is this folder.
    fn line_in(&self, cache: &Path) -> String {
        let file = self.world.home().join("environment");
        std::fs::write(&file, "").unwrap();
        for source in ["startup", "resume"] {
            let mut command = Command::new("sh");
            command.arg(root().join("plugin/session-start"));
            let mut command = self.as_client(command);
            command.env("CLAUDE_ENV_FILE", &file).env("XDG_CACHE_HOME", cache);
            let started = json!({ "hook_event_name": "SessionStart", "session_id": "s", "source": source, "cwd": self.project });
            let said = CommandOutput::of(feed(&mut command, started.to_string().as_bytes())).succeeds();
            let told = said.json()["hookSpecificOutput"]["additionalContext"].as_str().unwrap().to_owned();
            assert!(told.contains("this project is routed to the remote workspace"), "{told}");
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        text.trim_end().to_owned()
    }

    fn box_file(&self, name: &str) -> PathBuf {
        self.world.workspace().join(name)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn call(tool: &str, input: &Value, cwd: &Path) -> Value {
    json!({ "session_id": "s", "cwd": cwd, "hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": input, "tool_use_id": "t" })
}

fn bash(command: &str) -> Value {
    json!({ "command": command, "description": "d" })
}

fn shells() -> impl Iterator<Item = &'static str> {
    ["bash", "zsh"].into_iter().filter(|shell| {
        let is_there = Command::new(shell).arg("-c").arg(":").status().is_ok();
        if !is_there {
            eprintln!("SKIPPED: {shell} is not here");
        }
        is_there
    })
}

#[test]
fn the_road_leads_to_the_workspace() {
    for world in [Some(World::new()), World::real(), World::server()].into_iter().flatten() {
        let it = Routed::new(world);
        let line = it.line();
        for shell in shells() {
            let name = format!("ran-{shell}");
            let run = |text: &str| CommandOutput::of(it.road(shell, &line, text).output().unwrap());
            let said = run(&format!("cat > {name} <<'E'\n$x `y`\nE\necho err >&2; echo \"a  b\"; exit 7"));
            assert_eq!((said.status, said.text(), said.stderr.as_str()), (7, "a  b\n", "err\n"), "{shell}");
            assert_eq!(std::fs::read_to_string(it.box_file(&name)).unwrap(), "$x `y`\n");
            assert!(!it.project.join(&name).exists());
            let guarded = it.gate_of("Bash", &bash("pwd")).succeeds().json();
            let guarded =
                guarded["hookSpecificOutput"]["updatedInput"]["command"].as_str().unwrap().to_owned();
            let top = run(&guarded).succeeds().text().to_owned();
            assert_eq!(run("pwd").succeeds().text(), top);
            run(&format!("mkdir -p d-{shell} && cd d-{shell}")).succeeds();
            assert_eq!(run(&guarded).succeeds().text().trim(), format!("{}/d-{shell}", top.trim()));
            let apart = guarded.replace("type runcode_routed ", "type runcode_routed_apart ");
            assert_eq!(run(&apart).succeeds().text(), top, "a subagent starts in the workdir");
            assert_eq!(run(&format!("cd {} && pwd", it.project.display())).succeeds().text(), top);
            run("trap 'exit 4' EXIT; true").ends_with(4);
            run("runcode() { echo \"here $*\"; }; runcode x").succeeds();
            // A single runcode command runs on this machine.
            let said = it.road(shell, &line, "runcode --version").env("PATH", path_with_binary(&it)).output();
            assert!(CommandOutput::of(said.unwrap()).succeeds().text().starts_with("runcode "), "{shell}");
        }
    }
}

fn path_with_binary(it: &Routed) -> String {
    let folder = it.world.home().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = std::os::unix::fs::symlink(binary(), folder.join("runcode"));
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_broken_road_runs_nothing() {
    let mut it = Routed::new(World::new());
    let line = it.line();
    let guarded = it.gate_of("Bash", &bash("echo 1 >ran; touch ran")).succeeds().json();
    let guarded = guarded["hookSpecificOutput"]["updatedInput"]["command"].as_str().unwrap().to_owned();
    for shell in shells() {
        // Without the environment file, the guard stops it.
        let said = CommandOutput::of(it.road(shell, "true", &guarded).output().unwrap());
        assert!(
            said.status != 0 && said.stderr.contains("this session is not routed; nothing was run"),
            "{said:?}"
        );
        // A client that starts commands differently.
        let mut command = Command::new(shell);
        command.args(["-c", &format!("{line}\ntouch ran")]);
        let said = CommandOutput::of(it.as_client(command).output().unwrap());
        assert_eq!(said.status, 255, "{said:?}");
        assert!(said.stderr.contains("cannot be routed; nothing was run"), "{said:?}");
        // A program that cannot say.
        let said = it.road(shell, &line, "touch ran").env("RUNCODE_BIN", "/bin/false").output().unwrap();
        assert_eq!(said.status.code(), Some(255));
    }
    it.world.stop_plane();
    for shell in shells() {
        let said = CommandOutput::of(it.road(shell, &line, &guarded).output().unwrap());
        assert!(said.status == 255 && said.stderr.contains("hint: "), "{said:?}");
    }
    assert!(!it.project.join("ran").exists() && !it.box_file("ran").exists());
}

#[test]
fn unrouted_projects_have_no_road() {
    let it = Routed::new(World::new());
    let line = it.line();
    it.world.command(&["route", "off"]).current_dir(&it.project).output().unwrap();
    assert_eq!(it.gate_of("Bash", &bash("ls")).succeeds().text(), "");
    for shell in shells() {
        let said =
            CommandOutput::of(it.road(shell, &line, "pwd; x=1; eval 'echo $x'").output().unwrap()).succeeds();
        assert_eq!(said.text(), format!("{}\n1\n", it.project.canonicalize().unwrap().display()));
    }
}

#[test]
fn a_stopped_command_ends_there() {
    let it = Routed::new(World::new());
    let line = it.line();
    let mut command = it.road("bash", &line, "echo $$ > pid; sleep 1000 & sleep 2000");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = || std::fs::read_to_string(it.box_file("pid")).ok()?.trim().parse::<i32>().ok();
    until("it runs", || pid().is_some());
    let (client, there) = (child.id().to_string(), pid().unwrap());
    assert!(Command::new("kill").args(["-s", "TERM", &client]).status().unwrap().success());
    child.wait().unwrap();
    until("it is gone there", || !Path::new(&format!("/proc/{there}")).exists());
}

#[test]
fn routing_ends_with_the_attachment() {
    let world = World::new();
    let folder = world.home().join("project");
    std::fs::create_dir(&folder).unwrap();
    let at = |arguments: &[&str]| {
        CommandOutput::of(world.command(arguments).current_dir(&folder).output().unwrap())
    };
    let is_routed = || at(&["route", "status", "--json"]).succeeds().json()["routing"] == true;
    at(&["route", "on", "--json"]).fails_as("not_found", 2);
    assert!(at(&["connect", "box", "--json"]).succeeds().json()["routing"] == false && !is_routed());
    assert_eq!(at(&["route", "on", "--json"]).succeeds().json()["routing"], true);
    assert_eq!(at(&["current", "--json"]).succeeds().json()["routing"], true);
    assert_eq!(at(&["connect", "box", "--json"]).succeeds().json()["routing"], true, "only the user ends it");
    for end in [
        &["route", "off"][..],
        &["disconnect"],
        &["clean"],
        &["disconnect", "--all"],
        &["clean", "--all"],
        &["stop"],
    ] {
        at(&["connect", "box", "--route"]).succeeds();
        let started = json!({ "hook_event_name": "SessionStart", "session_id": "s", "cwd": folder });
        let said = feed(world.command(&["hook"]).current_dir(&folder), started.to_string().as_bytes());
        let said = CommandOutput::of(said).succeeds();
        assert!(said.text().contains("is routed") && world.cache("heard").exists());
        at(end).succeeds();
        assert!(!is_routed() && !world.cache("heard").exists(), "{end:?}");
        assert_eq!(at(&["current", "--json"]).json()["attached"], end == ["route", "off"], "{end:?}");
    }
}

#[test]
fn the_status_line_shows_routing() {
    let it = Routed::new(World::new());
    let shown = |session: &str| {
        let asking = json!({ "session_id": session, "workspace": { "project_dir": it.project } });
        it.world.run_with(&["statusline"], asking.to_string().as_bytes()).succeeds().text().to_owned()
    };
    let line = shown("s");
    assert!(line.contains("[1;30;41m") && line.contains("NOT ROUTED to box"), "{line}");
    it.gate_of("Bash", &bash("ls")).succeeds();
    let line = shown("s");
    assert!(line.contains("[1;30;42m") && line.contains("all commands, also !, → box"), "{line}");
    assert!(shown("another").contains("NOT ROUTED"));
}
