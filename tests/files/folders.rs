//! Folders, several things at once, what is left out, what is kept.

use super::*;

#[test]
fn folders_travel_both_ways_and_only_what_changed() {
    for world in World::each() {
        tree_round_trip(&world.connected());
    }
}

#[test]
fn several_things_go_into_a_folder() {
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
        world.run(&["get", "many/a", "many/tree", "--out", "got"]).succeeds();
        assert_eq!(fs::read(world.home().join("got/a")).unwrap(), b"a");
        assert_eq!(described(&world.home().join("got/tree")), described(&world.home().join("tree")));
        world.run(&["get", "a", "b", "--json"]).fails_as("usage", 2);
        world.run(&["put", "a", "tree", "a", "x/", "--json"]).fails_as("usage", 2);
    }
}

#[test]
fn what_is_left_out_stays_behind() {
    let world = World::new().connected();
    let root = world.home().join("p");
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::create_dir_all(root.join("node_modules/x")).unwrap();
    for (name, content) in [
        (".gitignore", "*.log\n!keep.log\n"),
        ("a.log", ""),
        ("keep.log", ""),
        ("main.rs", ""),
        (".git/HEAD", ""),
        ("node_modules/x/y.js", ""),
        (".hidden", ""),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    let names = |folder: &str| {
        described(&world.workspace().join(folder)).into_iter().map(|found| found.0.display().to_string())
    };
    world.run(&["put", "p", "git", "--git"]).succeeds();
    assert_eq!(
        names("git").collect::<Vec<_>>(),
        [
            ".gitignore",
            ".hidden",
            "keep.log",
            "main.rs",
            "node_modules",
            "node_modules/x",
            "node_modules/x/y.js"
        ]
    );
    world
        .run(&["put", "p", "ex", "--exclude", "node_modules", "--exclude", "*.log", "--exclude", ".git"])
        .succeeds();
    assert_eq!(names("ex").collect::<Vec<_>>(), [".gitignore", ".hidden", "main.rs"]);
}

#[test]
fn mode_time_and_links_of_single_files() {
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
