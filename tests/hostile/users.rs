//! A second user on this machine, who owns what runcode would use. As root, with user ids that nobody has.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{is_root, program, skipped, wrapped};
use crate::support::{CommandOutput, World};

/// `nobody`, since ssh wants a user that has a name; and one that nobody is.
const VICTIM: u32 = 65_534;
const ATTACKER: u32 = 54_321;

fn can(test: &str) -> bool {
    let can = is_root() && program("setpriv").is_some();
    if !can {
        skipped(test, "it takes root and setpriv to be two users");
    }
    can
}

/// `command` as the user `uid`, whose home is `home`.
fn as_user(uid: u32, home: &Path, command: &Command) -> CommandOutput {
    let mut setpriv = Command::new("setpriv");
    setpriv.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).args(["--clear-groups", "--"]);
    let mut command = wrapped(setpriv, command);
    command.env("HOME", home).current_dir("/");
    CommandOutput::of(command.output().unwrap())
}

/// A home for the user `uid` that others can reach, and the binary where that user can run it.
fn home_of(world: &World, uid: u32) -> PathBuf {
    std::fs::set_permissions(world.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = world.home().join(format!("home-{uid}"));
    std::fs::create_dir(&home).unwrap();
    chown(&home, Some(uid), Some(uid)).unwrap();
    home
}

fn own(path: &Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
    if std::fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap().flatten() {
            own(&entry.path(), uid);
        }
    }
}

/// The attacker has made the cache folder, with a session in it whose config runs a command of theirs.
#[test]
fn sessions_planted_by_others_are_never_used() {
    if !can("a planted session") {
        return;
    }
    let world = World::new().connected();
    let mark = world.home().join("mark");
    let config = world.cache("ws-1/config");
    let text = std::fs::read_to_string(&config).unwrap();
    let evil = text
        .replace("ProxyCommand none", &format!("ProxyCommand touch {}", mark.display()))
        .replace("    Control", "    #");
    assert_ne!(text, evil);
    let _ = Command::new("ssh").arg("-F").arg(&config).args(["-O", "exit", "runcode-box"]).output();
    std::fs::write(&config, evil).unwrap();
    own(&world.cache(""), ATTACKER);
    for arguments in [
        &["exec", "--json", "--", "true"][..],
        &["run", "1", "--json", "--", "true"],
        &["shell", "1", "--json"],
    ] {
        world.run(arguments).fails_as("io", 255);
    }
    for arguments in [
        &["connect", "1", "--json"][..],
        &["status", "--json"],
        &["current", "--json"],
        &["clean", "--all", "--json"],
        &["disconnect", "--json"],
    ] {
        world.run(arguments).fails_as("io", 1);
    }
    // The same one level down: the cache is ours, the session folder is not.
    std::os::unix::fs::chown(world.cache(""), Some(0), Some(0)).unwrap();
    own(&world.cache("attachments"), 0);
    world.run(&["exec", "--json", "--", "true"]).fails_as("io", 255);
    assert!(!mark.exists(), "the planted command ran");
    own(&world.cache(""), 0);
}

#[test]
fn another_users_config_gives_no_token() {
    if !can("a planted token") {
        return;
    }
    let world = World::new();
    let config = world.home().join(".config/runcode");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("token"), "of-the-attacker").unwrap();
    own(&config, ATTACKER);
    let mut command = world.command(&["list", "--json"]);
    command.env_remove("RUNCODE_TOKEN");
    CommandOutput::of(command.output().unwrap()).fails_as("io", 1);
    world.run_with(&["login", "--paste", "--json"], world.plane().token().as_bytes()).fails_as("io", 1);
    assert_eq!(std::fs::read(config.join("token")).unwrap(), b"of-the-attacker");
}

