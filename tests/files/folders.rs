//! Folders, several things at once, what is left out, what is kept.

use super::*;

#[test]
fn only_changed_files_travel_both_ways() {
    for world in World::each() {
        tree_round_trip(&world.connected());
    }
}

#[test]
fn several_sources_go_into_a_folder() {
    for world in World::each() {
        let world = world.connected();
        make_tree(&world.home().join("tree"));
        fs::write(world.home().join("a"), "a").unwrap();
        fs::write(world.home().join("-b"), "b").unwrap();
        for _ in 0..2 {
            world.run(&["put", "--", "a", "-b", "tree", "many"]).succeeds();
        }
        assert_eq!(described(&world.workspace().join("many/tree")), described(&world.home().join("tree")));
        assert_eq!(fs::read(world.workspace().join("many/-b")).unwrap(), b"b");
        world.run(&["put", "a", "into/"]).succeeds();
        world.run(&["put", "tree", "into/"]).succeeds();
        assert_eq!(fs::read(world.workspace().join("into/a")).unwrap(), b"a");
        assert_eq!(described(&world.workspace().join("into/tree")), described(&world.home().join("tree")));
        world.run(&["get", "many/a", "many/tree", "--out", "got", "--links"]).succeeds();
        assert_eq!(fs::read(world.home().join("got/a")).unwrap(), b"a");
        assert_eq!(described(&world.home().join("got/tree")), described(&world.home().join("tree")));
        world.run(&["get", "a", "b", "--json"]).fails_as("usage", 2);
        world.run(&["put", "a", "tree", "a", "x/", "--json"]).fails_as("usage", 2);
    }
}

/// `DIR/.` is what is in the folder, as for `cp` and for `get`.
#[test]
fn a_source_that_ends_in_a_dot_is_its_content() {
    let world = World::new().connected();
    fs::create_dir(world.home().join("d")).unwrap();
    fs::write(world.home().join("d/f"), "1").unwrap();
    for (source, target) in [("d/.", "a/"), ("./d/.", "a/b/"), ("d/./.", "c/"), ("d/.", "e")] {
        world.run(&["put", source, target]).succeeds();
        assert!(world.workspace().join(target).join("f").is_file(), "{source} {target}");
    }
    for (source, target) in [("d", "f/"), ("d/", "g/")] {
        world.run(&["put", source, target]).succeeds();
        assert!(world.workspace().join(target).join("d/f").is_file(), "{source} {target}");
    }
}

/// What the login on the workspace has set for its own use of `tar` changes no transfer.
#[test]
fn options_of_the_logins_tar_change_nothing() {
    let options = "--exclude-vcs --exclude=a --strip-components=1";
    let Some(world) = with_login(&format!("TAR_OPTIONS='{options}'; export TAR_OPTIONS;"), "sh") else {
        return;
    };
    let tree = world.home().join("tree");
    fs::create_dir_all(tree.join(".git")).unwrap();
    fs::write(tree.join(".git/HEAD"), "1").unwrap();
    fs::write(tree.join("a"), "2").unwrap();
    world.run(&["put", "tree", "there"]).succeeds();
    world.run(&["get", "there", "--out", "back"]).succeeds();
    for copy in [world.workspace().join("there"), world.home().join("back")] {
        assert_eq!(described(&copy), described(&tree));
    }
}

/// Of the same length and second as what was sent, and yet another.
#[test]
fn a_file_changed_right_after_put_is_resent() {
    for world in World::each() {
        let world = world.connected();
        let local = world.home().join("d");
        fs::create_dir(&local).unwrap();
        for content in ["1", "2", "3", "4"] {
            fs::write(local.join("v"), content).unwrap();
            world.run(&["put", "d", "d"]).succeeds();
            assert_eq!(fs::read_to_string(world.workspace().join("d/v")).unwrap(), content);
        }
        assert_eq!(world.run(&["put", "d", "d", "--json"]).succeeds().json()["unchanged"], 1);
    }
}

