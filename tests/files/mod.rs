//! `write`, `put` and `get`: every name and byte survives, over the embedded gateway and a real sshd; what fails leaves
//! what was there.

mod bytes;
mod cuts;
mod edits;
mod faults;
mod folders;
mod git;
mod hostile;
mod large;
mod links;
mod missing;
mod parts;
mod planted;
mod replaced;
mod silence;
mod swapped;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use crate::support::{CommandOutput, World, is_running, silent, until};

/// Bytes without a pattern, the same each time.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

pub(super) fn odd_names() -> Vec<OsString> {
    let text = [
        "plain",
        "two  words",
        "it's",
        "\"quoted\"",
        "$(touch x)",
        "`x`",
        "-n",
        "--",
        "a\nb",
        "tab\t",
        "back\\slash\\n",
        "*?[a]",
        "!h",
        "%s",
        "~",
        "é世🦀",
        " lead",
        "trail ",
        "a\r",
        "&;|<>#",
        "{a,b}",
        "=",
        "\\0101",
    ];
    let mut names = text.map(OsString::from).to_vec();
    names.push(OsString::from_vec(b"caf\xe9 \xff\x01".to_vec()));
    names
}

pub(super) fn litter(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_name().as_bytes().starts_with(b".runcode-") {
                found.push(entry.path());
            } else if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

/// A world over a real sshd whose login shell is `shell`, which prints before it does anything. Its home is the workspace.
pub(super) fn with_login(setup: &str, shell: &str) -> Option<World> {
    let world = World::real()?.connected();
    let keys = world.home().join("sshd/keys");
    let home = world.home().display();
    let line = format!(
        "command=\"printf 'noise without end'; echo err >&2; export HOME='{home}'; cd; {setup} exec {shell} -c \\\"$SSH_ORIGINAL_COMMAND\\\"\" "
    );
    let old = fs::read_to_string(&keys).unwrap();
    let forced = |key: &str| match key.strip_prefix("cert-authority ") {
        Some(authority) => format!("cert-authority,{line}{authority}\n"),
        None => format!("{line}{key}\n"),
    };
    fs::write(&keys, old.lines().map(forced).collect::<String>()).unwrap();
    kill_master(&world);
    Some(world)
}

/// Such a world whose workspace has programs of its own, which come before the system's: the folder they go into.
pub(super) fn with_programs() -> Option<(World, PathBuf)> {
    let world = with_login("PATH=$PWD/own:$PATH; export PATH;", "sh")?;
    let own = world.home().join("own");
    fs::create_dir(&own).unwrap();
    Some((world, own))
}

/// Puts a shell script there.
pub(super) fn program(folder: &Path, name: &str, script: &str) {
    fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn master(world: &World) -> i32 {
    fs::read_to_string(world.cache("ws-1/master.pid")).unwrap().trim().parse().unwrap()
}

pub(super) fn kill_master(world: &World) {
    signal(master(world), "KILL");
}

pub(super) fn signal(pid: i32, name: &str) {
    let said = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(said.success());
}

pub(super) fn round_trip(world: &World, names: &[OsString], content: &[u8]) {
    let local = world.home().join("local");
    let back = world.home().join("back");
    for folder in [&local, &back] {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir(folder).unwrap();
    }
    let _ = fs::remove_dir_all(world.workspace().join("sub dir"));
    for name in names {
        fs::write(local.join(name), content).unwrap();
        let remote = [OsStr::new("./sub dir/"), name].iter().copied().collect::<OsString>();
        let put =
            [OsStr::new("put"), OsStr::new("--"), local.join(name).as_os_str(), &remote].map(OsStr::to_owned);
        world.run(&put).succeeds();
        assert!(fs::read(world.workspace().join("sub dir").join(name)).unwrap() == content, "{name:?}");
        let mut get =
            vec!["get".into(), "--out".into(), back.join(name).into_os_string(), "--".into(), remote.clone()];
        world.run(&get).succeeds();
        assert!(fs::read(back.join(name)).unwrap() == content, "{name:?}");
        get.drain(1..4);
        assert!(world.run(&["get".into(), "--".into(), remote]).succeeds().stdout == content, "{name:?}");
    }
    assert_eq!(fs::read_dir(world.workspace().join("sub dir")).unwrap().count(), names.len());
    assert_eq!((litter(world.home()), fs::read_dir(&back).unwrap().count()), (Vec::new(), names.len()));
}

pub(super) fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("deep/er/empty")).unwrap();
    for name in odd_names() {
        fs::write(root.join("deep").join(&name), name.as_bytes()).unwrap();
    }
    let long = "long-".repeat(40);
    fs::create_dir(root.join(&long)).unwrap();
    fs::write(root.join(&long).join(&long), noise(70_000)).unwrap();
    fs::write(root.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::File::open(root.join("run.sh"))
        .unwrap()
        .set_modified(UNIX_EPOCH + Duration::from_secs(1_234_567_890))
        .unwrap();
    symlink("run.sh", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
}

/// Everything below a folder: name, type, mode, time in seconds where a file has it, content.
pub(super) fn described(root: &Path) -> Vec<(PathBuf, u32, i64, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, metadata) = (entry.path(), fs::symlink_metadata(entry.path()).unwrap());
            let name = path.strip_prefix(root).unwrap().to_owned();
            if metadata.is_dir() {
                found.push((name, metadata.mode(), 0, Vec::new()));
                folders.push(path);
            } else if metadata.is_symlink() {
                found.push((name, 0, 0, fs::read_link(path).unwrap().into_os_string().into_vec()));
            } else {
                found.push((name, metadata.mode(), metadata.mtime(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

pub(super) fn tree_round_trip(world: &World) {
    let (local, remote, back) =
        (world.home().join("tree"), world.workspace().join("up/tree"), world.home().join("down"));
    for folder in [&local, &remote, &back] {
        let _ = fs::remove_dir_all(folder);
    }
    make_tree(&local);
    let files = odd_names().len() as u64 + 4;
    let put = || world.run(&["put", "tree", "up/tree", "--json"]).succeeds().json();
    let first = put();
    assert_eq!((first["files"].as_u64(), first["unchanged"].as_u64()), (Some(files), Some(0)), "{first}");
    assert_eq!(described(&remote), described(&local));
    let again = put();
    // busybox tells neither where links lead nor names of several lines
    assert!(again["files"].as_u64().unwrap() <= 3 && again["bytes"].as_u64().unwrap() <= 3, "{again}");
    fs::write(local.join("deep/it's"), "changed").unwrap();
    fs::create_dir(local.join("new")).unwrap();
    fs::write(local.join("new/file"), "new").unwrap();
    fs::remove_file(local.join("link")).unwrap();
    symlink("dangling", local.join("link")).unwrap();
    let changed = put();
    assert!((3..=5).contains(&changed["files"].as_u64().unwrap()), "{changed}");
    assert_eq!(described(&remote), described(&local));
    for _ in 0..2 {
        let got = world.run(&["get", "up/tree", "--out", "down", "--links", "--json"]).succeeds().json();
        assert_eq!(got["files"].as_u64(), Some(files + 1));
        assert_eq!(described(&back), described(&local));
    }
    assert_eq!(litter(world.home()), Vec::<PathBuf>::new());
}
