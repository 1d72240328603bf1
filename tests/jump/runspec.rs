//! runspec from PyPI in both roles: its `serve` and ours for the same environment, each called by its `jump` and by ours.
//! It is 0.76.0, or with `RUNCODE_TEST_RUNSPEC=newest` whatever PyPI has now.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{CommandOutput, World, skipped};

fn is_newest() -> bool {
    std::env::var_os("RUNCODE_TEST_RUNSPEC").is_some_and(|version| version == "newest")
}

/// The folder of a virtual environment with runspec and two packages; `None`, with a loud message, if it cannot be made.
fn environment() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let (name, wanted) =
        if is_newest() { ("runspec-newest", "runspec") } else { ("runspec-0.76.0", "runspec==0.76.0") };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Tests may be processes: one makes it, the others wait.
    let lock = std::fs::File::create(folder.with_file_name(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let ready = folder.join("ready");
    if !ready.exists() {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let python = || Command::new(folder.join("bin/python"));
        let installed = python().args(pip).args([wanted, "setuptools", "wheel"]).output();
        if made.is_err() || !installed.as_ref().is_ok_and(|output| output.status.success()) {
            assert!(!is_newest(), "{installed:?}");
            skipped("runspec cannot be installed from PyPI here");
            return None;
        }
        let tool = python().args(["-c", PACKAGES]).output().unwrap();
        assert!(tool.status.success(), "{tool:?}");
        let mut editable = python();
        editable.args(pip).args(["--no-build-isolation", "--no-deps", "-e"]).arg(folder.join("source"));
        let editable = editable.output().unwrap();
        assert!(editable.status.success(), "{editable:?}");
        std::fs::write(ready, "").unwrap();
    }
    Some(folder)
}

/// Installs a package with a tool, as pip would, and writes the source of another, which pip installs as editable.
const PACKAGES: &str = r#"
import os, sys, sysconfig
site = sysconfig.get_paths()["purelib"]
def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
write(site + "/boxtools/__init__.py", "")
write(site + "/boxtools/runspec.toml", """
[greet]
description = "Greets somebody."
[greet.args]
name = {type = "str", required = true}
count = {type = "int", default = 1, range = [1, 3]}
loud = {type = "flag"}
""")
info = site + "/boxtools-1.0.dist-info/"
write(info + "METADATA", "Metadata-Version: 2.1\nName: boxtools\nVersion: 1.0\nRequires-Dist: runspec\n")
write(info + "RECORD", "boxtools/__init__.py,,\nboxtools/runspec.toml,,\n")
tool = sys.prefix + "/bin/greet"
write(tool, '#!/bin/sh\nprintf "<%s>" "$@"\necho "to stderr" >&2\ncase "$*" in *fail*) exit 3 ;; esac\n')
os.chmod(tool, 0o755)
source = sys.prefix + "/source/"
write(source + "pyproject.toml", """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "notes"
version = "1"
dependencies = ["runspec"]
[project.scripts]
note = "notes:main"
[tool.setuptools]
packages = ["notes"]
""")
write(source + "notes/__init__.py", "import sys\ndef main():\n    print(sys.argv[1:])\n")
write(source + "notes/runspec.toml", '[note]\n[note.args]\ntext = {type = "str", required = true}\n')
write(source + ".hidden/runspec.toml", "[hidden]\n")
"#;

/// Both clients on this machine, and both servers on the host `box`, for the same environment.
struct Both {
    world: World,
    theirs: PathBuf,
    ours: PathBuf,
}

impl Both {
    fn new() -> Option<Both> {
        let folder = environment()?;
        let world = World::own_host()?;
        // The same environment, but our binary has their program's name.
        let ours = world.home().join("prod");
        std::fs::create_dir_all(ours.join("bin")).unwrap();
        for name in ["pyvenv.cfg", "lib", "bin/greet", "bin/note"] {
            symlink(folder.join(name), ours.join(name)).unwrap();
        }
        symlink(crate::support::binary(), ours.join("bin/runspec")).unwrap();
        // Their `jump` runs the first `ssh` on PATH.
        let ssh = Command::new("sh").args(["-c", "command -v ssh"]).output().unwrap();
        let ssh = String::from_utf8(ssh.stdout).unwrap();
        let path = world.home().join("path/ssh");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let config = world.home().join(".ssh/config");
        std::fs::write(&path, format!("#!/bin/sh\nexec {} -F '{}' \"$@\"\n", ssh.trim(), config.display()))
            .unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Some(Both { theirs: folder.join("bin/runspec"), ours: ours.join("bin/runspec"), world })
    }

    /// Calls the program on the host with our client.
    fn ours(&self, bin: &Path, words: &[&str]) -> CommandOutput {
        let bin = bin.to_str().unwrap();
        let mut command = self.world.command(&[&["jump", "--bin", bin, "box"], words].concat());
        CommandOutput::of(command.output().unwrap())
    }

    /// Calls the program on the host with their client.
    fn theirs(&self, bin: &Path, words: &[&str]) -> CommandOutput {
        let mut command = Command::new(&self.theirs);
        command.arg("jump").arg("--bin").arg(bin).arg("box").args(words);
        let own = std::env::var("PATH").unwrap();
        let path = format!("{}:{own}", self.world.home().join("path").display());
        command.env_clear().env("HOME", self.world.home()).env("PATH", path);
        command.current_dir(self.world.home()).stdin(std::process::Stdio::null());
        CommandOutput::of(command.output().unwrap())
    }
}

/// The name of each tool, and the name, kind and default of each of its arguments, as a client sees them.
fn listed(tools: &Value, schema: &str) -> Vec<String> {
    let tools = tools.as_array().unwrap_or_else(|| tools["tools"].as_array().unwrap());
    let mut all = tools.iter().map(|tool| {
        let properties = tool[schema]["properties"].as_object().unwrap();
        let facts = ["type", "default", "minimum", "maximum"];
        let properties = properties.iter().map(|(name, property)| {
            format!(" {name}:{}", facts.map(|fact| property[fact].to_string()).join(","))
        });
        format!("{}:{}", tool["name"].as_str().unwrap(), properties.collect::<String>())
    });
    let mut all = all.by_ref().collect::<Vec<_>>();
    all.sort();
    all
}

#[test]
fn both_servers_and_clients_agree() {
    let Some(both) = Both::new() else { return };
    let by_us = |bin: &Path| {
        let said = both.ours(bin, &["--json"]).succeeds().json();
        if !is_newest() && bin == both.theirs {
            assert_eq!(said["server"]["version"], "0.76.0");
        }
        listed(&said, "input_schema")
    };
    let by_them =
        |bin: &Path| listed(&both.theirs(bin, &["--format", "json"]).succeeds().json(), "inputSchema");
    let expected = by_us(&both.theirs);
    assert_eq!(expected.len(), 2, "{expected:?}");
    assert_eq!(by_us(&both.ours), expected);
    assert_eq!(by_them(&both.ours), expected);
    assert_eq!(by_them(&both.theirs), expected);
    for (words, expected) in [
        (
            &["greet", "--", "--name", "a b", "--count", "2", "--loud"][..],
            "<--name><a b><--count><2><--loud>",
        ),
        (&["greet", "--", "--name", "0005"], "<--name><0005>"),
        (&["greet", "--", "--name", "1e3"], "<--name><1e3>"),
        (&["greet", "--", "--name", "true"], "<--name><true>"),
        (&["greet", "--", "--name", "$(id) 'x' \"y\"\n\\"], "<--name><$(id) 'x' \"y\"\n\\>"),
        (&["note", "--", "--text", "é"], "['--text', 'é']\n"),
    ] {
        for bin in [&both.theirs, &both.ours] {
            let line = if expected.ends_with('\n') { "" } else { "\n" };
            let theirs = both.theirs(bin, words).succeeds();
            assert_eq!(theirs.text(), format!("{expected}{line}"), "{words:?} {}", bin.display());
            let ours = both.ours(bin, words).succeeds();
            // Ours adds a final newline if it cannot know what the tool wrote.
            let line = if *bin == both.ours { "" } else { line };
            assert_eq!(ours.text(), format!("{expected}{line}"), "{words:?} {}", bin.display());
        }
    }
}

#[test]
fn both_servers_and_clients_fail_alike() {
    let Some(both) = Both::new() else { return };
    let fails = ["greet", "--", "--name", "fail"];
    for bin in [&both.theirs, &both.ours] {
        let said = both.theirs(bin, &fails).ends_with(1); // its own status
        assert!(
            said.text().starts_with("exit_code: 3\n") && said.text().contains("<--name><fail>"),
            "{said:?}"
        );
        assert!(said.text().contains("to stderr"), "{said:?}");
        let said = both.ours(bin, &fails).ends_with(3);
        assert_eq!(said.text().trim_end(), "<--name><fail>");
        assert!(said.stderr.ends_with("to stderr\n"), "{said:?}");
        both.ours(bin, &["--json", "greet", "--", "--name=x", "--count=7"]).fails_as("usage", 255);
        both.theirs(bin, &["nope"]).ends_with(1);
    }
    // Their server does not check, so our client does.
    let said = both.theirs(&both.ours, &["greet", "--", "--name", "x", "--count", "7"]).ends_with(1);
    assert!(said.text().contains("count: is not between 1 and 3"), "{said:?}");
}