/// Each of them is a whole put: one makes the folder, the others merge theirs into it.
#[test]
fn concurrent_puts_to_a_new_folder_arrive() {
    let world = World::new().connected();
    for source in ["a", "b", "c"] {
        for number in 0..30 {
            let file = world.home().join(format!("{source}/s/{source}{number}"));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
    }
    for round in 0..6 {
        let target = format!("n{round}");
        let puts = ["a", "b", "c"].map(|source| world.command(&["put", source, &target]).spawn().unwrap());
        for put in puts {
            CommandOutput::of(put.wait_with_output().unwrap()).succeeds();
        }
        let found = described(&world.workspace().join(&target));
        assert_eq!(
            found.iter().filter(|found| found.0.starts_with("s") && found.0 != Path::new("s")).count(),
            90
        );
        assert!(found.iter().all(|found| found.0.starts_with("s")), "{found:?}");
    }
}

#[test]
fn single_files_keep_mode_and_time() {
    for world in World::each() {
        let world = world.connected();
        let (local, remote) = (world.home().join("f"), world.workspace().join("f"));
        for mode in [0o644, 0o600, 0o755, 0o400] {
            let _ = fs::remove_file(&local);
            fs::write(&local, "x").unwrap();
            fs::File::open(&local)
                .unwrap()
                .set_modified(UNIX_EPOCH + Duration::new(1_111_111_111, 123_000_000))
                .unwrap();
            fs::set_permissions(&local, fs::Permissions::from_mode(mode)).unwrap();
            world.run(&["put", "f", "f"]).succeeds();
            world.run(&["get", "f", "--out", "g"]).succeeds();
            for copy in [&remote, &world.home().join("g")] {
                let metadata = fs::metadata(copy).unwrap();
                assert_eq!(
                    (metadata.mode() & 0o7777, metadata.mtime(), metadata.mtime_nsec()),
                    (mode, 1_111_111_111, 123_000_000)
                );
            }
        }
        fs::set_permissions(&remote, fs::Permissions::from_mode(0o751)).unwrap();
        world.run_with(&["write", "f"], b"rewritten").succeeds();
        assert_eq!(
            (fs::read(&remote).unwrap(), fs::metadata(&remote).unwrap().mode() & 0o7777),
            (b"rewritten".to_vec(), 0o751)
        );
        symlink("f", world.workspace().join("l")).unwrap();
        world.run_with(&["write", "l"], b"through").succeeds();
        assert_eq!(fs::read(&remote).unwrap(), b"through");
        assert!(fs::symlink_metadata(world.workspace().join("l")).unwrap().is_symlink());
        let mut secret = world.command(&["get", "f", "--out", "h/i"]);
        assert!(secret.status().unwrap().success());
        assert_eq!(fs::read(world.home().join("h/i")).unwrap(), b"through");
        world.run(&["get", "/proc/version"]).succeeds();
    }
}

#[test]
fn a_file_goes_into_an_existing_folder() {
    for world in World::each() {
        let world = world.connected();
        fs::create_dir(world.workspace().join("my dir")).unwrap();
        symlink("my dir", world.workspace().join("link")).unwrap();
        for (name, size) in [("a b", 5), ("-\n\u{e9}", 5), ("big", 50_000)] {
            fs::write(world.home().join(name), noise(size)).unwrap();
            for folder in ["my dir", "link"] {
                let put = world.run(&["put", "--json", "--", name, folder]).succeeds().json();
                assert!(put["to"].as_str().unwrap().contains(&format!("/{folder}/")), "{put}");
                let there = world.workspace().join("my dir").join(name);
                assert!(fs::read(&there).unwrap() == noise(size));
                fs::remove_file(there).unwrap();
            }
        }
        // `write` names the file itself.
        world.run(&["write", "my dir", "--file", "a b", "--json"]).fails_as("io", 1);
        assert_eq!(fs::read_dir(world.workspace().join("my dir")).unwrap().count(), 0);
    }
}

#[test]
fn links_travel_as_links_and_only_once() {
    for world in World::each() {
        let world = world.connected();
        let root = world.home().join("tree");
        fs::create_dir_all(root.join("folder")).unwrap();
        let far = format!("/{}/", "far/".repeat(40));
        let away = world.home().display().to_string();
        for (name, target) in
            [("a", "folder"), ("b", "folder/"), ("c", ".//folder/./"), ("d", "/"), ("e", &far), ("f", &away)]
        {
            symlink(target, root.join(name)).unwrap();
        }
        for expected in [(6, 0), (0, 6), (0, 6)] {
            let put = world.run(&["put", "tree", "tree", "--json"]).succeeds().json();
            assert_eq!(
                (put["files"].as_u64(), put["unchanged"].as_u64()),
                (Some(expected.0), Some(expected.1))
            );
            assert_eq!(described(&world.workspace().join("tree")), described(&root));
        }
        // A link of ours takes the place of another one, also where both lead to folders.
        fs::remove_file(root.join("f")).unwrap();
        symlink("/", root.join("f")).unwrap();
        world.run(&["put", "tree", "tree"]).succeeds();
        world.run(&["get", "tree", "--out", "back", "--links"]).succeeds();
        for copy in [world.workspace().join("tree"), world.home().join("back")] {
            assert_eq!(described(&copy), described(&root));
        }
    }
}

#[test]
fn a_linked_source_folder_is_followed() {
    let world = World::new().connected();
    make_tree(&world.home().join("tree"));
    symlink(world.home().join("tree"), world.home().join("link")).unwrap();
    world.run(&["put", "link", "there"]).succeeds();
    let again = world.run(&["put", "link", "there", "--json"]).succeeds().json();
    assert_eq!((again["files"].as_u64(), again["bytes"].as_u64()), (Some(0), Some(0)), "{again}");
    assert_eq!(described(&world.workspace().join("there")), described(&world.home().join("tree")));
}
