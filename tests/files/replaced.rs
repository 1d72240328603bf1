//! What a file or folder has besides its content, when it is replaced: owner, group, access list, mode; and what cannot be
//! replaced at all.

use super::*;

const OTHER: u32 = 54_323;

fn real(name: &str) -> PathBuf {
    let found = ["/usr/bin", "/bin"]
        .into_iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists());
    found.unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A login that may do only what modes let it.
fn bound_login() -> Option<World> {
    if Command::new("setpriv").arg("--version").output().is_err() {
        return None;
    }
    with_login("", "setpriv --inh-caps=-all --bounding-set=-all sh")
}

#[test]
fn a_replaced_file_keeps_its_owner_and_group() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for world in World::each() {
        let world = world.connected();
        let there = world.workspace().join("d");
        fs::create_dir_all(there.join("sub")).unwrap();
        fs::create_dir_all(world.home().join("d/sub")).unwrap();
        for (name, uid, gid) in [("a", OTHER, OTHER), ("b", 0, OTHER), ("sub/c", OTHER, 0)] {
            let file = there.join(name);
            for (step, expected) in [("write", 0o600), ("put", 0o640), ("folder", 0o640)] {
                fs::write(&file, "old").unwrap();
                set_mode(&file, 0o600);
                std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
                let local = world.home().join("d").join(name);
                fs::write(&local, format!("new, by {step}")).unwrap();
                set_mode(&local, 0o640);
                let path = format!("d/{name}");
                let done = match step {
                    "write" => world.run_with(&["write", &path, "--json"], b"new, by write"),
                    "put" => world.run(&["put", &path, &path, "--json"]),
                    _ => world.run(&["put", "d", "d", "--json"]),
                };
                let report = done.succeeds().json();
                let found = fs::metadata(&file).unwrap();
                assert_eq!((found.uid(), found.gid(), mode(&file)), (uid, gid, expected), "{name} {step}");
                assert_eq!(fs::read_to_string(&file).unwrap(), format!("new, by {step}"));
                assert!(report["owner_changed"].is_null(), "{report}");
            }
        }
    }
}

