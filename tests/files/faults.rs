//! What fails, and what dies in the middle.

use super::*;

#[test]
fn file_failures_have_codes_and_change_nothing() {
    for world in World::each() {
        let world = world.connected();
        let inside = world.workspace();
        fs::create_dir(inside.join("dir")).unwrap();
        fs::write(inside.join("file"), "old").unwrap();
        fs::write(world.home().join("a"), "new").unwrap();
        fs::create_dir_all(world.home().join("tree/file")).unwrap();
        assert!(Command::new("mkfifo").arg(inside.join("pipe")).status().unwrap().success());
        world.run(&["get", "missing", "--json"]).fails_as("not_found", 2);
        world.run(&["get", "missing", "--out", "m", "--json"]).fails_as("not_found", 2);
        world.run(&["get", "dir", "--json"]).fails_as("io", 1);
        world.run(&["get", "pipe", "--out", "m", "--json"]).fails_as("io", 1);
        world.run(&["put", "missing", "x", "--json"]).fails_as("io", 1);
        for path in ["dir", "file/below", "pipe", "/proc/nothing/x"] {
            world.run(&["write", path, "--file", "a", "--json"]).fails_as("io", 1);
        }
        fs::create_dir(inside.join("dir/a")).unwrap();
        world.run(&["put", "a", "dir", "--json"]).fails_as("io", 1);
        fs::remove_dir(inside.join("dir/a")).unwrap();
        world.run(&["put", "tree", "file", "--json"]).fails_as("io", 1);
        world.run(&["put", "tree", ".", "--json"]).succeeds();
        fs::create_dir_all(inside.join("other/x")).unwrap();
        fs::create_dir(world.home().join("other")).unwrap();
        fs::write(world.home().join("other/x"), "a file").unwrap();
        fs::write(world.home().join("other/a"), "a file").unwrap();
        world.run(&["put", "other", "other", "--json"]).fails_as("io", 1);
        assert!(!inside.join("other/a").exists(), "nothing of a tree that cannot be put is there");
        fs::write(world.home().join("clash"), "mine").unwrap();
        world.run(&["get", "dir", "--out", "clash", "--json"]).fails_as("io", 1);
        assert_eq!(fs::read(world.home().join("clash")).unwrap(), b"mine");
        assert!(!world.home().join("m").exists());
        assert_eq!(fs::read(inside.join("file")).unwrap(), b"old");
        assert_eq!(litter(world.home()), Vec::<PathBuf>::new());
    }
}

