//! What a checkout, a file's name or a workspace would have its tools do.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::peer::Peer;
use crate::support::World;
use runcode_gateway::WorkspaceSpec;

/// A folder of a checkout that git takes for a bare repository: to know what it ignores, git would fetch a file, and for that run
/// what its config says.
fn bare_repository(folder: &Path, ran: &Path) {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["--git-dir=."]).args(arguments).current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1");
        assert!(git.env("HOME", folder).output().unwrap().status.success(), "{arguments:?}");
    };
    fs::create_dir_all(folder).unwrap();
    let path = folder.to_str().unwrap();
    assert!(Command::new("git").args(["init", "-q", "--bare", path]).status().unwrap().success());
    let command = format!("touch {}; false", ran.display());
    for (name, value) in [
        ("core.repositoryformatversion", "1"),
        ("core.bare", "false"),
        ("core.worktree", "."),
        ("core.fsmonitor", &command),
        ("core.sshCommand", &command),
        ("extensions.partialClone", "x"),
        ("remote.x.url", "ssh://host/x"),
        ("remote.x.promisor", "true"),
        ("remote.x.partialclonefilter", "blob:none"),
    ] {
        git(&["config", name, value]);
    }
    let blob = "100644,1234567890123456789012345678901234567890,.gitignore";
    git(&["-c", "core.fsmonitor=false", "update-index", "--add", "--cacheinfo", blob]);
    git(&["-c", "core.fsmonitor=false", "update-index", "--skip-worktree", ".gitignore"]);
    fs::write(folder.join("readme.md"), "hello\n").unwrap();
}

#[test]
fn a_checkout_runs_nothing() {
    let world = World::new().connected();
    let ran = world.home().join("ran");
    bare_repository(&world.workspace().join("docs/lib"), &ran);
    for arguments in [&["--read-only"][..], &[]] {
        let mut peer = Peer::with(&world, arguments, world.home(), |_| {});
        let found = peer.call("glob", json!({ "pattern": "*.md", "path": "docs/lib" }));
        assert_eq!(found.fine(), "docs/lib/readme.md\n[1 files, by find]");
        let found = peer.call("grep", json!({ "pattern": "hello", "path": "docs/lib", "glob": "*.md" }));
        assert!(found.fine().starts_with("docs/lib/readme.md:1:hello\n"), "{}", found.text());
        peer.call("context", json!({})).fine();
        assert!(!ran.exists());
    }
}

#[test]
fn names_are_no_options_and_forge_no_line() {
    for (is_git, world) in World::each().into_iter().enumerate() {
        let world = world.connected();
        let folder = world.workspace();
        fs::create_dir_all(folder.join("deep\nc.rs:9:")).unwrap();
        let odd = ["-x", "--printf=%s", "a\rb.rs:1:needle", "deep\nc.rs:9:/x", "d\nsrc.rs:1:needle"];
        for name in odd {
            fs::write(folder.join(name), "needle\n").unwrap();
        }
        if is_git == 0 {
            let git = Command::new("git").args(["init", "-q"]).current_dir(&folder).status();
            assert!(git.unwrap().success());
        }
        let mut peer = Peer::of(&world);
        let sorted = |text: &str| {
            let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
            let last = lines.pop().unwrap();
            lines.sort();
            (lines, last)
        };
        let (names, last) = sorted(peer.call("glob", json!({ "pattern": "*" })).fine());
        assert_eq!(names, ["--printf=%s", "-x", "a\\u{d}b.rs:1:needle"]);
        assert!(last.ends_with("; left out: 2 names with a line feed in them]"), "{last}");
        let mut grep = |arguments: Value| sorted(peer.call("grep", arguments).fine());
        for (mode, end) in [("lines", ":1:needle"), ("files", ""), ("count", ":1")] {
            let (lines, last) = grep(json!({ "pattern": "needle", "mode": mode }));
            assert!(lines.len() == 3 && last.contains("; left out: 2 names"), "{lines:?} {last}");
            for name in ["--printf=%s", "-x"] {
                assert!(lines.contains(&format!("{name}{end}")), "{lines:?}");
            }
            assert!(
                !lines.iter().any(|line| line.starts_with("b.rs") || line.starts_with("src")),
                "{lines:?}"
            );
        }
        let said = peer.call("grep", json!({ "pattern": "needle", "path": "d\nsrc.rs:1:needle" }));
        assert_eq!(said.code(), "usage");
    }
}

