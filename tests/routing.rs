//! Routing: what the plugin's hooks answer and what the road does with a command, without the client. `tests/plugin` drives the client.

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
fn the_gate_guards_and_refuses() {
    let it = Routed::new(World::new());
    let said = it.gate_of("Bash", &bash("make x")).succeeds().json();
    assert_eq!(said["systemMessage"], "→ box (#1)");
    let own = &said["hookSpecificOutput"];
    assert_eq!(
        (own["permissionDecision"].clone(), own["updatedInput"]["description"].clone()),
        (Value::Null, json!("d"))
    );
    assert!(own["updatedInput"]["command"].as_str().unwrap().contains("\nmake x\n\nelse "), "{own}");
    assert_eq!(it.gate_of("Bash", &bash("runcode list")).succeeds().text(), "");
    let said = it.gate_of("Bash", &bash("a\nfi\nb\nif :; then")).succeeds().json();
    assert_eq!(said["hookSpecificOutput"]["permissionDecision"], "deny");
    assert!(it.gate_of("Bash", &bash("if a; then b; else c; fi")).succeeds().json()["hookSpecificOutput"]["updatedInput"].is_object());
    let file = it.project.join("file");
    let said = it.gate_of("Read", &json!({ "file_path": file })).succeeds().json();
    assert_eq!(said["hookSpecificOutput"]["permissionDecision"], "deny");
    assert_eq!(it.gate_of("Read", &json!({ "file_path": it.world.home().join("x") })).succeeds().text(), "");
}

/// Codex runs what its hook does not refuse, and cannot be led elsewhere by it.
#[test]
fn codex_runs_nothing_here_in_a_routed_project() {
    let it = Routed::new(World::new());
    let asked = |tool: &str, input: Value, address: Option<&str>| {
        let mut command = Command::new("sh");
        command.arg(root().join("plugin/gate")).arg("codex");
        let mut command = it.as_client(command);
        command.env_remove("CLAUDE_PROJECT_DIR");
        address.map(|address| command.env("CODEX_EXEC_SERVER_URL", address));
        CommandOutput::of(feed(&mut command, call(tool, &input, &it.project).to_string().as_bytes()))
            .succeeds()
    };
    let is_refused = |said: CommandOutput| {
        let own = said.json()["hookSpecificOutput"].clone();
        own["permissionDecision"] == "deny" && own["updatedInput"].is_null()
    };
    for (tool, input) in [
        ("Bash", bash("make x")),
        ("Bash", bash("runcode list; make x")),
        ("Bash", bash("runcode route off")),
        ("Bash", json!({ "command": ["make"] })),
        ("apply_patch", json!({ "command": "*** Begin Patch" })),
    ] {
        assert!(is_refused(asked(tool, input.clone(), None)), "{tool} {input}");
        assert!(is_refused(asked(tool, input.clone(), Some("ws://10.0.0.1:1/x"))), "{tool} {input}");
        assert_eq!(asked(tool, input, Some("ws://127.0.0.1:1/x")).text(), "", "its tools work there");
    }
    assert_eq!(asked("Bash", bash("runcode exec -- make x"), None).text(), "");
    it.world.command(&["route", "off"]).current_dir(&it.project).status().unwrap();
    assert_eq!(asked("Bash", bash("make x"), None).text(), "");
}

#[test]
fn the_gate_answers_whole_or_refuses() {
    let it = Routed::new(World::new());
    let good = call("Bash", &bash("ls"), &it.project);
    for garbage in ["", "{", "[]", "null", r#"{"hook_event_name":"PreToolUse"}"#] {
        let mut command = Command::new("sh");
        command.arg(root().join("plugin/gate"));
        let said = CommandOutput::of(feed(&mut it.as_client(command), garbage.as_bytes()));
        assert_eq!(said.status, 2, "{garbage}");
    }
    // Nobody reads the answer, the program is missing, or it is killed.
    let broken = it.world.home().join("broken");
    std::fs::create_dir(&broken).unwrap();
    for script in ["exit 1", "kill -9 $$", "exit 101", "exit 141"] {
        let program = broken.join("runcode");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = it.gate(|command| _ = command.env("RUNCODE_BIN", &program), &good);
        assert_eq!(said.status, 2, "{script}: {said:?}");
        assert!(said.stderr.contains("nothing was run") && said.stderr.contains("hint: "), "{said:?}");
        // Another project is not affected.
        let other = it.world.home().join("other");
        std::fs::create_dir_all(&other).unwrap();
        let elsewhere = |command: &mut Command| {
            command.env("RUNCODE_BIN", &program).env("CLAUDE_PROJECT_DIR", &other).current_dir(&other);
        };
        assert_eq!(it.gate(elsewhere, &call("Bash", &bash("ls"), &other)).status, 0);
    }
    let attachment =
        std::fs::read_dir(it.world.cache("attachments")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&attachment).unwrap();
    for odd in ["", "{", &text.replace("true", "7")] {
        std::fs::write(&attachment, odd).unwrap();
        assert_eq!(it.gate(|_| {}, &good).status, 2, "{odd}");
    }
    std::fs::write(&attachment, &text).unwrap();
    assert_eq!(it.gate(|_| {}, &good).status, 0);
}