/// Who may not give a file away says so.
#[test]
fn an_owner_that_cannot_be_kept_is_told() {
    let Some(world) = bound_login() else { return };
    if !rustix::process::geteuid().is_root() {
        return;
    }
    fs::create_dir(world.workspace().join("d")).unwrap();
    fs::create_dir(world.home().join("d")).unwrap();
    fs::write(world.home().join("d/f"), "new").unwrap();
    for command in [&["put", "d/f", "d/f", "--json"][..], &["put", "d", "d", "--json"]] {
        let file = world.workspace().join("d/f");
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::chown(&file, Some(OTHER), Some(OTHER)).unwrap();
        let report = world.run(command).succeeds().json();
        let named = report["owner_changed"]["named"][0].as_str().unwrap().to_owned();
        assert!(named.ends_with("f (was 54323:54323)"), "{report}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}

#[test]
fn a_replaced_file_keeps_its_access_list() {
    let world = World::new().connected();
    let there = world.workspace().join("d");
    fs::create_dir_all(&there).unwrap();
    fs::create_dir(world.home().join("d")).unwrap();
    fs::write(world.home().join("d/f"), "new").unwrap();
    for command in ["write", "put", "folder"] {
        let _ = fs::remove_file(there.join("f"));
        fs::write(there.join("f"), "old").unwrap();
        let set = Command::new("setfacl").args(["-m", "u:54323:r"]).arg(there.join("f")).status();
        if !set.is_ok_and(|set| set.success()) {
            return; // no such tool, or no such file system
        }
        match command {
            "write" => world.run_with(&["write", "d/f"], b"new"),
            "put" => world.run(&["put", "d/f", "d/f"]),
            _ => world.run(&["put", "d", "d"]),
        }
        .succeeds();
        let list = Command::new("getfacl").arg("-n").arg(there.join("f")).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        assert!(list.contains("user:54323:r--"), "{command}: {list}");
        assert_eq!(fs::read_to_string(there.join("f")).unwrap(), "new");
    }
}

/// As a file that a container has mounted: nothing can be renamed over it.
#[test]
fn a_mounted_file_is_written_in_place() {
    let Some((world, own)) = with_programs() else { return };
    let mv = real("mv");
    let busy = "echo 'mv: cannot move: Device or resource busy' >&2; exit 1";
    program(
        &own,
        "mv",
        &format!(
            "for last do :; done\nfor x do case $x in *conf) {busy} ;; esac; done\nexec {} \"$@\"",
            mv.display()
        ),
    );
    fs::create_dir_all(world.workspace().join("d")).unwrap();
    fs::create_dir(world.home().join("d")).unwrap();
    for name in ["conf", "plain"] {
        fs::write(world.home().join("d").join(name), "new").unwrap();
    }
    let file = world.workspace().join("d/conf");
    for command in [
        &["write", "d/conf", "--json", "--file", "d/conf"][..],
        &["put", "d/conf", "d/conf", "--json"],
        &["put", "d", "d", "--json"],
    ] {
        fs::write(&file, "what was there before").unwrap();
        let inode = fs::metadata(&file).unwrap().ino();
        let report = world.run(command).succeeds().json();
        assert_eq!(report["written_in_place"]["count"], 1, "{report}");
        assert_eq!(
            (fs::read_to_string(&file).unwrap(), fs::metadata(&file).unwrap().ino()),
            ("new".to_owned(), inode)
        );
    }
    assert!(world.workspace().join("d/plain").exists());
    // What cannot be written in place either gets back what it had.
    fs::write(&file, "what was there before").unwrap();
    let cat = real("cat");
    program(
        &own,
        "cat",
        &format!(
            "case $1 in *.old) ;; */.runcode-*) head -c 1 \"$1\"; echo full >&2; exit 1 ;; esac\nexec {} \"$@\"",
            cat.display()
        ),
    );
    world.run(&["put", "d/conf", "d/conf", "--json"]).fails_as("io", 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "what was there before");
    assert_eq!(litter(&world.workspace()), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_takes_no_files_is_told() {
    let Some(world) = bound_login() else { return };
    let there = world.workspace().join("d");
    fs::create_dir(&there).unwrap();
    for name in ["mine", "closed"] {
        fs::write(there.join(name), "old").unwrap();
    }
    set_mode(&there.join("closed"), 0o444);
    set_mode(&there, 0o555);
    fs::write(world.home().join("f"), "new").unwrap();
    let report = world.run(&["put", "f", "d/mine", "--json"]).succeeds().json();
    assert_eq!(report["written_in_place"]["count"], 1, "{report}");
    assert_eq!(fs::read_to_string(there.join("mine")).unwrap(), "new");
    for name in ["closed", "another"] {
        let said = world.run(&["put", "f", &format!("d/{name}"), "--json"]).fails_as("io", 1);
        assert!(said.json()["hint"].as_str().unwrap().contains("sudo mv"));
    }
    assert_eq!(fs::read_to_string(there.join("closed")).unwrap(), "old");
    set_mode(&there, 0o755);
}

#[test]
fn a_read_only_tree_can_be_put_again() {
    let Some(world) = bound_login() else { return };
    let local = world.home().join("m");
    fs::create_dir_all(local.join("sub/deep")).unwrap();
    let folders = ["sub/deep", "sub", ""];
    world.run(&["put", "m", "m"]).succeeds();
    folders.iter().for_each(|folder| set_mode(&world.workspace().join("m").join(folder), 0o555));
    for round in ["1", "22", "333"] {
        for name in ["a", "sub/b", "sub/deep/c", &format!("sub/new{round}")] {
            fs::write(local.join(name), round).unwrap();
        }
        folders.iter().for_each(|folder| set_mode(&local.join(folder), 0o555));
        world.run(&["put", "m", "m"]).succeeds();
        assert_eq!(described(&world.workspace().join("m")), described(&local), "{round}");
        folders.iter().for_each(|folder| assert_eq!(mode(&world.workspace().join("m").join(folder)), 0o555));
        folders.iter().rev().for_each(|folder| set_mode(&local.join(folder), 0o755));
    }
    folders.iter().rev().for_each(|folder| set_mode(&world.workspace().join("m").join(folder), 0o755));
}

#[test]
fn a_folder_gets_the_mode_that_it_has_here() {
    for world in World::each() {
        let world = world.connected();
        let (local, there) = (world.home().join("s"), world.workspace().join("s"));
        fs::create_dir_all(local.join("sub/deep")).unwrap();
        fs::write(local.join("sub/deep/k"), "1").unwrap();
        let all = ["", "sub", "sub/deep"];
        all.iter().for_each(|folder| set_mode(&local.join(folder), 0o755));
        world.run(&["put", "s", "s"]).succeeds();
        set_mode(&local, 0o700);
        world.run(&["put", "s", "s"]).succeeds();
        assert_eq!(all.map(|folder| mode(&there.join(folder))), [0o700, 0o755, 0o755]);
        set_mode(&local.join("sub"), 0o750);
        set_mode(&local.join("sub/deep"), 0o700);
        fs::write(local.join("sub/deep/k"), "22").unwrap();
        world.run(&["put", "s", "s"]).succeeds();
        assert_eq!(all.map(|folder| mode(&there.join(folder))), [0o700, 0o750, 0o700]);
        set_mode(&local.join("sub/deep"), 0o500);
        fs::write(local.join("sub/deep/k"), "333").unwrap();
        world.run(&["put", "s", "s"]).succeeds();
        assert_eq!(mode(&there.join("sub/deep")), 0o500);
        // A folder that is merged into is never opened to more.
        set_mode(&local, 0o755);
        world.run(&["put", "s", "s"]).succeeds();
        assert_eq!(mode(&there), 0o700);
    }
}

/// A file system of the workspace without modes and links: content arrives.
#[test]
fn put_brings_the_content_to_any_file_system() {
    let Some((world, own)) = with_programs() else { return };
    let local = world.home().join("d");
    fs::create_dir(&local).unwrap();
    fs::write(local.join("f"), "1").unwrap();
    symlink("f", local.join("l")).unwrap();
    let tar = |says: &str| {
        let says = says.replace('\n', "' '");
        program(
            &own,
            "tar",
            &format!("{} \"$@\" --exclude t/l\nprintf '%s\\n' '{says}' >&2\nexit 2", real("tar").display()),
        );
    };
    let end = "tar: Exiting with failure status due to previous errors";
    tar(&format!("tar: t/f: Cannot change mode to rw-------: Operation not permitted\n{end}"));
    let report = world.run(&["put", "d", "modes", "--json"]).succeeds().json();
    assert_eq!(report["mode_not_set"]["count"], 1, "{report}");
    tar(&format!("tar: t/l: Cannot create symlink to ‘f’: Operation not permitted\n{end}"));
    let put = world.run(&["put", "d", "links", "--json"]);
    assert_eq!((put.status, put.json()["links_not_made"]["named"][0].as_str()), (1, Some("l")));
    assert!(["modes", "links"].iter().all(|there| world.workspace().join(there).join("f").exists()));
    for says in [
        "tar: t/f: Cannot open: Input/output error",
        "tar: t/f: Cannot change mode to 0\ntar: t/g: Wrote only 0 of 1 bytes",
        end,
    ] {
        tar(says);
        world.run(&["put", "d", "none", "--json"]).fails_as("io", 1);
        assert!(!world.workspace().join("none").exists());
    }
}

/// A file system of the workspace that ignores case is made by its `mkdir`.
#[test]
fn put_refuses_names_that_would_be_one() {
    let Some((world, own)) = with_programs() else { return };
    let local = world.home().join("k");
    fs::create_dir(&local).unwrap();
    for name in ["Makefile", "makefile"] {
        fs::write(local.join(name), name).unwrap();
    }
    let mkdir = real("mkdir");
    program(
        &own,
        "mkdir",
        &format!("case $1 in */t) {0} \"${{1%t}}T\" ;; esac\nexec {0} \"$@\"", mkdir.display()),
    );
    fs::create_dir(world.workspace().join("old")).unwrap();
    for target in ["new", "old"] {
        let said = world.run(&["put", "k", target, "--json"]).fails_as("io", 1);
        let message = said.json()["message"].to_string();
        assert!(message.contains("Makefile") && message.contains("makefile"), "{message}");
    }
    assert!(!world.workspace().join("new").exists() && !world.workspace().join("old/makefile").exists());
    fs::remove_file(local.join("makefile")).unwrap();
    world.run(&["put", "k", "new"]).succeeds();
    fs::write(local.join("makefile"), "").unwrap();
    fs::remove_file(own.join("mkdir")).unwrap();
    world.run(&["put", "k", "new"]).succeeds();
    assert_eq!(fs::read_dir(world.workspace().join("new")).unwrap().count(), 2);
}

#[test]
fn a_checksum_finds_what_size_and_time_hide() {
    for world in World::each() {
        let world = world.connected();
        let local = world.home().join("u");
        fs::create_dir(&local).unwrap();
        for (content, options, unchanged) in
            [("AAAA", &[][..], 0), ("BBBB", &[], 3), ("BBBB", &["--checksum"], 1), ("BBBB", &["-c"], 3)]
        {
            for name in ["f", "g\nodd"] {
                fs::write(local.join(name), content).unwrap();
            }
            fs::write(local.join("same"), "same").unwrap();
            for name in ["f", "g\nodd", "same"] {
                fs::File::open(local.join(name))
                    .unwrap()
                    .set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
                    .unwrap();
            }
            let report = world.run(&[&["put", "u", "u", "--json"][..], options].concat()).succeeds().json();
            // A name that the workspace's tool escapes is sent whatever it holds.
            let unchanged = if options == ["-c"] { 2 } else { unchanged };
            assert_eq!(report["unchanged"], unchanged, "{content} {options:?}");
        }
        assert_eq!(fs::read_to_string(world.workspace().join("u/f")).unwrap(), "BBBB");
        assert_eq!(fs::read_to_string(world.workspace().join("u/g\nodd")).unwrap(), "BBBB");
    }
}