#[test]
fn no_file_steers_who_reads_it() {
    let world = World::new().connected();
    fs::write(world.workspace().join("odd"), "a\r\n\u{1b}[2J\u{202e}x\ry\n").unwrap();
    let mut peer = Peer::of(&world);
    let said = peer.call("read", json!({ "path": "odd" }));
    assert!(said.fine().starts_with("1\ta\r\n2\t\\u{1b}[2J\\u{202e}x\\u{d}y\n[lines 1-2 of 2; sha256 "));
    assert!(said.text().contains("give edit the characters themselves"), "{}", said.text());
    let said = peer.call("edit", json!({ "path": "odd", "old": "a\r\n\u{1b}[2J", "new": "b\r\n" }));
    assert!(said.fine().ends_with("\n1\tb\n2\t\\u{202e}x\\u{d}y"), "{}", said.text());
    assert_eq!(fs::read_to_string(world.workspace().join("odd")).unwrap(), "b\r\n\u{202e}x\ry\n");
}

/// A program that starts by itself would run what the workspace wrote.
#[test]
fn nothing_fetched_runs_by_itself() {
    let world = World::new().connected();
    let (project, there) = (world.home().join("project"), world.workspace());
    for folder in [project.join(".bare/objects"), project.join(".bare/refs"), there.join("tree/.bare/hooks")]
    {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(project.join(".bare/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(project.join(".git"), "gitdir: ./.bare\n").unwrap();
    fs::create_dir(there.join("tree/.claude")).unwrap();
    for name in ["x", ".envrc", "tree/code", "tree/.bare/hooks/post-checkout", "tree/.claude/settings.json"] {
        fs::write(there.join(name), "x").unwrap();
    }
    let mut peer = Peer::with(&world, &[], &project, |_| {});
    for (remote, local) in [
        ("x", ".claude/settings.local.json"),
        ("x", ".mcp.json"),
        ("x", ".bare/hooks/post-checkout"),
        ("x", ".bare/"),
        ("x", ".husky/pre-push"),
        (".envrc", "./"),
        ("tree", ".claude"),
        ("tree/.claude", "./"),
    ] {
        let said = peer.call("get", json!({ "remote": remote, "local": local }));
        assert_eq!(said.code(), "usage", "{remote} {local}");
    }
    for name in [".mcp.json", ".bare/hooks", ".bare/x", ".envrc", ".husky", ".claude"] {
        assert!(!project.join(name).exists(), "{name}");
    }
    // Of a folder it is told; what is git's own stays away, whatever its folder is called.
    let fetched = peer.call("get", json!({ "remote": "tree", "local": "." })).json();
    let fetched = (fetched["runs_by_itself"].clone(), project.join("tree/code").exists());
    assert_eq!(fetched, (json!({ "count": 1, "named": [".claude/settings.json"] }), true));
    peer.call("get", json!({ "remote": "tree", "local": "../project" })).fine();
    assert!(project.join("code").exists() && !project.join(".bare/hooks/post-checkout").exists());
    peer.call("get", json!({ "remote": ".envrc", "local": "envrc" })).fine();
}

/// git takes a folder with a `HEAD`, `objects` and `refs` for a repository, and runs what its `config` names.
#[test]
fn no_fetched_folder_is_a_repository() {
    let world = World::new().connected();
    let (project, there) = (world.home().join("project"), world.workspace());
    for folder in
        ["tree/bare/objects", "tree/bare/refs", "tree/linked/objects", "tree/linked/refs", "tree/head"]
    {
        fs::create_dir_all(there.join(folder)).unwrap();
    }
    for folder in ["bare", "half", "over/deep"] {
        fs::create_dir_all(project.join(folder)).unwrap();
    }
    for head in ["half/HEAD", "over/deep/HEAD"] {
        fs::write(project.join(head), "ref: refs/heads/main\n").unwrap();
    }
    for folder in ["parts/objects", "parts/refs", "above/deep/objects", "above/deep/refs"] {
        fs::create_dir_all(there.join(folder)).unwrap();
        fs::write(there.join(folder).join("keep"), "").unwrap();
    }
    fs::write(there.join("parts/code"), "").unwrap();
    for name in ["bare/HEAD", "bare/config", "bare/Head", "bare/code", "head/code"] {
        fs::write(there.join("tree").join(name), "ref: refs/heads/main\n").unwrap();
    }
    std::os::unix::fs::symlink("refs/heads/main", there.join("tree/linked/HEAD")).unwrap();
    fs::hard_link(there.join("tree/bare/HEAD"), there.join("tree/bare/twin")).unwrap();
    let mut peer = Peer::with(&world, &[], &project, |_| {});
    let fetched = peer.call("get", json!({ "remote": "tree", "local": "tree" })).json();
    assert!(fetched["skipped"].as_u64().unwrap() >= 3, "{fetched}");
    for name in ["bare/HEAD", "bare/Head", "linked/HEAD"] {
        assert!(project.join("tree").join(name).symlink_metadata().is_err(), "{name}");
    }
    assert!(project.join("tree/bare/code").exists() && project.join("tree/head/code").exists());
    for (remote, local) in [("tree/bare/HEAD", "bare/"), ("tree/bare/code", "bare/head")] {
        assert_eq!(peer.call("get", json!({ "remote": remote, "local": local })).code(), "usage", "{remote}");
    }
    assert_eq!(fs::read_dir(project.join("bare")).unwrap().count(), 0);
    // A folder of the project that has a `HEAD` already.
    for (remote, local) in [("parts", "half"), ("above", "over")] {
        let fetched = peer.call("get", json!({ "remote": remote, "local": local })).json();
        assert!(fetched["skipped"].as_u64().unwrap() >= 2, "{fetched}");
    }
    for (remote, local) in [("parts/refs", "half/refs"), ("parts/code", "half/commondir")] {
        assert_eq!(peer.call("get", json!({ "remote": remote, "local": local })).code(), "usage", "{remote}");
    }
    assert!(project.join("half/code").exists());
    for name in ["half/refs", "half/objects", "half/commondir", "over/deep/refs", "over/deep/objects"] {
        assert!(!project.join(name).exists(), "{name}");
    }
}

/// What no project says is attached to the project alone, or to nothing.
#[test]
fn a_planted_file_attaches_no_other_folder() {
    let world = World::new();
    let project = world.home().join("project");
    let plugin = world.home().join("plugin");
    for folder in [&project, &plugin] {
        fs::create_dir_all(folder.join(".codex-plugin")).unwrap();
        fs::create_dir_all(folder.join("launcher")).unwrap();
        fs::write(folder.join(".codex-plugin/plugin.json"), "{}").unwrap();
        fs::write(folder.join("launcher/runcode"), "").unwrap();
    }
    let mut planted = Peer::with(&world, &[], &project, |command| {
        command.env("RUNCODE_LAUNCHER", plugin.join("launcher/runcode"));
    });
    let attached = planted.call("connect", json!({ "workspace": "box" })).json();
    assert_eq!(attached["folder"], project.canonicalize().unwrap().to_str().unwrap());
    planted.call("disconnect", json!({})).fine();
    // In the plugin's own folder, or one that holds every project, it is not known which the project is.
    for folder in [&plugin, Path::new("/"), world.home().parent().unwrap()] {
        let mut peer = Peer::with(&world, &[], folder, |command| {
            command.env("RUNCODE_LAUNCHER", plugin.join("launcher/runcode"));
        });
        let said = peer.call("connect", json!({ "workspace": "box" }));
        assert_eq!(said.code(), "usage", "{}", folder.display());
        assert!(said.text().contains("\nhint: name the workspace in each call"), "{}", said.text());
        peer.call("exec", json!({ "workspace": "box", "command": "true" })).fine();
    }
    assert_eq!(planted.call("list", json!({})).json()["attached"], Value::Null);
}

#[test]
fn a_home_is_no_project() {
    let world = World::new().connected();
    let home = world.home();
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/id"), "key").unwrap();
    symlink(home, home.join("way")).unwrap();
    for folder in [home.to_owned(), home.join("way")] {
        let mut peer = Peer::with(&world, &[], &folder, |_| {});
        for (tool, local) in [("put", ".ssh/id"), ("get", "new")] {
            let said = peer.call(tool, json!({ "local": local, "remote": "x" }));
            assert_eq!(said.code(), "usage", "{tool} {}", folder.display());
        }
    }
    assert!(!world.workspace().join("x").exists());
}

#[test]
fn a_tool_says_whose_workspace_it_used() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = WorkspaceSpec { shared: true, running: true, ..WorkspaceSpec::new("theirs", folder.path()) };
    let world = World::with(|options| options.workspaces.push(theirs));
    let mut peer = Peer::of(&world);
    for (tool, arguments) in [
        ("connect", json!({ "workspace": "theirs" })),
        ("exec", json!({ "workspace": "theirs", "command": "true" })),
        ("write", json!({ "workspace": "theirs", "path": "x", "content": "y" })),
        ("read", json!({ "workspace": "theirs", "path": "x" })),
    ] {
        let said = peer.call(tool, arguments);
        said.fine();
        let all = said.0["content"].to_string();
        let is_told =
            all.contains("theirs (#2) is someone else's workspace") || all.contains("\\\"shared\\\":true");
        assert!(is_told, "{tool} {all}");
    }
}

/// Where everybody may make files, another user may have made this one, to read what comes into it.
#[test]
fn no_secret_goes_into_another_users_file() {
    const OTHER: u32 = 54_324;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new().connected();
    let shared = world.workspace().join("shared");
    let (planted, victim) = (shared.join("a"), world.workspace().join("victim"));
    fs::create_dir(&shared).unwrap();
    fs::create_dir(world.home().join("src")).unwrap();
    for file in [&planted, &victim, &shared.join("own"), &world.home().join("src/a")] {
        fs::write(file, "old").unwrap();
    }
    symlink("../victim", shared.join("link")).unwrap();
    let give = |path: &Path| std::os::unix::fs::lchown(path, Some(OTHER), Some(OTHER)).unwrap();
    let set_mode = |mode| fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
    give(&planted);
    give(&shared.join("link"));
    set_mode(0o1777);
    fs::write(world.home().join("src/a"), "secret").unwrap();
    for command in [
        &["put", "src/a", "shared/a", "--json"][..],
        &["put", "src/a", "shared", "--json"],
        &["put", "src", "shared", "--json"],
        &["write", "shared/a", "--file", "src/a", "--json"],
        &["write", "shared/link", "--file", "src/a", "--json"],
    ] {
        let said = world.run(command).fails_as("conflict", 2);
        assert!(
            said.json()["message"].as_str().unwrap().contains("belongs to another user, or leads"),
            "{said:?}"
        );
    }
    let mut peer = Peer::of(&world);
    let said = peer.call("edit", json!({ "path": "shared/a", "old": "old", "new": "secret" }));
    assert_eq!(said.code(), "conflict");
    for file in [&planted, &victim] {
        assert_eq!(fs::read_to_string(file).unwrap(), "old");
    }
    // One's own, and where only the folder's owner can make files, all is as ever.
    world.run(&["write", "shared/own", "--file", "src/a"]).succeeds();
    set_mode(0o755);
    world.run(&["write", "shared/a", "--file", "src/a"]).succeeds();
    assert_eq!(fs::read_to_string(&planted).unwrap(), "secret");
}
