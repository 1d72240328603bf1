//! Links that came from a workspace lead nowhere, in any later transfer; the user's own still do.

use super::*;

/// A world and a folder of it that nothing may be written to.
fn guarded() -> (World, PathBuf) {
    let world = World::new().connected();
    let outside = world.home().join("outside");
    fs::create_dir(&outside).unwrap();
    (world, outside)
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn links_out_of_a_folder_are_left_out_and_named() {
    for world in World::each() {
        let world = world.connected();
        let tree = world.workspace().join("tree");
        fs::create_dir_all(tree.join("node_modules/.bin")).unwrap();
        fs::create_dir(tree.join("node_modules/pkg")).unwrap();
        fs::write(tree.join("node_modules/pkg/cli.js"), "x").unwrap();
        symlink("../pkg/cli.js", tree.join("node_modules/.bin/cli")).unwrap();
        symlink(".", tree.join("self")).unwrap();
        world.run(&["get", "tree", "--out", "in"]).succeeds();
        assert_eq!(described(&world.home().join("in")), described(&tree));
        let out = [
            "/etc/passwd",
            "../..",
            "../../x",
            "self/../../x",
            "node_modules/../..",
            "node_modules/pkg/../../..",
        ];
        for (number, target) in out.iter().enumerate() {
            symlink(target, tree.join(format!("node_modules/out{number}"))).unwrap();
        }
        for target in ["new", "in", "in/"] {
            let said = world.run(&["get", "tree/.", "--out", target, "--json"]);
            let (status, got) = (said.status, said.json());
            assert_eq!((status, &got["links_left_out"]["count"]), (1, &6.into()), "{got}");
            assert!(got["links_left_out"]["named"][0].as_str().unwrap().contains("node_modules/out"));
            assert_eq!(got["files"], 3);
            assert!(!world.home().join(target).join("node_modules/out0").is_symlink());
        }
        let said = world.run(&["get", "tree", "--out", "new"]);
        assert!(said.text().contains("6 links out of the folder"), "{}", said.text());
        world.run(&["get", "tree", "--out", "all", "--links"]).succeeds();
        assert_eq!(described(&world.home().join("all")), described(&tree));
    }
}

/// What a first `get` brought is a folder on the workspace by the second.
#[test]
fn a_link_that_came_leads_no_later_get_out() {
    let (world, outside) = guarded();
    let tree = world.workspace().join("tree");
    for target in [outside.to_str().unwrap(), "../outside"] {
        for later in [
            &["get", "tree/sub", "--out", "p/sub"][..],
            &["get", "tree/sub", "--out", "p/"],
            &["get", "tree/sub", "--out", "p/sub/"],
            &["get", "tree/sub", "tree/a", "--out", "p"],
            &["get", "tree/sub/key", "--out", "p/sub/"],
            &["get", "tree/sub/key", "--out", "p/sub/key"],
            &["get", "tree", "--out", "p"],
        ] {
            fs::create_dir(&tree).unwrap();
            fs::write(tree.join("a"), "").unwrap();
            symlink(target, tree.join("sub")).unwrap();
            assert_eq!(world.run(&["get", "tree", "--out", "p"]).status, 1);
            fs::remove_file(tree.join("sub")).unwrap();
            fs::create_dir(tree.join("sub")).unwrap();
            fs::write(tree.join("sub/key"), "evil").unwrap();
            world.run(later);
            assert_eq!(count(&outside), 0, "{target} {later:?}");
            for folder in [&tree, &world.home().join("p")] {
                fs::remove_dir_all(folder).unwrap();
            }
        }
    }
}

/// Asked for with `--links`, or the user's own: below the path that was typed, none is followed.
#[test]
fn no_link_below_the_typed_path_is_followed() {
    let (world, outside) = guarded();
    let (tree, place) = (world.workspace().join("tree"), world.home().join("p"));
    fs::create_dir_all(tree.join("sub/deep")).unwrap();
    fs::write(tree.join("sub/deep/key"), "evil").unwrap();
    fs::write(tree.join("file"), "evil").unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    fs::create_dir_all(place.join("real/sub")).unwrap();
    symlink(&outside, place.join("sub")).unwrap();
    symlink(outside.join("file"), place.join("file")).unwrap();
    symlink(&outside, place.join("real/sub/deep")).unwrap();
    for arguments in [
        &["get", "tree/sub", "--out", "p/"][..],
        &["get", "tree/sub", "tree/file", "--out", "p"],
        &["get", "tree", "--out", "p"],
        &["get", "tree", "--out", "p", "--links"],
        &["get", "tree/sub", "--out", "p/real/"],
    ] {
        let said = world.run(&[arguments, &["--json"]].concat()).fails_as("io", 1).json();
        assert!(said["message"].as_str().unwrap().contains("is in the way"), "{said}");
    }
    // A file takes the place of a link, and a hard link's other name keeps its content.
    world.run(&["get", "tree/file", "--out", "p/"]).succeeds();
    assert!(fs::symlink_metadata(place.join("file")).unwrap().is_file());
    fs::hard_link(outside.join("file"), world.home().join("twin")).unwrap();
    world.run(&["get", "tree/file", "--out", "twin"]).succeeds();
    assert_eq!((fs::read(outside.join("file")).unwrap(), count(&outside)), (b"mine".to_vec(), 1));
}

/// A link of the workspace's, harmless by itself, that leads through one of the user's.
#[test]
fn fetched_links_lead_through_no_local_link() {
    let (world, outside) = guarded();
    let (tree, place) = (world.workspace().join("tree"), world.home().join("p"));
    fs::create_dir_all(tree.join("d")).unwrap();
    fs::create_dir_all(place.join("d")).unwrap();
    symlink(&outside, place.join("d/mine")).unwrap();
    symlink("d/mine/key", tree.join("a")).unwrap();
    symlink("../b/mine/key", tree.join("d/c")).unwrap();
    symlink("d", tree.join("b")).unwrap();
    symlink("d", place.join("b")).unwrap();
    let said = world.run(&["get", "tree", "--out", "p", "--json"]);
    assert_eq!((said.status, said.json()["links_left_out"]["count"].as_u64()), (1, Some(2)));
    fs::write(world.workspace().join("key"), "evil").unwrap();
    for target in ["p/a", "p/d/c"] {
        world.run(&["get", "key", "--out", target]).succeeds();
    }
    assert_eq!(count(&outside), 0);
}

/// Links that are harmless alone, and lead through the user's own once all of them are there.
#[test]
fn links_that_came_together_lead_out_nowhere() {
    let (world, outside) = guarded();
    let (tree, place) = (world.workspace().join("tree"), world.home().join("p"));
    fs::create_dir_all(tree.join("d")).unwrap();
    fs::create_dir(tree.join("new")).unwrap();
    fs::create_dir_all(place.join("d")).unwrap();
    symlink(&outside, place.join("d/mine")).unwrap();
    for number in 0..8 {
        symlink("d", tree.join(format!("to{number}"))).unwrap();
        symlink(format!("to{number}/mine"), tree.join(format!("through{number}"))).unwrap();
        symlink(format!("../to{number}/mine/key"), tree.join(format!("new/a{number}"))).unwrap();
        symlink(format!("to{number}/fine"), tree.join(format!("kept{number}"))).unwrap();
    }
    symlink("../d/mine/key", tree.join("new/direct")).unwrap();
    symlink(".", tree.join("new/self")).unwrap();
    let said = world.run(&["get", "tree", "--out", "p", "--json"]);
    assert_eq!((said.status, said.json()["links_left_out"]["count"].as_u64()), (1, Some(17)));
    assert!(place.join("to7").is_symlink() && place.join("kept7").is_symlink());
    assert!(place.join("new/self").is_symlink() && !place.join("new/direct").is_symlink());
    let real = outside.canonicalize().unwrap();
    for folder in [place.clone(), place.join("new")] {
        for entry in fs::read_dir(folder).unwrap() {
            let leads = entry.unwrap().path().canonicalize();
            assert!(!leads.as_ref().is_ok_and(|leads| leads.starts_with(&real)), "{leads:?}");
        }
    }
}

#[test]
fn the_users_own_link_is_followed_when_typed() {
    let world = World::new().connected();
    fs::write(world.workspace().join("conf"), "new").unwrap();
    fs::create_dir_all(world.workspace().join("dir")).unwrap();
    fs::write(world.workspace().join("dir/f"), "new").unwrap();
    let home = world.home();
    fs::create_dir_all(home.join("dot/dir")).unwrap();
    fs::write(home.join("dot/conf"), "old").unwrap();
    symlink("dot/conf", home.join("conf")).unwrap();
    symlink("conf", home.join("chain")).unwrap();
    symlink("dot/new", home.join("dangling")).unwrap();
    symlink("dot/dir", home.join("dir")).unwrap();
    for (target, written) in [("conf", "dot/conf"), ("chain", "dot/conf"), ("dangling", "dot/new")] {
        fs::write(home.join("dot/conf"), "old").unwrap();
        world.run(&["get", "conf", "--out", target]).succeeds();
        assert!(home.join(target).is_symlink(), "{target}");
        assert_eq!(fs::read(home.join(written)).unwrap(), b"new", "{target}");
    }
    world.run(&["get", "dir", "--out", "dir"]).succeeds();
    world.run(&["get", "conf", "--out", "dir"]).succeeds();
    assert!(
        home.join("dir").is_symlink()
            && home.join("dot/dir/f").is_file()
            && home.join("dot/dir/conf").is_file()
    );
    assert_eq!(litter(home), Vec::<PathBuf>::new());
}

/// `put` of a folder sends the links in it as links, not what they lead to.
#[test]
fn a_put_follows_no_link_in_a_folder() {
    let (world, outside) = guarded();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::create_dir(world.workspace().join("tree")).unwrap();
    symlink(&outside, world.workspace().join("tree/sub")).unwrap();
    symlink(outside.join("secret"), world.workspace().join("tree/file")).unwrap();
    world.run(&["get", "tree", "--out", "p", "--links"]).succeeds();
    world.run(&["put", "p", "back"]).succeeds();
    assert_eq!(described(&world.workspace().join("back")), described(&world.workspace().join("tree")));
}

#[test]
fn files_that_run_by_themselves_are_named() {
    let world = World::new().connected();
    let tree = world.workspace().join("tree");
    fs::create_dir_all(tree.join("a/.git/hooks")).unwrap();
    fs::write(tree.join("a/.git/hooks/pre-commit.sample"), "").unwrap();
    world.run(&["get", "tree", "--out", "t"]).succeeds();
    assert!(world.run(&["get", "tree", "--out", "t", "--json"]).json()["runs_by_itself"].is_null());
    fs::write(tree.join("a/.git/hooks/pre-commit"), "").unwrap();
    fs::write(tree.join(".envrc"), "").unwrap();
    symlink("a/.git/hooks/post-checkout", tree.join("notes")).unwrap();
    let got = world.run(&["get", "tree", "--out", "t", "--json"]).succeeds().json();
    assert_eq!(got["runs_by_itself"]["count"], 3, "{got}");
    let said = world.run(&["get", "tree", "--out", "t"]).succeeds();
    let text = said.text();
    assert!(text.contains(".envrc") && text.contains("read them before"), "{text}");
}

/// What runs lies behind a link, or in a folder that got its name from the user.
#[test]
fn links_and_names_that_make_files_run_are_named() {
    let world = World::new().connected();
    let tree = world.workspace().join("tree");
    for (folder, file) in [("g", "config"), ("c", "settings.json"), (".git/hooks", "pre-commit")] {
        fs::create_dir_all(tree.join("sub").join(folder)).unwrap();
        fs::write(tree.join("sub").join(folder).join(file), "").unwrap();
    }
    fs::write(tree.join(".git"), "gitdir: sub/g\n").unwrap();
    fs::write(tree.join(".npmrc"), "").unwrap();
    symlink("sub/c", tree.join(".claude")).unwrap();
    symlink("../sub/g", tree.join("sub/.cargo")).unwrap();
    let named = |arguments: &[&str]| {
        let got = world.run(&[&["get"], arguments, &["--json"]].concat()).succeeds().json();
        got["runs_by_itself"]["count"].as_u64()
    };
    assert_eq!(named(&["tree", "--out", "t"]), Some(5));
    assert_eq!(named(&["tree/sub/.git", "--out", "p/.git"]), Some(1));
    assert_eq!(named(&["tree/sub/.git/hooks", "--out", "p/.git/"]), Some(1));
    assert_eq!(named(&["tree/sub/c", "--out", "p/.claude"]), Some(1));
    assert_eq!(named(&["tree/sub/c", "--out", "p/c"]), None);
}

#[test]
fn a_name_in_the_way_is_cut_and_steers_nothing() {
    let world = World::new().connected();
    let name = format!("\u{1b}[2J{}", "x".repeat(240));
    fs::create_dir_all(world.workspace().join("tree").join(&name)).unwrap();
    fs::create_dir_all(world.workspace().join("tree").join(&name).join(&name)).unwrap();
    fs::create_dir_all(world.home().join("p").join(&name)).unwrap();
    fs::write(world.home().join("p").join(&name).join(&name), "").unwrap();
    let said = world.run(&["get", "tree", "--out", "p", "--json"]).fails_as("io", 1).json();
    let message = said["message"].as_str().unwrap();
    assert!(
        message.contains("is in the way") && message.chars().count() < 320 && !message.contains('\u{1b}'),
        "{message}"
    );
}
