//! `context`: correct, stable, and not steered by what programs on the workspace print.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::World;

#[test]
fn a_workspace_is_described() {
    for world in World::each() {
        let world = world.connected();
        let folder = world.workspace();
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=n", "-c", "user.email=e", "-c", "safe.directory=*"]).args(arguments);
            assert!(git.current_dir(&folder).env("HOME", world.home()).output().unwrap().status.success());
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["remote", "add", "origin", "https://user:secret@example.com/r.git"]);
        git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        let context = world.run(&["context", "--json"]).succeeds().json();
        assert_eq!(context["git"]["branch"], "main");
        assert_eq!(context["git"]["dirty"], false);
        assert_eq!(context["git"]["remote"], "https://example.com/r.git");
        assert_eq!(context["git"]["head"].as_str().unwrap().len(), 40);
        for name in ["package.json", "Makefile", "new file"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let context = world.run(&["context", "box", "--json"]).succeeds().json();
        assert_eq!(context["markers"], serde_json::json!(["package.json", "Makefile"]));
        assert_eq!(context["git"]["dirty"], true);
        assert_eq!((&context["workspace_id"], &context["cwd"]), (&1.into(), &context["workdir"]));
        for field in ["os", "arch", "kernel", "user", "shell"] {
            assert!(!context[field].as_str().unwrap().is_empty(), "{field}");
        }
        assert!(context["cpus"].as_u64().unwrap() > 0 && context["disk"]["free_bytes"].as_u64().unwrap() > 0);
        assert!(context["memory"]["total_bytes"].as_u64().unwrap() > 0);
        assert!(context["tools"]["git"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let context = world.run(&["context", "--json"]).succeeds().json();
        let listed = context["ports"].as_array().unwrap().iter().find(|row| row["port"] == port);
        assert_eq!(listed.unwrap()["loopback"], true);
        let text = world.run(&["context"]).succeeds();
        assert!(text.text().contains("main, changed") && !text.text().contains("secret"));
    }
}

#[test]
fn context_neutralises_workspace_output() {
    let world = World::new().connected();
    let folder = world.workspace();
    fs::write(folder.join(".bashrc"), "echo 'cwd /evil'; printf '\\033[2Jnoise'\n").unwrap();
    fs::write(folder.join(".zshenv"), "echo 'cwd /evil'; printf '\\033[2Jnoise'\n").unwrap();
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["git", "node", "python3"] {
        let script = "#!/bin/sh\nprintf 'user evil\\nM user evil\\n\\033]0;title\\007 9.9\\n'; printf '\\nuser evil\\n' >&2; yes | head -c 3000000\n";
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let before = world.run(&["context", "--json"]).succeeds().json();
    fs::write(folder.join(".bashrc"), format!("echo noise; export PATH={}:$PATH\n", bin.display())).unwrap();
    let after = world.run(&["context", "--json"]).succeeds();
    assert!(
        !after.text().contains('\u{1b}') && !world.run(&["context"]).succeeds().text().contains('\u{1b}')
    );
    for field in ["user", "cwd", "os", "markers"] {
        assert_eq!(after.json()[field], before[field], "{field}");
    }
    assert!(Path::new(before["cwd"].as_str().unwrap()).ends_with("box"));
}

#[test]
fn a_missing_project_folder_is_reported() {
    let world = World::new().connected();
    fs::remove_dir_all(world.workspace()).unwrap();
    let said = world.run(&["context", "--json"]);
    if said.status == 0 {
        assert_eq!(said.json()["in_workdir"], false);
    }
}

/// A repository that git does not look through still says where it stands, and why no more.
#[test]
fn an_unreadable_repository_says_why() {
    let world = World::new().connected();
    let folder = world.workspace();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=n", "-c", "user.email=e", "-c", "safe.directory=*"]).args(arguments);
        assert!(git.current_dir(&folder).env("HOME", world.home()).output().unwrap().status.success());
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["config", "remote.origin.url", "https://example.com/r.git?private_token=secret"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    let git_says = |why: &str| {
        let found = world.run(&["context", "--json"]).succeeds().json()["git"].clone();
        assert_eq!(
            (&found["branch"], &found["why"], &found["dirty"]),
            (&"main".into(), &why.into(), &().into())
        );
        assert_eq!(
            (found["head"].as_str().unwrap().len(), &found["remote"]),
            (40, &"https://example.com/r.git".into())
        );
        assert!(world.run(&["context"]).succeeds().text().contains("main, not looked through: "));
    };
    let index = folder.join(".git/index");
    fs::write(&index, "no index").unwrap();
    git_says("failed");
    fs::remove_file(&index).unwrap();
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let late = "#!/bin/sh\ncase \" $* \" in *' status '*) exit 124 ;; esac\nshift\nexec \"$@\"\n";
    fs::write(bin.join("timeout"), late).unwrap();
    fs::set_permissions(bin.join("timeout"), fs::Permissions::from_mode(0o755)).unwrap();
    for name in [".bashrc", ".zshenv"] {
        fs::write(folder.join(name), format!("export PATH={}:$PATH\n", bin.display())).unwrap();
    }
    git_says("slow");
    for name in [".bashrc", ".zshenv"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    if rustix::process::getuid().is_root() {
        std::os::unix::fs::chown(&folder, Some(65_534), None).unwrap();
        std::os::unix::fs::chown(folder.join(".git"), Some(65_534), None).unwrap();
        git_says("dubious_ownership");
    }
}

/// A clone brings what its author wrote, a bare repository with a config of its own too. Git would run what that says.
/// What a checkout can cause to run: a git filter, of the repository or of a submodule, and a tool that stands in for
/// others, as rustup's tools do.
#[test]
fn a_checkout_runs_nothing() {
    let world = World::new().connected();
    let folder = world.workspace();
    let ran = world.home().join("ran");
    let git = |folder: &Path, arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "protocol.file.allow=always", "-c", "user.name=x", "-c", "user.email=x@x"])
            .args(arguments);
        assert!(
            git.current_dir(folder).env("HOME", world.home()).output().unwrap().status.success(),
            "{arguments:?}"
        );
    };
    let run = format!("touch {}; cat", ran.display());
    let inner = world.home().join("inner");
    fs::create_dir(&inner).unwrap();
    for folder in [&inner, &folder] {
        git(folder, &["init", "-q"]);
        fs::write(folder.join("file"), "old").unwrap();
        git(folder, &["add", "file"]);
        git(folder, &["commit", "-qm", "x"]);
    }
    git(&folder, &["submodule", "--quiet", "add", inner.to_str().unwrap(), "sub"]);
    git(&folder, &["commit", "-qm", "sub"]);
    let sub = folder.join("sub");
    git(&sub, &["config", "core.fsmonitor", &format!("touch {}; false", ran.display())]);
    fs::write(sub.join("file"), "new").unwrap();
    let bin = world.home().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("rustc"), "#!/bin/sh\n[ -e evil ] && . ./evil\necho rustc 1.2.3\n").unwrap();
    fs::set_permissions(bin.join("rustc"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("evil"), &run).unwrap();
    fs::write(folder.join(".bashrc"), format!("export PATH={}:$PATH\n", bin.display())).unwrap();
    let context = || world.run(&["context", "--json"]).succeeds().json();
    let told = context();
    assert_eq!((&told["git"]["dirty"], &told["tools"]["rustc"]), (&true.into(), &"1.2.3".into()), "{told}");
    assert!(!ran.exists(), "a submodule's fsmonitor, or a tool");
    // Git LFS, as the user has it, obeys the checkout's configuration; a list that takes too long hides nothing.
    git(&folder, &["config", "--global", "filter.lfs.clean", &run]);
    git(&folder, &["config", "filter.own.clean", &run]);
    fs::write(folder.join(".gitattributes"), "file filter=own\n").unwrap();
    fs::write(folder.join("file"), "new").unwrap();
    let told = context();
    assert_eq!(
        (&told["git"]["dirty"], &told["git"]["why"]),
        (&serde_json::Value::Null, &"own_filters".into()),
        "{told}"
    );
    assert!(!ran.exists(), "a filter");
}

/// Parts of PATH that are relative mean the folder of the project, with whatever a checkout has put there.
#[test]
fn a_relative_path_runs_nothing() {
    for world in World::each() {
        let world = world.connected();
        let (folder, ran) = (world.workspace(), world.home().join("ran"));
        assert!(Command::new("git").args(["init", "-q"]).arg(&folder).status().unwrap().success());
        fs::create_dir_all(folder.join("tree/bin")).unwrap();
        for place in ["", "bin", "tree", "tree/bin"] {
            fs::create_dir_all(folder.join(place)).unwrap();
            for name in [
                "cat",
                "chmod",
                "df",
                "find",
                "git",
                "grep",
                "head",
                "id",
                "ls",
                "mkdir",
                "mv",
                "nproc",
                "rm",
                "rmdir",
                "sed",
                "sha256sum",
                "sort",
                "stat",
                "tail",
                "tar",
                "tee",
                "timeout",
                "touch",
                "tr",
                "uname",
                "wc",
                "xargs",
            ] {
                let program = folder.join(place).join(name);
                fs::write(&program, format!("#!/bin/sh\necho {name} >>'{}'\n", ran.display())).unwrap();
                fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        let export = "export PATH=.:bin::$PATH:\nexport LD_LIBRARY_PATH=:lib\n";
        fs::write(folder.join(".bashrc"), export).unwrap();
        fs::create_dir_all(world.home().join("local/x")).unwrap();
        fs::write(world.home().join("local/x/file"), "new").unwrap();
        let told = world.run(&["exec", "--", "echo $PATH"]).succeeds();
        let is_set = told.text().starts_with(".:bin::");
        if !is_set {
            continue; // this login reads no such file
        }
        let told = world.run(&["context", "--json"]).succeeds().json();
        assert_eq!(told["git"]["dirty"], true, "{told}");
        for arguments in [
            &["put", "local/x", "tree/"][..],
            &["put", "local/x/file", "tree/file"],
            &["put", "local/x/file", "new/file"],
            &["get", "tree", "--out", "got"],
            &["get", "tree/file", "--out", "gotten"],
        ] {
            world.run(arguments).succeeds();
        }
        world.run_with(&["write", "tree/file"], b"newer").succeeds();
        assert!(!ran.exists(), "{}", fs::read_to_string(&ran).unwrap());
    }
}

#[test]
fn a_bare_repository_runs_nothing() {
    let world = World::new().connected();
    let folder = world.workspace();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["--git-dir=.", "--work-tree=."]).args(arguments).current_dir(&folder);
        assert!(git.env("HOME", world.home()).output().unwrap().status.success(), "{arguments:?}");
    };
    let path = folder.to_str().unwrap();
    assert!(Command::new("git").args(["init", "-q", "--bare", path]).status().unwrap().success());
    fs::write(folder.join("file"), "old").unwrap();
    fs::write(folder.join(".gitattributes"), "file filter=own\n").unwrap();
    git(&["add", "file", ".gitattributes"]);
    fs::write(folder.join("file"), "new").unwrap();
    for (name, value) in [
        ("core.bare", "false"),
        ("core.worktree", "."),
        ("core.fsmonitor", "touch ran; false"),
        ("filter.own.clean", "touch ran; cat"),
    ] {
        git(&["config", name, value]);
    }
    assert_eq!(world.run(&["context", "--json"]).succeeds().json()["git"], serde_json::Value::Null);
    assert!(!folder.join("ran").exists());
}
