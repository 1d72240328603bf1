#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::gate::{Answer, Project, ToolCall, decide};
use super::guard::{self, Whose};

fn project() -> Project {
    Project {
        folders: vec![PathBuf::from("/disk/project"), PathBuf::from("/home/me/link")],
        workdir: Some(PathBuf::from("/srv/app")),
        home: Some(PathBuf::from("/home/me")),
        programs: vec!["/plugin/bin/runcode".to_owned()],
        is_another_named: false,
        names: vec!["7".to_owned(), "web".to_owned()],
    }
}

fn call(tool: &str, input: Value) -> ToolCall {
    let cwd = "/disk/project/src";
    serde_json::from_value(json!({ "tool_name": tool, "tool_input": input, "cwd": cwd })).unwrap()
}

fn bash(command: &str) -> Answer {
    decide(&call("Bash", json!({ "command": command, "timeout": 5 })), &project(), |_| true)
}

/// What the workspace runs for this command.
fn sent(command: &str) -> Option<String> {
    match bash(command) {
        Answer::Instead(input) => {
            assert_eq!(input["timeout"], 5, "the rest of the call stays");
            let (sent, whose) = guard::take_off(input["command"].as_str().unwrap());
            assert_eq!(whose, Whose::Main);
            Some(sent.to_owned())
        }
        // Not sent: it stays here, or the user is asked.
        Answer::Here | Answer::Ask(..) => None,
        other => panic!("{command}: {other:?}"),
    }
}

#[test]
fn every_command_is_guarded() {
    for command in [
        "ls",
        "",
        "a && b",
        "cat <<'E'\nx\nE",
        "runcode list; rm x",
        "runcode list\nrm x",
        "x=1 runcode list",
    ] {
        assert_eq!(sent(command).as_deref(), Some(command));
    }
    for command in
        ["runcode list", "/plugin/bin/runcode get x", "runcode put a b > log", "runcode write f <<'E'\nx\nE"]
    {
        assert_eq!(sent(command), None, "{command}");
    }
    assert_eq!(sent("/tmp/evil/runcode list").as_deref(), Some("/tmp/evil/runcode list"));
}

#[test]
fn exec_is_what_it_runs() {
    for (command, expected) in [
        ("runcode exec -- rm -rf 'a b'", Some("rm -rf 'a b'")),
        ("runcode exec rm x", Some("rm x")),
        ("runcode exec -n -- 'cd a && rm \"$B\"'", Some("cd a && rm \"$B\"")),
        ("runcode exec -- ls *.py 2>&1", Some("ls *.py 2>&1")),
        ("runcode exec -- python3 - <<'E'\nprint(1)\nE", Some("python3 - <<'E'\nprint(1)\nE")),
        ("runcode exec -- 'sh -s' <<'E'\nls\nE\n", Some("sh -s <<'E'\nls\nE")),
        // These say more than what runs.
        ("runcode exec -w other -- rm x", None),
        ("runcode exec --detach -- rm x", None),
        ("runcode exec -- cat x > here", None),
        ("runcode exec -- cat < here", None),
        ("runcode exec -- 'a; b' <<'E'\nx\nE", None),
        ("runcode exec", None),
        ("runcode run other -- rm x", None),
    ] {
        assert_eq!(sent(command).as_deref(), expected, "{command}");
    }
}

#[test]
fn the_switch_is_asked_for() {
    for command in [
        "runcode route off",
        "runcode route off --json",
        "/plugin/bin/runcode --json route off",
        "runcode disconnect",
    ] {
        assert!(matches!(bash(command), Answer::Ask(..)), "{command}");
    }
    for command in
        ["runcode dev -- sh -c x", "runcode --servers /x stop v", "runcode serve", "runcode {route,off}"]
    {
        assert!(matches!(bash(command), Answer::Deny(_)), "{command}");
    }
    assert_eq!(bash("runcode route status"), Answer::Here);
}

#[test]
fn a_half_command_is_refused() {
    let half = "true\nfi\nrm x\nif :; then";
    let answer = decide(&call("Bash", json!({ "command": half })), &project(), |_| false);
    assert!(matches!(answer, Answer::Deny(_)), "{answer:?}");
}

#[test]
fn who_moves_nobody_is_apart() {
    let calls = [
        json!({ "tool_name": "Bash", "tool_input": { "command": "ls" }, "agent_id": "a" }),
        json!({ "tool_name": "Bash", "tool_input": { "command": "ls", "run_in_background": true } }),
        json!({ "tool_name": "Monitor", "tool_input": { "command": "ls" } }),
    ];
    for call in calls {
        let call = serde_json::from_value::<ToolCall>(call).unwrap();
        let Answer::Instead(input) = decide(&call, &project(), |_| true) else { panic!("{call:?}") };
        assert_eq!(guard::take_off(input["command"].as_str().unwrap()), ("ls", Whose::Apart));
    }
}

