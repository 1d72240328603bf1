//! `runcode serve` as the server on the workspace.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::json;

use crate::support::{CommandOutput, World, is_running, until};

const TOOLS: &str = r#"
[config]
name = "tools"
[show]
description = "Shows its arguments"
command = ["./show"]
run_as = ""
[show.args]
env = {options = ["staging", "production"], required = true}
count = {default = 1, range = [1, 5]}
ratio = 0.5
loud = false
tag = {type = "str", multiple = true, required = false}
name = {type = "str", pattern = "[a-z -]+", required = false}
file = {type = "path", position = 1, required = false}
more = {type = "rest"}
[bytes]
command = ["./bytes"]
run_as = ""
[stays]
command = ["./stays"]
run_as = ""
[late]
command = ["./stays"]
run_as = ""
timeout = 1
"#;

/// A workspace with these tools, and the binary under its own name.
struct Ours {
    world: World,
    program: PathBuf,
}

impl Ours {
    fn new() -> Ours {
        let world = World::new();
        let folder = world.workspace().join(".config/runcode");
        let bin = world.workspace().join("bin");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&bin).unwrap();
        let program = bin.join("runcode");
        symlink(crate::support::binary(), &program).unwrap();
        std::fs::write(folder.join("serve.toml"), TOOLS).unwrap();
        for (name, text) in [
            ("show", "printf '<%s>' \"$@\"".to_owned()),
            ("bytes", r"printf 'out\377\000\n\r\nend'; printf 'err\376' >&2; exit 7".to_owned()),
            ("stays", "trap '' TERM; sleep 600 & echo \"$$ $!\" >pids; echo begun; wait; wait".to_owned()),
        ] {
            let file = folder.join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Ours { world, program }
    }

    fn command(&self, options: &[&str], words: &[&str]) -> Command {
        let program = self.program.to_str().unwrap();
        self.world.command(&[&["jump", "--bin", program], options, &["box"], words].concat())
    }

    fn run(&self, options: &[&str], words: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(options, words).output().unwrap())
    }

    /// The processes of the tool that stays, once it runs.
    fn staying(&self) -> Vec<i32> {
        let file = self.world.workspace().join("pids");
        let text = || std::fs::read_to_string(&file).unwrap_or_default();
        until("the tool runs", || text().ends_with('\n'));
        text().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }
}

#[test]
fn our_tools_are_listed() {
    let ours = Ours::new();
    let said = ours.run(&[], &[]).succeeds();
    let expected = "show\n  Shows its arguments\n    --env staging|production  required\n    --count integer  1…5  default 1\n    \
                    --ratio number  default 0.5\n    --loud  default false\n    --tag string…\n    --name string\n    \
                    --file string  or a bare word\n    --more string…  or the words after a second `--`\nbytes\nstays\nlate\n";
    assert_eq!(said.text(), expected);
    let said = ours.run(&["--json"], &[]).succeeds().json();
    assert_eq!((&said["server"]["name"], &said["protocol"]), (&json!("tools"), &json!("2025-11-25")));
    assert_eq!(said["tools"][0]["arguments"][1]["maximum"], 5);
}

#[test]
fn our_tools_get_what_is_written() {
    let ours = Ours::new();
    let words = [
        "show",
        "--",
        "--env",
        "staging",
        "--count=2",
        "--ratio",
        "1.5",
        "--loud",
        "--tag",
        "a b",
        "--tag=-c",
        "--name=-x",
        "f'1",
        "--",
        "--last",
        "",
    ];
    let expected = "<--env><staging><--count><2><--ratio><1.5><--loud><--tag><a b><--tag=-c><--name=-x><f'1><--><--last><>";
    assert_eq!(ours.run(&[], &words).succeeds().text(), expected);
    for text in ["0005", "1e3", "true", "18446744073709551616"] {
        let said =
            ours.run(&[], &["show", "--", "--env=staging", "--tag", text, text, "--", text]).succeeds();
        assert_eq!(said.text(), format!("<--env><staging><--tag><{text}><{text}><--><{text}>"));
    }
    let huge = r#"{"env": "staging", "count": 18446744073709551616}"#;
    ours.run(&["--json", "--args", huge], &["show"]).fails_as("usage", 255);
    let whole = r#"{"env": "production", "tag": ["é\n"], "loud": false}"#;
    let said = ours.run(&["--json", "--args", whole], &["show"]).succeeds().json();
    assert_eq!(said["stdout"], "<--env><production><--tag><é\n>");
    // What is checked here, what is checked there.
    let said = ours.run(&["--json"], &["show", "--", "--count=9", "--nope"]).fails_as("usage", 255).json();
    assert_eq!(said["issues"].as_array().unwrap().len(), 3, "{said}");
    let said = ours.run(&[], &["show", "--", "--env=staging", "--name=A"]).ends_with(1);
    assert!(said.text().is_empty() && said.stderr.contains("name"), "{said:?}");
}

#[test]
fn our_output_is_exact() {
    let ours = Ours::new();
    let said = ours.command(&[], &["bytes"]).output().unwrap();
    assert_eq!(said.status.code(), Some(7));
    assert_eq!((&said.stdout[..], &said.stderr[..]), (&b"out\xff\0\n\r\nend"[..], &b"err\xfe"[..]));
    let said = ours.run(&["--json"], &["bytes"]).ends_with(7).json();
    assert_eq!((&said["stdout"], &said["stderr"]), (&json!("out\u{fffd}\0\n\r\nend"), &json!("err\u{fffd}")));
    assert_eq!(
        (&said["exit_code"], &said["is_error"], &said["content"]),
        (&json!(7), &json!(true), &json!([]))
    );
}

#[test]
fn our_tools_end_with_the_call() {
    let ended = |ours: &Ours, child: Child, pids: &[i32]| {
        let said = CommandOutput::of(child.wait_with_output().unwrap());
        until("the tool is gone", || !pids.iter().any(|&pid| is_running(pid)));
        let left = crate::support::processes_with(ours.program.to_str().unwrap());
        assert!(left.iter().all(|line| !line.contains("serve")), "{left:?}");
        said
    };
    let ours = Ours::new();
    let late = ours.command(&["--json", "--timeout", "2"], &["stays"]).spawn().unwrap();
    let pids = ours.staying();
    ended(&ours, late, &pids).fails_as("timed_out", 255);
    std::fs::remove_file(ours.world.workspace().join("pids")).unwrap();
    let late = ours.command(&[], &["late"]).spawn().unwrap();
    let pids = ours.staying();
    let said = ended(&ours, late, &pids).ends_with(137);
    assert!(said.stderr.ends_with("runcode: the tool was ended: it reached its own timeout\n"), "{said:?}");
    std::fs::remove_file(ours.world.workspace().join("pids")).unwrap();
    let child = ours.command(&["--json"], &["stays"]).spawn().unwrap();
    let pids = ours.staying();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    ended(&ours, child, &pids).fails_as("interrupted", 130);
}