/// A writing client that has sent a part and waits for more.
fn half_sent(world: &World) -> (Child, std::process::ChildStdin) {
    fs::write(world.workspace().join("victim"), "old").unwrap();
    let mut child = world.command(&["write", "victim", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(1_000_000)).unwrap();
    until("a part has arrived", || {
        litter(&world.workspace()).first().is_some_and(|folder| {
            let part = folder.join(folder.file_name().unwrap());
            fs::metadata(part).is_ok_and(|found| found.len() > 500_000)
        })
    });
    (child, stdin)
}

fn nothing_happened(world: &World) {
    until("the part is removed", || litter(world.home()).is_empty());
    assert_eq!(fs::read(world.workspace().join("victim")).unwrap(), b"old");
}

#[test]
fn a_killed_transfer_leaves_the_old_file() {
    for world in World::each() {
        let world = world.connected();
        let (mut child, stdin) = half_sent(&world);
        child.kill().unwrap();
        child.wait().unwrap();
        drop(stdin);
        nothing_happened(&world);

        let (child, stdin) = half_sent(&world);
        kill_master(&world);
        CommandOutput::of(child.wait_with_output().unwrap()).fails_as("transport", 1);
        drop(stdin);
        nothing_happened(&world);

        let (child, stdin) = half_sent(&world);
        signal(child.id().cast_signed(), "INT");
        CommandOutput::of(child.wait_with_output().unwrap()).fails_as("interrupted", 130);
        drop(stdin);
        nothing_happened(&world);

        let (child, stdin) = half_sent(&world);
        drop(stdin); // the end of the input is the end of the content
        CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
        assert_eq!(fs::metadata(world.workspace().join("victim")).unwrap().len(), 1_000_000);
    }
}

#[test]
fn an_interrupted_get_leaves_the_old_file() {
    for world in World::each() {
        let world = world.connected();
        fs::write(world.workspace().join("big"), noise(40_000_000)).unwrap();
        fs::write(world.home().join("victim"), "old").unwrap();
        for how in ["INT", "TERM", "HUP"] {
            let child = world.command(&["get", "big", "--out", "victim"]).spawn().unwrap();
            until("a part has arrived", || !litter(world.home()).is_empty());
            signal(master(&world), "STOP"); // so that it cannot be over before the signal comes
            signal(child.id().cast_signed(), how);
            signal(master(&world), "CONT");
            let said = CommandOutput::of(child.wait_with_output().unwrap());
            if said.status != 0 {
                assert_eq!(
                    (said.status, fs::read(world.home().join("victim")).unwrap()),
                    (130, b"old".to_vec()),
                    "{how}: {}",
                    said.stderr
                );
            }
            fs::write(world.home().join("victim"), "old").unwrap();
            until("the part is removed", || litter(world.home()).is_empty());
        }
    }
}

/// A small file system; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Small> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(at).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Small(at.to_owned()));
        }
        eprintln!("SKIPPED: no file system can be mounted here (root can)");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_changes_nothing_on_either_side() {
    for world in World::each() {
        let world = world.connected();
        let (Some(there), Some(here)) =
            (Small::mount(&world.workspace().join("small")), Small::mount(&world.home().join("here")))
        else {
            return;
        };
        for folder in [&there, &here] {
            fs::write(folder.0.join("victim"), "old").unwrap();
        }
        fs::write(world.home().join("big"), noise(3_000_000)).unwrap();
        fs::write(world.workspace().join("big"), noise(3_000_000)).unwrap();
        fs::create_dir(world.home().join("tree")).unwrap();
        fs::copy(world.home().join("big"), world.home().join("tree/victim")).unwrap();
        for arguments in
            [["put", "big", "small/victim"], ["put", "tree", "small"], ["put", "tree", "small/new"]]
        {
            let said = world.run(&[&arguments[..], &["--json"]].concat()).fails_as("io", 1).json();
            assert!(said["message"].as_str().unwrap().contains("No space left"), "{said}");
        }
        world.run(&["get", "big", "--out", "here/victim", "--json"]).fails_as("io", 1);
        world.run(&["get", ".", "--out", "here/all", "--json"]).fails_as("io", 1);
        for folder in [&there, &here] {
            assert_eq!(fs::read(folder.0.join("victim")).unwrap(), b"old");
            assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        }
    }
}

#[test]
fn a_target_turned_folder_is_not_entered() {
    for world in World::each() {
        let world = world.connected();
        let (child, stdin) = half_sent(&world);
        let victim = world.workspace().join("victim");
        fs::remove_file(&victim).unwrap();
        fs::create_dir(&victim).unwrap();
        drop(stdin);
        CommandOutput::of(child.wait_with_output().unwrap()).fails_as("io", 1);
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
        until("the part is removed", || litter(world.home()).is_empty());
    }
}

#[test]
fn same_named_sources_are_refused_by_get() {
    let world = World::new().connected();
    for folder in ["d1", "d2"] {
        fs::create_dir(world.workspace().join(folder)).unwrap();
        fs::write(world.workspace().join(folder).join("x"), folder).unwrap();
    }
    world.run(&["get", "d1/x", "d2/x", "--out", "o/", "--json"]).fails_as("usage", 2);
    assert!(!world.home().join("o").exists());
    let got = world.run(&["get", "d1/x", "d2", "--out", "o", "--json"]).succeeds().json();
    assert_eq!((got["to"].as_str(), got["files"].as_u64()), (Some("o"), Some(2)), "{got}");
}

/// A device, a pipe, or a link to one keeps its place.
#[test]
fn devices_and_pipes_are_never_replaced() {
    let world = World::new().connected();
    fs::write(world.workspace().join("f"), "content").unwrap();
    let (pipe, link) = (world.home().join("pipe"), world.home().join("link"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("/dev/null", &link).unwrap();
    for target in [&pipe, &link] {
        let said =
            world.run(&["get", "f", "--out", target.to_str().unwrap(), "--json"]).fails_as("io", 1).json();
        assert!(said["message"].as_str().unwrap().contains("neither a file nor a folder"), "{said}");
    }
    assert!(
        !fs::metadata(&pipe).unwrap().is_file() && fs::read_link(&link).unwrap() == Path::new("/dev/null")
    );
}
