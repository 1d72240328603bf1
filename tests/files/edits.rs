//! An exact text for another, and never over what somebody else wrote.

use super::*;

#[test]
fn an_edit_changes_one_text_and_nothing_else() {
    for world in World::each() {
        let world = world.connected();
        let file = world.workspace().join("f");
        fs::write(&file, b"\xef\xbb\xbfa = 1\r\nb = 2\xff\na = 1 # again").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o751)).unwrap();
        symlink("f", world.workspace().join("link")).unwrap();
        let change = |old: &str, new: &str| format!("<<<<<<<\n{old}\n=======\n{new}\n>>>>>>>\n").into_bytes();
        let report =
            world.run_with(&["edit", "link", "--json"], &change("b = 2", "b = 3\nc = 4")).succeeds().json();
        let content = b"\xef\xbb\xbfa = 1\r\nb = 3\nc = 4\xff\na = 1 # again";
        assert_eq!(fs::read(&file).unwrap(), content);
        assert_eq!((&report["replaced"], fs::metadata(&file).unwrap().mode() & 0o7777), (&1.into(), 0o751));
        let twice = world.run_with(&["edit", "f", "--json"], &change("a = 1", "a = 5")).fails_as("usage", 2);
        assert!(twice.json()["message"].as_str().unwrap().contains("2 times, in lines 1, 4"));
        world.run_with(&["edit", "f", "--json"], &change("nowhere", "x")).fails_as("usage", 2);
        assert_eq!(fs::read(&file).unwrap(), content);
        let hash = report["sha256"].as_str().unwrap();
        world
            .run_with(&["edit", "f", "--all", "--expect-sha256", hash], &change("a = 1", "a = 5"))
            .succeeds();
        world
            .run_with(&["edit", "f", "--expect-sha256", hash, "--json"], &change("c = 4", ""))
            .fails_as("conflict", 2);
        fs::write(world.home().join("old"), "c = 4").unwrap();
        fs::write(world.home().join("new"), "").unwrap();
        world.run(&["edit", "f", "--old", "old", "--new", "new"]).succeeds();
        assert_eq!(fs::read(&file).unwrap(), b"\xef\xbb\xbfa = 5\r\nb = 3\n\xff\na = 5 # again");
        assert!(fs::symlink_metadata(world.workspace().join("link")).unwrap().is_symlink());
        world.run_with(&["edit", "missing", "--json"], &change("a", "b")).fails_as("not_found", 2);
        assert_eq!(litter(world.home()), Vec::<PathBuf>::new());
    }
}

/// Somebody else writes the file after it was read: the workspace's `touch` does, which comes before the last look.
#[test]
fn an_edit_of_a_file_that_changes_is_a_conflict() {
    let Some((world, own)) = with_programs() else { return };
    let file = world.workspace().join("f");
    fs::write(&file, "old text").unwrap();
    let hash =
        ["/usr/bin/sha256sum", "/bin/sha256sum"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let count = "n=$(cat n 2>/dev/null); echo \"x$n\" >n; [ \"$n\" != x ] || echo theirs >f";
    program(
        &own,
        "sha256sum",
        &format!("(cd '{}'; {count})\nexec {hash} \"$@\"", world.workspace().display()),
    );
    world
        .run_with(&["edit", "f", "--json"], b"<<<<<<<\nold\n=======\nnew\n>>>>>>>\n")
        .fails_as("conflict", 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "theirs\n");
}
