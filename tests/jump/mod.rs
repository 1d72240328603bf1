//! `jump`: the tools of a server on the workspace, which may answer anything.

mod calls;
mod hostile;
mod other_users;
mod ours;
mod runspec;
mod stop;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{CommandOutput, World, skipped};

/// A workspace with a server that behaves in a certain way.
pub struct Jump {
    pub world: World,
    pub program: PathBuf,
}

impl Jump {
    /// `None`, said loudly, where there is no python3.
    pub fn to(mode: &str) -> Option<Jump> {
        Jump::in_world(World::new(), mode)
    }

    pub fn in_world(world: World, mode: &str) -> Option<Jump> {
        if Command::new("python3").arg("--version").output().is_err() {
            skipped("there is no python3");
            return None;
        }
        let folder = world.home().join("box").join(mode);
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("runspec");
        std::fs::write(&program, include_str!("server.py")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(Jump { world, program })
    }

    /// What `jump` gets before these words.
    pub fn command(&self, options: &[&str], words: &[&str]) -> Command {
        let program = self.program.to_str().unwrap();
        self.world.command(&[&["jump", "--bin", program], options, &["box"], words].concat())
    }

    pub fn run(&self, options: &[&str], words: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(options, words).output().unwrap())
    }

    /// What the server was asked for.
    pub fn record(&self) -> String {
        std::fs::read_to_string(self.program.with_file_name("record")).unwrap_or_default()
    }
}

#[test]
fn the_tools_are_listed() {
    let Some(jump) = Jump::to("pages") else { return };
    let said = jump.run(&[], &[]).succeeds();
    let expected = "deploy\n  Deploys\u{fffd}[2J it.\n    --env staging|production  required  Where to\n    --dry-run  default false\n    \
                    --count integer  1…9\n    --file string  or a bare word\nplain\n";
    assert_eq!(said.text(), expected);
    let said = jump.run(&["--json"], &[]).succeeds().json();
    assert_eq!(said["target"], "box");
    assert_eq!(said["server"], json!({ "name": "box\u{fffd}", "version": "1" }));
    assert_eq!(said["protocol"], "2024-11-05");
    let tool = &said["tools"][0];
    assert_eq!((&tool["autonomy"], &tool["title"]), (&json!("confirm"), &Value::Null));
    assert_eq!(
        tool["arguments"][0],
        json!({ "name": "env", "type": "string", "required": true, "default": null,
            "options": ["staging", "production"], "minimum": null, "maximum": null, "position": null, "description": "Where to" })
    );
    assert_eq!(tool["input_schema"]["required"], json!(["env"]));
    assert!(jump.record().is_empty(), "nothing was called");
    // It is attached to nothing.
    jump.world.run(&["exec", "--json", "--", "true"]).fails_as("not_found", 255);
}

#[test]
fn the_program_is_a_server_and_one_word() {
    let Some(jump) = Jump::to("a; touch hacked; #") else { return };
    jump.run(&[], &[]).succeeds();
    assert!(!jump.world.home().join("hacked").exists() && !jump.world.workspace().join("hacked").exists());
    for bin in ["", "sh", "-x/runspec", "a\n/runspec"] {
        jump.world.run(&["jump", &format!("--bin={bin}"), "nowhere", "--json"]).fails_as("usage", 255);
    }
    let by_variable = |name: &str, value: &str| {
        CommandOutput::of(jump.world.command(&["jump", "box", "--json"]).env(name, value).output().unwrap())
    };
    let program = jump.program.to_str().unwrap();
    by_variable("RUNSPEC_JUMP_BIN", program).succeeds();
    by_variable("RUNCODE_JUMP_BIN", program).succeeds();
    by_variable("RUNCODE_JUMP_BIN", "/bin/sh").fails_as("usage", 255);
    let said = jump.world.run(&["jump", "--bin", "/nowhere/runcode", "box", "--json"]);
    let said = said.fails_as("transport", 255).json();
    assert!(said["message"].as_str().unwrap().contains("`/nowhere/runcode` (status 127)"), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("--bin"), "{said}");
}

#[test]
fn a_host_of_the_ssh_config_needs_no_login() {
    let Some(world) = World::own_host() else { return };
    let Some(jump) = Jump::in_world(world, "pages") else { return };
    jump.run(&[], &[]).succeeds();
    jump.world.run(&["jump", "nobody-has-this", "--json"]).fails_as("not_found", 255);
}