#[test]
fn only_the_project_is_routed() {
    let it = Routed::new(World::new());
    let link = it.world.home().join("link");
    std::os::unix::fs::symlink(&it.project, &link).unwrap();
    let inside = it.project.join("src");
    let beside = it.world.home().join("project-2");
    for folder in [&inside, &beside] {
        std::fs::create_dir(folder).unwrap();
    }
    for (project, is_routed) in [
        (&link, true),
        (&link.join("src"), true),
        (&inside, true),
        (&beside, false),
        (&it.world.home().to_owned(), false),
    ] {
        let there =
            |command: &mut Command| _ = command.env("CLAUDE_PROJECT_DIR", project).current_dir(project);
        let said = it.gate(there, &call("Bash", &bash("ls"), project)).succeeds();
        assert_eq!(!said.text().is_empty(), is_routed, "{project:?}");
        // Wherever the session is now.
        let away = |command: &mut Command| _ = command.env("CLAUDE_PROJECT_DIR", project).current_dir("/");
        assert_eq!(it.gate(away, &call("Bash", &bash("ls"), Path::new("/"))).succeeds().text(), said.text());
    }
}

#[test]
fn no_project_points_the_gate_elsewhere() {
    let it = Routed::new(World::new());
    let evil = it.project.join("runcode");
    std::fs::write(&evil, format!("#!/bin/sh\n: >'{}/owned'\n", it.world.home().display())).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&evil, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(it.project.join(".claude")).unwrap();
    let line = it.line();
    for cwd in [&it.project, Path::new("/")] {
        let there = |command: &mut Command| {
            command
                .env("RUNCODE_BIN", &evil)
                .env("XDG_CACHE_HOME", it.project.join("cache"))
                .current_dir(cwd);
        };
        // Without the true one, whose place this test has to name, there is none.
        assert_eq!(it.gate(there, &call("Bash", &bash("ls"), cwd)).status, 2);
        for shell in shells() {
            let mut command = it.road(shell, &line, "echo ran > ran");
            let said =
                CommandOutput::of(command.env("RUNCODE_BIN", &evil).current_dir(cwd).output().unwrap());
            assert_eq!(said.status, 255, "{said:?}");
        }
    }
    assert!(
        !it.world.home().join("owned").exists()
            && !it.project.join("ran").exists()
            && !it.box_file("ran").exists()
    );
}

/// A project's settings may name another home, in which nothing is attached.
#[test]
fn a_hidden_cache_runs_nothing() {
    let it = Routed::new(World::new());
    let line = it.line();
    let other = it.world.home().join("other-home");
    std::fs::create_dir(&other).unwrap();
    let asked = call("Bash", &bash("touch ran"), &it.project);
    let refused = |said: CommandOutput| {
        assert_eq!((said.status, said.text()), (2, ""), "{said:?}");
        assert!(said.stderr.contains("points to another cache"), "{said:?}");
    };
    refused(it.gate(|command| _ = command.env("XDG_CACHE_HOME", &other), &asked));
    let mut hook = it.world.command(&["hook"]);
    refused(CommandOutput::of(feed(hook.env("HOME", &other), asked.to_string().as_bytes())));
    for shell in shells() {
        let said = it.road(shell, &line, "touch ran").env("XDG_CACHE_HOME", &other).output().unwrap();
        assert_eq!(said.status.code(), Some(255), "{said:?}");
    }
    assert!(!it.project.join("ran").exists() && !it.box_file("ran").exists());
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