/// A long home needs the short folder for the socket; whoever made that first does not get to hold the socket.
#[test]
fn another_users_socket_folder_is_refused() {
    if !can("a planted socket folder") {
        return;
    }
    let world = World::new();
    let home = home_of(&world, VICTIM).join("long".repeat(25));
    std::fs::create_dir(&home).unwrap();
    own(&home, VICTIM);
    let short = PathBuf::from(format!("/tmp/runcode-{VICTIM}"));
    let _ = std::fs::remove_dir_all(&short);
    std::fs::create_dir(&short).unwrap();
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o777)).unwrap();
    own(&short, ATTACKER);
    let said = as_user(VICTIM, &home, &world.command(&["connect", "1", "--json"]));
    let refused = said.fails_as("io", 1);
    assert!(refused.json()["message"].as_str().unwrap().contains("another user"), "{refused:?}");
    // With a folder of the session manager's that is somebody else's, it is as if there were none.
    std::fs::remove_dir_all(&short).unwrap();
    let runtime = world.home().join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o777)).unwrap();
    own(&runtime, ATTACKER);
    let mut command = world.command(&["run", "1", "--", "echo hi"]);
    command.env("XDG_RUNTIME_DIR", &runtime);
    assert_eq!(as_user(VICTIM, &home, &command).succeeds().text(), "hi\n");
    assert_eq!(std::fs::read_dir(&runtime).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(&short).unwrap().count(), 1);
    // The folder is taken over while the session lives: the next connection is not made through it.
    as_user(VICTIM, &home, &world.command(&["connect", "1", "--force"])).succeeds();
    let stolen = PathBuf::from(format!("{}-stolen", short.display()));
    let _ = std::fs::remove_dir_all(&stolen);
    std::fs::rename(&short, &stolen).unwrap();
    std::fs::create_dir(&short).unwrap();
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o777)).unwrap();
    own(&short, ATTACKER);
    let said = as_user(VICTIM, &home, &world.command(&["exec", "--json", "--", "true"]));
    std::fs::remove_dir_all(&short).unwrap();
    std::fs::rename(&stolen, &short).unwrap();
    assert_eq!(said.status, 255, "{said:?}");
    as_user(VICTIM, &home, &world.command(&["clean", "--all"])).succeeds();
    let _ = std::fs::remove_dir_all(&short);
}

/// A user who is not root, on a machine where nothing is special: folders that may not be written are coded errors.
#[test]
fn unwritable_folders_are_coded_errors() {
    if !can("folders that may not be written") {
        return;
    }
    let world = World::new();
    let home = home_of(&world, VICTIM);
    as_user(VICTIM, &home, &world.command(&["run", "1", "--", "true"])).succeeds();
    as_user(VICTIM, &home, &world.command(&["clean", "--all"])).succeeds();
    let closed = world.home().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    for home in [closed.as_path(), Path::new("/proc"), Path::new("/dev/null"), Path::new("/nonexistent")] {
        as_user(VICTIM, home, &world.command(&["connect", "1", "--json"])).fails_as("io", 1);
        // What leads through /proc is another folder for every process.
        let said = as_user(VICTIM, home, &world.command(&["current", "--json"]));
        assert_eq!(said.status, i32::from(home.starts_with("/proc")), "{said:?}");
    }
    let locked = home.join(".cache/runcode");
    std::fs::create_dir_all(&locked).unwrap();
    own(&home.join(".cache"), VICTIM);
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    as_user(VICTIM, &home, &world.command(&["connect", "1", "--json"])).fails_as("io", 1);
}

/// Nobody else reads a session's files or a token.
#[test]
fn other_users_can_read_none_of_our_files() {
    if !can("another user who reads") {
        return;
    }
    let world = World::new().connected();
    world.run_with(&["login", "--paste"], world.plane().token().as_bytes()).succeeds();
    std::fs::set_permissions(world.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["ws-1/id_ed25519", "ws-1/meta.json", "ws-1/config", "ws-1", "attachments"]
        .map(|name| world.cache(name))
        .iter()
        .chain([&world.attachment(), &world.home().join(".config/runcode/token")])
    {
        let mut cat = Command::new("cat");
        cat.arg(path).env("PATH", std::env::var_os("PATH").unwrap());
        let said = as_user(ATTACKER, world.home(), &cat);
        assert!(said.status != 0 && said.stdout.is_empty(), "{}", path.display());
    }
}

/// A folder that another user has made where everybody may: neither `get` nor `put` merges into it, on the way down either.
#[test]
fn a_folder_of_others_is_never_merged_into() {
    if !can("a merge into a folder of others") {
        return;
    }
    let world = World::new().connected();
    let (here, there) = (world.home().join("here"), world.workspace().to_owned());
    for (shared, source) in
        [(here.join("shared"), there.join("source")), (there.join("shared"), here.join("source"))]
    {
        for folder in [shared.join("mine/theirs"), shared.join("theirs"), source.join("mine/theirs")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::create_dir_all(source.join("theirs")).unwrap();
        std::fs::write(source.join("theirs/secret"), "x").unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
    }
    let get = || {
        world.command(&["get", "source/.", "--out", "shared", "--json"]).current_dir(&here).output().unwrap()
    };
    let put = || world.command(&["put", "source/.", "shared", "--json"]).current_dir(&here).output().unwrap();
    for (what, shared, transfer) in
        [("get", here.join("shared"), &get as &dyn Fn() -> _), ("put", there.join("shared"), &put)]
    {
        own(&shared.join("theirs"), ATTACKER);
        CommandOutput::of(transfer()).fails_as("conflict", 2);
        assert!(!shared.join("theirs/secret").exists(), "{what}");
        own(&shared.join("theirs"), 0);
        CommandOutput::of(transfer()).succeeds();
        assert!(shared.join("theirs/secret").exists(), "{what}");
    }
}
