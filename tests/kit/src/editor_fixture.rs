//! What an editor finds: a world that is logged in and has run `config-ssh`, for programs that know nothing of runcode.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{CommandOutput, World};

pub struct EditorFixture {
    pub world: World,
    /// The host to connect to.
    pub host: String,
}

impl EditorFixture {
    pub fn at(world: World) -> EditorFixture {
        let token = world.token().to_owned();
        world.run_with(&["login", "--paste"], token.as_bytes()).succeeds();
        let report = CommandOutput::of(
            world.command(&["config-ssh", "--json"]).env_remove("RUNCODE_TOKEN").output().unwrap(),
        );
        let report = report.succeeds().json();
        assert_eq!(report["warnings"], serde_json::json!([]), "{report}");
        let host = report["hosts"][0]["host"].as_str().unwrap().to_owned();
        EditorFixture { world, host }
    }

    pub fn new() -> EditorFixture {
        EditorFixture::at(World::new())
    }

    /// One for each kind of gateway.
    pub fn each() -> Vec<EditorFixture> {
        World::each().into_iter().map(EditorFixture::at).collect()
    }

    pub fn config(&self) -> PathBuf {
        self.world.home().join(".ssh/config")
    }

    /// Another program, which has nothing of our environment but the home.
    pub fn program<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.world.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SHELL", "/bin/sh")
            .current_dir(self.world.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `ssh` with the config that was written.
    pub fn ssh<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.program("ssh", &["-F"]);
        command.arg(self.config()).args(arguments);
        command
    }

    /// As an option of the programs that take a command line for ssh.
    pub fn ssh_line(&self) -> String {
        format!("ssh -F {}", self.config().display())
    }
}
