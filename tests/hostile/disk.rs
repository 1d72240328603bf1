//! A disk that is full, or may not be written: a coded error, and what was there stays.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{assert_whole, is_root, skipped};
use crate::support::{CommandOutput, World};

/// A small file system of its own, until dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, options: &str) -> Option<Mount> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Mount(at))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap().success());
    }

    fn fill(&self) {
        let file = self.0.join("filler");
        let mut block = 4096;
        let mut filler = std::fs::File::create(file).unwrap();
        while block > 0 {
            if std::io::Write::write_all(&mut filler, &vec![0; block]).is_err() {
                block /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A world whose cache and configuration are on a small disk.
fn world_on_a_small_disk(test: &str) -> Option<(World, Mount)> {
    if !is_root() {
        skipped(test, "only root can mount");
        return None;
    }
    let world = World::new();
    let mount = Mount::new(world.home().join("disk"), "size=256k,mode=700");
    if mount.is_none() {
        skipped(test, "nothing can be mounted here");
    }
    mount.map(|mount| (world, mount))
}

fn on(world: &World, disk: &Path, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("XDG_CACHE_HOME", disk.join("cache")).env("XDG_CONFIG_HOME", disk.join("config"));
    command
}

#[test]
fn a_full_disk_keeps_the_old_session() {
    let Some((world, mount)) = world_on_a_small_disk("a full disk") else { return };
    let run = |arguments: &[&str]| CommandOutput::of(on(&world, &mount.0, arguments).output().unwrap());
    mount.fill();
    run(&["connect", "1", "--json"]).fails_as("io", 1);
    let mut login = on(&world, &mount.0, &["login", "--paste", "--json"]);
    let token = world.home().join("token");
    std::fs::write(&token, world.plane().token()).unwrap();
    login.stdin(std::fs::File::open(&token).unwrap());
    CommandOutput::of(login.output().unwrap()).fails_as("io", 1);
    mount.free();
    run(&["connect", "1", "--json"]).succeeds();
    let folder = mount.0.join("cache/runcode/ws-1");
    let files = || {
        ["id_ed25519", "config", "known_hosts", "meta.json"]
            .map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    let before = files();
    mount.fill();
    run(&["connect", "1", "--force", "--json"]).fails_as("io", 1);
    assert!(files() == before, "the old session is not as it was");
    // A warm session needs no disk.
    assert_eq!(run(&["exec", "--", "echo still"]).succeeds().text(), "still\n");
    mount.free();
    run(&["connect", "1", "--force", "--json"]).succeeds();
    assert_eq!(run(&["exec", "--", "echo again"]).succeeds().text(), "again\n");
    mount.fill();
    run(&["clean", "--all"]).succeeds();
    assert!(!folder.exists());
}

#[test]
fn a_read_only_disk_still_allows_reading() {
    let Some((world, mount)) = world_on_a_small_disk("a read-only disk") else { return };
    let run = |arguments: &[&str]| CommandOutput::of(on(&world, &mount.0, arguments).output().unwrap());
    mount.remount("ro");
    run(&["connect", "1", "--json"]).fails_as("io", 1);
    run(&["status", "--json"]).succeeds();
    mount.remount("rw");
    run(&["connect", "1", "--json"]).succeeds();
    mount.remount("ro");
    run(&["current", "--json"]).succeeds();
    run(&["connect", "1", "--force", "--json"]).fails_as("io", 1);
    run(&["disconnect", "--json"]).fails_as("io", 1);
    mount.remount("rw");
    assert_eq!(run(&["exec", "--", "echo again"]).succeeds().text(), "again\n");
    run(&["clean", "--all"]).succeeds();
}

/// Output that cannot be written is an error, not a success and not a panic.
#[test]
fn a_full_stdout_is_an_error() {
    let world = World::new().connected();
    if !Path::new("/dev/full").exists() {
        return skipped("a full stdout", "there is no /dev/full");
    }
    for arguments in [&["list"][..], &["status", "--json"], &["current"], &["--version"], &["--help"]] {
        let mut command = world.command(arguments);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let said = CommandOutput::of(command.output().unwrap());
        assert_eq!(said.status, 1, "{arguments:?} {said:?}");
    }
    assert_whole(&world);
}
