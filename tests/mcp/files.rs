//! Files through it: of the workspace, and between it and this machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use super::peer::Peer;
use crate::support::{World, until};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_read_written_and_edited() {
    for world in World::each() {
        let world = world.connected();
        let mut peer = Peer::of(&world);
        let file = world.workspace().join("src/a b.txt");
        let path = "src/a b.txt";
        let written =
            peer.call("write", json!({ "path": path, "content": "one\r\ntwo\nthree", "mode": "640" })).json();
        assert_eq!((&written["created"], &written["bytes"]), (&json!(true), &json!(14)));
        assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"one\r\ntwo\nthree".to_vec(), 0o640));
        let hash = written["sha256"].as_str().unwrap().to_owned();
        let read = peer.call("read", json!({ "path": path }));
        assert_eq!(
            read.fine(),
            format!("1\tone\r\n2\ttwo\n3\tthree\n[lines 1-3 of 3; sha256 {hash}; no line end at its end]")
        );
        assert!(
            peer.call("read", json!({ "path": path, "offset": 2, "limit": 1 }))
                .fine()
                .starts_with("2\ttwo\n[lines 2-2")
        );
        // An edit keeps everything else.
        let edited = peer
            .call("edit", json!({ "path": path, "old": "two", "new": "2\u{202e}", "expect_sha256": hash }));
        let (report, lines) = edited.fine().split_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<Value>(report).unwrap()["replaced"], 1);
        assert_eq!(lines, "1\tone\n2\t2\\u{202e}\n3\tthree");
        assert_eq!(
            (fs::read_to_string(&file).unwrap(), mode(&file)),
            ("one\r\n2\u{202e}\nthree".to_owned(), 0o640)
        );
        for (arguments, code) in [
            (json!({ "path": path, "old": "e", "new": "x" }), "usage"),
            (json!({ "path": path, "old": "none", "new": "x" }), "usage"),
            (json!({ "path": path, "old": "", "new": "x" }), "usage"),
            (json!({ "path": path, "old": "one", "new": "x", "expect_sha256": hash }), "conflict"),
            (json!({ "path": "none", "old": "one", "new": "x" }), "not_found"),
        ] {
            assert_eq!(peer.call("edit", arguments).code(), code);
        }
        // A file is replaced if it is what was read, or made if there is none.
        let write = |more: Value| {
            let mut arguments = json!({ "path": path, "content": "new" });
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            arguments
        };
        assert_eq!(peer.call("write", write(json!({ "expect_sha256": hash }))).code(), "conflict");
        let taken = peer.call("write", write(json!({ "create_only": true })));
        assert_eq!(taken.code(), "conflict");
        assert!(taken.text().contains("is there already"), "{}", taken.text());
        assert!(fs::read_to_string(&file).unwrap().starts_with("one"));
        let replaced = peer.call("write", write(json!({}))).json();
        assert_eq!((&replaced["created"], mode(&file)), (&json!(false), 0o640));
        let made = peer.call("write", json!({ "path": "x", "content": "", "create_only": true })).json();
        assert_eq!(made["created"], true);
        assert_eq!(peer.call("write", json!({ "path": "x/", "content": "" })).code(), "usage");
        for mode in ["9", "+7", "-1", "", "0o7", "1000"] {
            let said = peer.call("write", json!({ "path": "x", "content": "", "mode": mode }));
            assert_eq!(said.code(), "usage", "{mode}");
        }
    }
}

#[test]
fn read_shows_what_it_can() {
    let world = World::new().connected();
    let folder = world.workspace();
    fs::write(folder.join("odd"), b"a\xffb\n").unwrap();
    fs::write(folder.join("program"), b"\x7fELF\0\0").unwrap();
    fs::write(folder.join("dot.png"), [&b"\x89PNG\r\n\x1a\n"[..], &[0; 40]].concat()).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/.hidden"), "").unwrap();
    fs::create_dir(folder.join("sub/deeper")).unwrap();
    let mut peer = Peer::of(&world);
    let odd = peer.call("read", json!({ "path": "odd" }));
    assert!(odd.fine().starts_with("1\ta\u{fffd}b\n[") && odd.text().contains("not all of it is UTF-8"));
    assert_eq!(peer.call("read", json!({ "path": "program" })).code(), "usage");
    assert_eq!(peer.call("read", json!({ "path": "none" })).code(), "not_found");
    let image = peer.call("read", json!({ "path": "dot.png" })).0["content"][0].clone();
    assert_eq!((&image["type"], &image["mimeType"]), (&json!("image"), &json!("image/png")));
    assert!(image["data"].as_str().unwrap().starts_with("iVBORw0KGgoAAAA"));
    assert_eq!(peer.call("read", json!({ "path": "sub" })).fine(), ".hidden\ndeeper/\n[a folder: 2 entries]");
}

