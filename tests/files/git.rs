//! What `put --git` and `put --exclude` leave out.

use std::collections::BTreeSet;

use super::*;

/// git as the user of `world` runs it.
fn git(world: &World, folder: &str, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(world.home().join(folder)).env("HOME", world.home());
    git.env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME");
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fill(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, *name).unwrap();
    }
}

/// The files and links below a folder of the workspace.
fn there(world: &World, folder: &str) -> BTreeSet<String> {
    let root = world.workspace().join(folder);
    let found = described(&root).into_iter().filter(|found| !root.join(&found.0).is_dir() || found.1 == 0);
    found.map(|found| found.0.display().to_string()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What git says of a repository whose rules come from everywhere, and nothing else.
#[test]
fn put_git_sends_what_git_lists() {
    let world = World::new().connected();
    fs::create_dir(world.home().join("above")).unwrap();
    fs::write(world.home().join("above/.gitignore"), "*\n").unwrap();
    fs::create_dir(world.home().join("above/p")).unwrap();
    let root = world.home().join("above/p");
    git(&world, "above/p", &["init", "-q"]);
    fs::write(world.home().join("own"), "*.own\n").unwrap();
    fs::write(world.home().join("more"), "[core]\n\texcludesFile = ~/global\n").unwrap();
    fs::write(world.home().join(".gitconfig"), "[include]\n\tpath = more\n").unwrap();
    fs::write(world.home().join("global"), "*.global\n.env\n").unwrap();
    fs::write(root.join(".gitignore"), "dist/\n*.LOG\n/a\n!keep.log\n").unwrap();
    fs::write(root.join(".git/info/exclude"), "*.private\n").unwrap();
    let tracked = ["dist/kept.js", "gone", "moved/x", "b.txt", "é", "one\ntwo"];
    fill(&root, &tracked);
    fill(
        &root,
        &["dist/new.js", "x.log", "keep.log", "in/a", "a", "y.private", ".env", "z.own", "#c", ".hidden"],
    );
    git(&world, "above/p", &["add", "-f", "dist/kept.js", "gone", "moved/x", "b.txt", "é", "one\ntwo"]);
    fs::remove_file(root.join("gone")).unwrap();
    fs::remove_dir_all(root.join("moved")).unwrap();
    fs::create_dir(world.home().join("elsewhere")).unwrap();
    fs::write(world.home().join("elsewhere/x"), "not ours").unwrap();
    symlink(world.home().join("elsewhere"), root.join("moved")).unwrap();
    for (at, (key, value)) in
        [("core.ignoreCase", "true"), ("core.ignoreCase", "false"), ("core.excludesFile", "~/own")]
            .iter()
            .enumerate()
    {
        git(&world, "above/p", &["config", key, value]);
        for (folder, target) in [("above/p", "all"), ("above/p/in", "part"), ("above/p/dist", "dist")] {
            let target = format!("{target}{at}");
            let listed = git(&world, folder, &["ls-files", "-coz", "--exclude-standard"]);
            let listed = listed.split('\0').map(str::to_owned).collect::<BTreeSet<_>>();
            let is_there =
                |name: &&String| fs::symlink_metadata(world.home().join(folder).join(name)).is_ok();
            let mut listed = listed
                .iter()
                .filter(|name| !name.is_empty())
                .filter(is_there)
                .cloned()
                .collect::<BTreeSet<_>>();
            listed.remove("moved/x"); // git tracks it, and now it lies elsewhere
            // As in a hook of another repository.
            let mut put = world.command(&["put", folder, &target, "--git"]);
            CommandOutput::of(
                put.env("GIT_DIR", "/nowhere").env("GIT_INDEX_FILE", "/nowhere/index").output().unwrap(),
            )
            .succeeds();
            assert_eq!(there(&world, &target), listed, "{folder} {key} {value}");
        }
    }
    assert!(there(&world, "all2").contains("dist/kept.js") && !there(&world, "all2").contains("z.own"));
}

/// Repositories in one that is sent are sent as well; outside of any, the user's own rules count.
#[test]
fn put_git_knows_inner_repositories_and_none() {
    let world = World::new().connected();
    fs::write(world.home().join(".gitconfig"), "[core]\n\texcludesFile = ~/global\n").unwrap();
    fs::write(world.home().join("global"), ".env\n").unwrap();
    fs::create_dir_all(world.home().join("p/sub")).unwrap();
    git(&world, "p", &["init", "-q"]);
    git(&world, "p/sub", &["init", "-q"]);
    fill(&world.home().join("p"), &["a", ".env", "sub/b", "sub/.env", "sub/c.o", "sub/d/e"]);
    fs::write(world.home().join("p/sub/.gitignore"), "*.o\n").unwrap();
    world.run(&["put", "p", "p", "--git"]).succeeds();
    assert_eq!(there(&world, "p"), set(&["a", "sub/.gitignore", "sub/b", "sub/d/e"]));
    fill(&world.home().join("plain"), &["a", ".env", "x/b.o", "x/keep.o", "y/c.o"]);
    fs::write(world.home().join("plain/x/.gitignore"), "*.o\n!keep.o\n").unwrap();
    world.run(&["put", "plain", "plain", "--git"]).succeeds();
    assert_eq!(there(&world, "plain"), set(&["a", "x/.gitignore", "x/keep.o", "y/c.o"]));
}

/// Where git cannot say what it ignores, nothing is sent. Nothing that a repository's configuration names is run.
#[test]
fn put_git_without_an_answer_sends_nothing() {
    let world = World::new().connected();
    fs::create_dir(world.home().join("p")).unwrap();
    git(&world, "p", &["init", "-q"]);
    fill(&world.home().join("p"), &["a"]);
    git(&world, "p", &["config", "core.fsmonitor", "touch ran; false"]);
    git(&world, "p", &["config", "pager.ls-files", "touch ran"]);
    world.run(&["put", "p", "ok", "--git"]).succeeds();
    assert_eq!(there(&world, "ok"), set(&["a"]));
    fs::write(world.home().join("p/.git/index"), "no index").unwrap();
    world.run(&["put", "p", "bad", "--git", "--json"]).fails_as("io", 1);
    let mut put = world.command(&["put", "p", "bad", "--git", "--json"]);
    CommandOutput::of(put.env("PATH", "/nowhere").output().unwrap()).fails_as("unavailable", 2);
    fs::remove_dir_all(world.home().join("p/.git")).unwrap();
    fs::create_dir(world.home().join("p/.git")).unwrap();
    world.run(&["put", "p", "bad", "--git", "--json"]).fails_as("io", 1);
    assert!(!world.workspace().join("bad").exists() && !world.home().join("p/ran").exists());
}

#[test]
fn excluded_files_stay_behind() {
    let world = World::new().connected();
    let names =
        [".git/HEAD", "a.log", "keep.log", "main.rs", "node_modules/x/y.js", ".hidden", "#c", "in/a", "a"];
    fill(&world.home().join("p"), &names);
    let put = |target: &str, patterns: &[&str], options: &[&str]| {
        let excluded = patterns.iter().flat_map(|pattern| ["--exclude", pattern]).collect::<Vec<_>>();
        world.run(&[&["put", "p", target], &excluded[..], options].concat()).succeeds();
        there(&world, target)
    };
    let some = put("x", &["node_modules", "*.log", ".git"], &[]);
    assert_eq!(some, set(&["#c", ".hidden", "a", "in/a", "main.rs"]));
    let more = put("y", &["*.log", "!keep.log", "#c", "/a", ".git", "node_modules"], &[]);
    assert_eq!(more, set(&[".hidden", "in/a", "keep.log", "main.rs"]));
    fs::remove_dir_all(world.home().join("p/.git")).unwrap();
    git(&world, "p", &["init", "-q"]);
    fs::write(world.home().join("p/.gitignore"), "a\n").unwrap();
    let both = put("z", &["node_modules/", "*.log"], &["--git"]);
    assert_eq!(both, set(&["#c", ".gitignore", ".hidden", "main.rs"]));
    world.run(&["put", "p", "y", "--exclude", "", "--json"]).fails_as("usage", 2);
}