#[test]
fn files_of_the_project_are_refused() {
    for (tool, input, is_here) in [
        ("Read", json!({ "file_path": "/disk/project/a" }), false),
        ("Read", json!({ "file_path": "/home/me/link/a" }), false),
        ("Edit", json!({ "file_path": "a" }), false),
        ("Write", json!({ "file_path": "/tmp/../disk/project/a" }), false),
        ("Write", json!({ "file_path": "/disk/project/../project-2/a" }), true),
        ("NotebookEdit", json!({ "notebook_path": "/disk/project/a.ipynb" }), false),
        ("Read", json!({ "file_path": "/srv/app/a" }), false),
        ("Read", json!({ "file_path": "/srv/app-2/a" }), true),
        ("Read", json!({ "file_path": "~/link/a" }), false),
        ("Read", json!({ "file_path": "/home/me/.claude/plans/x.md" }), true),
        ("Grep", json!({ "pattern": "x" }), false),
        ("Glob", json!({ "pattern": "x", "path": "/tmp" }), true),
        ("Glob", json!({ "pattern": "x", "path": " /disk/project/a" }), false),
        ("Grep", json!({ "pattern": "x", "file_path": "/tmp", "path": "/disk/project" }), false),
        ("Grep", json!({ "pattern": "x", "path": "/disk" }), false),
        ("Glob", json!({ "pattern": " /disk/project/*", "path": "/tmp" }), false),
        ("Glob", json!({ "pattern": "\u{feff}/disk/project/*", "path": "/tmp" }), false),
        ("Glob", json!({ "pattern": "{/,}disk/project/*", "path": "/tmp" }), false),
        ("PowerShell", json!({ "command": "dir" }), false),
        ("Monitor", json!({ "ws": { "url": "wss://x" } }), true),
        ("Monitor", json!({}), false),
        ("EnterWorktree", json!({}), false),
        ("Task", json!({ "isolation": "worktree" }), false),
        ("Task", json!({ "prompt": "x" }), true),
    ] {
        let answer = decide(&call(tool, input.clone()), &project(), |_| true);
        assert_eq!(answer == Answer::Here, is_here, "{tool} {input}: {answer:?}");
        assert!(
            is_here || matches!(&answer, Answer::Deny(why) if why.contains("nothing was r")),
            "{answer:?}"
        );
    }
    // The client may drop a blank that the session's folder would otherwise come before.
    let mut blank = call("Read", json!({ "file_path": "\u{feff}\u{a0}/disk/project/a" }));
    blank.cwd = Some("/tmp".into());
    assert!(matches!(decide(&blank, &project(), |_| true), Answer::Deny(_)));
    // A project that is the home folder, or a workspace with the same paths, does not hide the client's own files.
    for (folder, workdir) in [("/home/me", "/srv"), ("/x", "/home/me"), ("/x", "/")] {
        let project = Project { folders: vec![folder.into()], workdir: Some(workdir.into()), ..project() };
        let read = |path: &str| decide(&call("Read", json!({ "file_path": path })), &project, |_| true);
        assert_eq!(read("/home/me/.claude/memory.md"), Answer::Here, "{folder} {workdir}");
        assert_eq!(read("/home/me/a") == Answer::Here, workdir == "/");
    }
}

#[test]
fn links_lead_into_the_project() {
    let top = tempfile::tempdir().unwrap();
    let top = top.path().canonicalize().unwrap();
    std::fs::create_dir_all(top.join("project/src")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(top.join("project/src"), top.join("link")).unwrap();
    let project = Project { folders: vec![top.join("project")], ..Project::default() };
    for (path, is_here) in
        [("link/new", false), ("link/../a", false), ("other/a", true), ("project/a/../../b", true)]
    {
        let input = json!({ "file_path": top.join(path) });
        assert_eq!(decide(&call("Write", input), &project, |_| true) == Answer::Here, is_here, "{path}");
    }
}

proptest! {
    /// Whatever the client says, a shell call is guarded, refused, asked about, or a single command of ours.
    #[test]
    fn nothing_else_runs_here(command in "\\PC{0,40}", prefix in "(runcode |runcode exec -- |)") {
        let command = format!("{prefix}{command}");
        if bash(&command) == Answer::Here {
            prop_assert!(super::simple_command::parse(&command).is_some());
        }
    }
}

#[test]
fn leaving_the_workspace_is_asked_about() {
    let own = |tool: &str, input: Value| {
        decide(&call(&format!("mcp__plugin_runcode_runcode__{tool}"), input), &project(), |_| true)
    };
    for (tool, input) in [
        ("disconnect", json!({})),
        ("stop", json!({ "workspace": "web" })),
        ("connect", json!({ "workspace": "ssh:localhost" })),
        ("exec", json!({ "command": "id", "workspace": "8" })),
    ] {
        assert!(matches!(own(tool, input), Answer::Ask(_, None)), "{tool}");
    }
    for (tool, input) in [
        ("exec", json!({ "command": "id" })),
        ("exec", json!({ "command": "id", "workspace": "web" })),
        ("connect", json!({ "workspace": "7" })),
        ("list", json!({})),
    ] {
        assert_eq!(own(tool, input), Answer::Here, "{tool}");
    }
    let elsewhere = Project { is_another_named: true, ..project() };
    let named = |tool: &str, input: Value| decide(&call(tool, input), &elsewhere, |_| true);
    let exec = named("mcp__plugin_runcode_runcode__exec", json!({ "command": "id" }));
    assert!(matches!(exec, Answer::Ask(..)));
    let exec = named("Bash", json!({ "command": "runcode exec --timeout 5 -- id" }));
    assert!(matches!(exec, Answer::Ask(..)));
}