#[test]
fn files_are_found_by_name_and_line() {
    for (is_git, world) in World::each().into_iter().enumerate() {
        let world = world.connected();
        let folder = world.workspace();
        fs::create_dir_all(folder.join("src/deep")).unwrap();
        for (name, text) in [
            ("src/a.rs", "fn main() {}\nlet x = \"Needle\";\n"),
            ("src/deep/b.rs", "needle\n\u{1b}[31mneedle\n"),
            ("src/c d.txt", "needle in text\n"),
            ("ignored.rs", "needle\n"),
            (".gitignore", "ignored.rs\n"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let is_git = is_git == 0;
        if is_git {
            let git = std::process::Command::new("git").args(["init", "-q"]).current_dir(&folder).status();
            assert!(git.unwrap().success());
        }
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
        fs::File::options().write(true).open(folder.join("src/a.rs")).unwrap().set_modified(old).unwrap();
        let mut peer = Peer::of(&world);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let found = lines(peer.call("glob", json!({ "pattern": "src/**/*.rs" })).fine());
        let by = if is_git { "git" } else { "find" };
        assert_eq!(found, ["src/deep/b.rs", "src/a.rs", &format!("[2 files, by {by}]")]);
        let found = lines(peer.call("glob", json!({ "pattern": "*.{rs,txt}", "path": "src" })).fine());
        assert_eq!((found.len(), found.contains(&"src/c d.txt".to_owned())), (4, true), "{found:?}");
        let all = lines(peer.call("glob", json!({ "pattern": "*.rs" })).fine());
        assert_eq!(all.len(), if is_git { 3 } else { 4 }, "{all:?}");
        assert_eq!(peer.call("glob", json!({ "pattern": "[" })).code(), "usage");
        let grep = |peer: &mut Peer, arguments: Value| lines(peer.call("grep", arguments).fine());
        let mut found = grep(&mut peer, json!({ "pattern": "^need.e", "path": "src" }));
        let last = found.pop().unwrap();
        found.sort_unstable();
        assert_eq!(found, ["src/c d.txt:1:needle in text", "src/deep/b.rs:1:needle"]);
        assert!(last.starts_with("[2 lines, by "), "{last}");
        let found = grep(
            &mut peer,
            json!({ "pattern": "needle", "glob": "*.rs", "ignore_case": true, "path": "src" }),
        );
        let coloured = "src/deep/b.rs:2:\\u{1b}[31mneedle".to_owned();
        assert!(found.contains(&coloured) && found.len() == 4, "{found:?}");
        let found = grep(&mut peer, json!({ "pattern": "Needle", "path": "src/a.rs", "context": 1 }));
        assert_eq!(found[..2], ["src/a.rs-1-fn main() {}", "src/a.rs:2:let x = \"Needle\";"], "{found:?}");
        let mut files = grep(&mut peer, json!({ "pattern": "needle", "mode": "files", "path": "src" }));
        files.pop();
        files.sort_unstable();
        assert_eq!(files, ["src/c d.txt", "src/deep/b.rs"]);
        let counted = grep(&mut peer, json!({ "pattern": "needle", "mode": "count", "path": "src/deep" }));
        assert_eq!(counted[0], "src/deep/b.rs:2");
        let counted = grep(&mut peer, json!({ "pattern": "in text", "mode": "count", "limit": 1 }));
        assert_eq!(counted[0], "src/c d.txt:1");
        let one = grep(&mut peer, json!({ "pattern": "needle", "limit": 1 }));
        assert!(one.len() == 2 && one[1].starts_with("[1 lines, and more"), "{one:?}");
        assert!(grep(&mut peer, json!({ "pattern": "no such line" }))[0].starts_with("[nothing found, by "));
        let bad = peer.call("grep", json!({ "pattern": "(" }));
        assert_eq!(bad.0["isError"], true);
        assert!(bad.text().contains(" says: \""), "{}", bad.text());
        assert_eq!(peer.call("grep", json!({ "pattern": "x", "path": "none" })).code(), "not_found");
    }
}

#[test]
fn local_files_are_those_of_the_project() {
    let world = World::new().connected();
    let (project, other) = (world.home().join("project"), world.home().join("other"));
    for folder in [&project.join(".git"), &other] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(project.join("file"), "mine").unwrap();
    fs::write(other.join("file"), "other").unwrap();
    symlink(&other, project.join("out")).unwrap();
    let mut peer = Peer::with(&world, &[], &project, |_| {});
    let sent = peer.call("put", json!({ "local": "file", "remote": "up/file" })).json();
    assert_eq!((&sent["bytes"], &sent["workspace_id"]), (&json!(4), &json!(1)));
    assert_eq!(fs::read_to_string(world.workspace().join("up/file")).unwrap(), "mine");
    fs::create_dir_all(world.workspace().join("tree/.git/hooks")).unwrap();
    fs::create_dir_all(world.workspace().join("tree/.claude")).unwrap();
    let obeyed = ["tree/.envrc", "tree/.claude/settings.json", "tree/CLAUDE.md\u{200b}"];
    for name in obeyed.into_iter().chain(["tree/.git/hooks/post-checkout", "tree/code", "tree/.git/config"]) {
        fs::write(world.workspace().join(name), "x").unwrap();
    }
    let fetched = peer.call("get", json!({ "remote": "tree", "local": "here/tree" })).json();
    assert!(fetched["skipped"].as_u64().unwrap() >= 3, "{fetched}");
    assert!(project.join("here/tree/code").exists() && !project.join("here/tree/.git").exists());
    assert!(project.join("here/tree/.envrc").exists(), "in a folder of its own nothing looks for it");
    // Merged into the project, git's own stays what it was.
    peer.call("get", json!({ "remote": "tree", "local": "." })).fine();
    assert!(project.join("tree/code").exists() && !project.join("tree/.git").exists());
    let merged = peer.call("get", json!({ "remote": "tree", "local": "../project" })).json();
    for name in obeyed.map(|name| name.strip_prefix("tree/").unwrap()) {
        assert!(!project.join(name).exists(), "{name}");
    }
    assert!(merged["kept_out"]["named"].as_array().unwrap().contains(&json!(".envrc")), "{merged}");
    assert!(project.join("code").exists() && fs::read_dir(project.join(".git")).unwrap().next().is_none());
    let refused = |peer: &mut Peer, tool: &str, arguments: Value, code: &str| {
        let said = peer.call(tool, arguments.clone());
        assert_eq!(said.code(), code, "{arguments}");
    };
    for local in ["out/file", "../other/file", "/etc/passwd", "~/.ssh/id"] {
        let code = if local.starts_with('~') { "not_found" } else { "usage" };
        refused(&mut peer, "put", json!({ "local": local, "remote": "x" }), code);
    }
    for local in ["out/new", "../other/new", "/tmp/new", ".git/hooks/x", ".git"] {
        refused(&mut peer, "get", json!({ "remote": "up/file", "local": local }), "usage");
    }
    fs::write(world.workspace().join("up/.git"), "gitdir: /tmp/evil").unwrap();
    for remote in ["up/.git", "tree/.git/config", "tree/.git/.", "tree/.GIT/hooks"] {
        refused(&mut peer, "get", json!({ "remote": remote, "local": "here/" }), "usage");
    }
    assert!(!other.join("new").exists());
    // A folder that the user names counts, too; our own never does.
    let root = other.to_str().unwrap();
    let mut named = Peer::with(&world, &["--local-root", root], &project, |_| {});
    named.call("put", json!({ "local": other.join("file"), "remote": "up/other" })).fine();
    let mut home = Peer::with(&world, &["--local-root", world.home().to_str().unwrap()], &project, |_| {});
    for secret in [world.cache("").join("attachments"), world.home().to_owned()] {
        refused(&mut home, "put", json!({ "local": secret, "remote": "x" }), "usage");
    }
    // Where the project is not known, nothing is.
    let plugin = world.home().join("plugin");
    fs::create_dir_all(&plugin).unwrap();
    let mut codex = Peer::with(&world, &[], &plugin, |command| {
        command.env("RUNCODE_LAUNCHER", plugin.join("launcher/runcode"));
    });
    let said = codex.call("put", json!({ "local": "file", "remote": "x", "workspace": "box" }));
    assert_eq!(said.code(), "usage");
    assert!(said.text().contains("--local-root DIR"), "{}", said.text());
    let meta = json!({ "codex/sandbox-state": { "sandboxCwd": project } });
    let arguments = json!({ "local": "file", "remote": "up/from-codex", "workspace": "box" });
    let answer = codex.ask("tools/call", &json!({ "name": "put", "arguments": arguments, "_meta": meta }));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

#[test]
fn a_cancelled_transfer_leaves_the_old_file() {
    let world = World::new().connected();
    let project = world.home().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("file"), "old").unwrap();
    let big = world.workspace().join("big");
    assert!(std::process::Command::new("mkfifo").arg(&big).status().unwrap().success());
    fs::write(world.workspace().join("new"), vec![7; 300 << 20]).unwrap();
    let mut peer = Peer::with(&world, &[], &project, |_| {});
    let id = peer.begin("get", &json!({ "remote": "new", "local": "file" }));
    let is_begun = || {
        let entries = fs::read_dir(&project).unwrap().flatten();
        entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with(".runcode-"))
    };
    until("it has begun", is_begun);
    peer.cancel(id);
    until("it is cleared up", || !is_begun());
    assert_eq!(fs::read_to_string(project.join("file")).unwrap(), "old");
    assert!(peer.call("exec", json!({ "command": "echo fine" })).fine().starts_with("fine"));
}

#[test]
fn a_port_is_forwarded() {
    use std::io::{Read as _, Write as _};
    let world = World::new().connected();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut peer = Peer::of(&world);
    let opened = peer.call("forward", json!({ "port": port, "local": 0 })).json();
    assert_eq!((&opened["port"], &opened["workspace_id"]), (&json!(port), &json!(1)));
    let local = u16::try_from(opened["local"].as_u64().unwrap()).unwrap();
    assert_eq!(opened["url"], format!("http://localhost:{local}"));
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"through").unwrap());
    let mut text = String::new();
    std::net::TcpStream::connect(("127.0.0.1", local)).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    let listed = peer.call("forward", json!({})).json();
    assert_eq!(listed["forwards"][0]["local"], local);
    let ended = peer.call("forward", json!({ "port": port, "cancel": true })).json();
    assert_eq!(ended["cancelled"][0]["port"], port);
}
