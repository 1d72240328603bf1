//! What the gate answers.

use super::*;

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
