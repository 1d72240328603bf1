//! Hostile planes, hostile workspaces, other users, full disks, crashes at every step. `hostile/cases.json` says which test
//! stands for which numbered case; [`cases`] checks that the list is complete and true.

mod api;
mod cases;
mod clock;
mod concurrency;
mod crash;
mod crash_files;
mod crash_points;
mod crash_state;
mod disk;
mod folders;
mod gateway;
mod login;
mod names;
mod neighbours;
mod secrets;
mod users;
mod wiped;
mod words;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::World;

/// Says loudly that a test cannot be done on this machine.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {why}");
}

/// The absolute path of a program on PATH.
fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `wrapper` with the words of `command` after its own, in the same environment and folder.
fn wrapped(mut wrapper: Command, command: &Command) -> Command {
    wrapper.arg(command.get_program()).args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapper.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    wrapper
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    wrapper
}

/// `command` run through `sh -c script`, with `"$@"` standing for it.
fn in_shell(script: &str, command: &Command) -> Command {
    let mut sh = Command::new("sh");
    sh.args(["-c", script, "sh"]);
    wrapped(sh, command)
}

/// Asserts that the session of `box` is whole: what `meta.json` names is there and is what it says, the key pair fits,
/// nothing half done lies around; and that both runcode and plain ssh work with it.
#[track_caller]
fn assert_whole(world: &World) {
    use sha2::Digest as _;
    let folder = world.cache("ws-1");
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap()).unwrap();
    for (name, digest) in meta["files"].as_object().unwrap() {
        let content = std::fs::read(folder.join(name)).unwrap();
        let found =
            sha2::Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(found, digest.as_str().unwrap(), "{name}");
    }
    let private =
        ssh_key::PrivateKey::from_openssh(std::fs::read(folder.join("id_ed25519")).unwrap()).unwrap();
    let public = std::fs::read_to_string(folder.join("id_ed25519.pub")).unwrap();
    assert_eq!(private.public_key().to_openssh().unwrap().trim(), public.trim());
    let left = names(&folder).into_iter().filter(|name| name == "pending" || name.starts_with(".stage-"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}

/// The names in a folder, sorted; none when it is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>();
    names.sort();
    names
}
