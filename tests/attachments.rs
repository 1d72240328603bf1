//! Which workspace a command means: each project has its own.

mod elsewhere;

use std::path::{Path, PathBuf};

use runcode_gateway::WorkspaceSpec;

use crate::support::{CommandOutput, World, processes_with};

/// A world with the workspaces `box` and `other`, whose folders say which they are, and three projects.
struct Projects {
    world: World,
    a: PathBuf,
    b: PathBuf,
    c: PathBuf,
}

impl Projects {
    fn new() -> Projects {
        let world = World::with(|options| {
            let mut other = options.workspaces[0].clone();
            other.title = "other".into();
            other.dir = other.dir.with_file_name("other");
            std::fs::create_dir(&other.dir).unwrap();
            options.workspaces.push(other);
        });
        for name in ["box", "other"] {
            std::fs::write(world.home().join(name).join("name"), name).unwrap();
        }
        let [a, b, c] = ["a", "b", "c"].map(|name| {
            let folder = world.home().join(name);
            std::fs::create_dir_all(folder.join("src")).unwrap();
            folder
        });
        Projects { world, a, b, c }
    }

    /// `a` is attached to `box`, `b` to `other`.
    fn connected() -> Projects {
        let projects = Projects::new();
        projects.at(&projects.a, &["connect", "box"]).succeeds();
        projects.at(&projects.b, &["connect", "other"]).succeeds();
        projects
    }

    fn at(&self, folder: &Path, arguments: &[&str]) -> CommandOutput {
        self.world.run_in(folder, arguments)
    }

    /// The workspace that a command in `folder` reaches.
    fn reached(&self, folder: &Path, options: &[&str]) -> String {
        let arguments = [&["exec"], options, &["--", "cat", "name"]].concat();
        self.at(folder, &arguments).succeeds().text().to_owned()
    }
}

#[test]
fn each_project_reaches_its_own_workspace() {
    let it = Projects::connected();
    for (folder, name) in [(&it.a, "box"), (&it.b, "other"), (&it.a.join("src"), "box")] {
        assert_eq!(it.reached(folder, &[]), name);
        assert_eq!(it.at(folder, &["current", "--json"]).succeeds().json()["name"], name);
        let line = it.at(folder, &["statusline", "--plain"]).succeeds();
        assert!(line.text().starts_with(&format!("working-on:{name} ")), "{line:?}");
        let id = if name == "box" { "#1" } else { "#2" };
        assert!(it.at(folder, &["hook", "session-start"]).succeeds().text().contains(id));
    }
    // Elsewhere nobody chooses; whoever asks is told what there is.
    let said = it.at(&it.c, &["exec", "--json", "--", "true"]).fails_as("ambiguous", 255);
    let message = said.json()["message"].as_str().unwrap().to_owned();
    for shown in ["box (#1) for \"", "/a\"", "other (#2) for \"", "/b\""] {
        assert!(message.contains(shown), "{message}");
    }
    for arguments in
        [&["put", "name", "x"][..], &["get", "name"], &["write", "x"], &["context"], &["forward", "80"]]
            .into_iter()
            .chain([&["current"][..], &["disconnect"], &["stop"], &["clean"]])
    {
        it.at(&it.c, &[arguments, &["--json"]].concat()).fails_as("ambiguous", 2);
    }
    for quiet in [&["statusline"][..], &["hook", "session-start"]] {
        assert_eq!(it.at(&it.c, quiet).succeeds().text(), "");
    }
    it.at(&it.c, &["doctor"]).succeeds();
    // A deeper folder may have its own, and the rest of the project keeps what it has.
    let said = it.at(&it.c, &["connect", "other", "--here", "../a/src", "--json"]).succeeds();
    assert_eq!(said.json()["folder"], it.a.join("src").canonicalize().unwrap().to_str().unwrap());
    assert!(said.stderr.contains("box (#1) stays attached to"), "{said:?}");
    assert_eq!((it.reached(&it.a, &[]), it.reached(&it.a.join("src"), &[])), ("box".into(), "other".into()));
}

#[test]
fn projects_at_work_at_once_never_mix() {
    let it = Projects::new();
    std::thread::scope(|scope| {
        for (folder, name) in [(&it.a, "box"), (&it.b, "other"), (&it.c, "box")] {
            let it = &it;
            scope.spawn(move || {
                for round in 0..4 {
                    it.at(folder, &["connect", name]).succeeds();
                    assert_eq!(it.reached(folder, &[]), name, "round {round}");
                    let file = format!("{}-{round}", folder.file_name().unwrap().to_str().unwrap());
                    it.world.command(&["write", &file]).current_dir(folder).status().unwrap();
                    let said = it.at(&folder.join("src"), &["exec", "--", "ls", &file]).succeeds();
                    assert_eq!(said.text(), format!("{file}\n"));
                    it.at(folder, &["disconnect"]).succeeds();
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(it.world.cache("")).unwrap().count(), 0);
}

#[test]
fn a_named_workspace_comes_before_attached_ones() {
    let it = Projects::connected();
    for options in [&["-w", "other"][..], &["-wOTHER"], &["--workspace=2"]] {
        assert_eq!(it.reached(&it.a, options), "other", "{options:?}");
    }
    let with_variable = |folder: &Path, name: &str, arguments: &[&str]| {
        let mut command = it.world.command(arguments);
        CommandOutput::of(command.env("RUNCODE_WORKSPACE", name).current_dir(folder).output().unwrap())
    };
    let reach = ["exec", "--", "cat", "name"];
    assert_eq!(with_variable(&it.a, "other", &reach).succeeds().text(), "other");
    assert_eq!(with_variable(&it.c, "1", &reach).succeeds().text(), "box");
    assert_eq!(with_variable(&it.a, "", &reach).succeeds().text(), "box");
    assert_eq!(with_variable(&it.a, "other", &["exec", "-w", "box", "--", "cat", "name"]).text(), "box");
    let said = with_variable(&it.a, "nobody", &["exec", "--json", "--", "true"]).fails_as("not_found", 255);
    assert!(said.json()["message"].as_str().unwrap().starts_with("RUNCODE_WORKSPACE: "), "{said:?}");
    // What is told is what commands do.
    let current = with_variable(&it.a, "other", &["current", "--json"]).succeeds().json();
    assert_eq!((&current["name"], &current["attached"]), (&"other".into(), &false.into()));
    assert_eq!(current["named"], "other");
    let line = with_variable(&it.a, "other", &["statusline", "--plain"]).succeeds();
    assert!(line.text().starts_with("working-on:other "), "{line:?}");
    assert_eq!(with_variable(&it.a, "nobody", &["statusline"]).succeeds().text(), "");
    let said = with_variable(&it.c, "other", &["connect", "box"]).succeeds();
    assert!(said.stderr.contains("RUNCODE_WORKSPACE is set"), "{said:?}");
    with_variable(&it.c, "other", &["disconnect", "--json"]).fails_as("not_found", 2);
    assert_eq!(it.reached(&it.c, &[]), "box", "it is still attached");
    // From the first word of the command on, everything is the command's.
    assert_eq!(it.at(&it.a, &["exec", "echo", "-w", "other"]).succeeds().text(), "-w other\n");
    assert_eq!(it.at(&it.a, &["context", "-w", "other", "--json"]).succeeds().json()["name"], "other");
    it.at(&it.a, &["context", "box", "-w", "other"]).ends_with(2);
    let said = it.at(&it.a, &["-w", "other", "exec", "--", "true"]).ends_with(255);
    assert!(said.stderr.contains("runcode exec -w NAME"), "{said:?}");
}

/// Whoever reads a report sees where the change was made.
#[test]
fn every_change_names_its_workspace() {
    let it = Projects::connected();
    std::fs::write(it.a.join("f"), "text").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    for (options, name, id) in [(&[][..], "box", 1), (&["-w", "other"], "other", 2)] {
        for arguments in [
            &["put", "f", "there"][..],
            &["put", "src", "folder"],
            &["write", "w", "--file", "f"],
            &["get", "name", "--out", "n"],
            &["forward", &port],
            &["forward", "--list"],
            &["forward", "--cancel"],
            &["stop"],
        ] {
            let with = |more: &[&str]| it.at(&it.a, &[arguments, options, more].concat()).succeeds();
            if !arguments.contains(&"--cancel") && arguments != ["stop"] {
                assert!(with(&[]).text().contains(&format!("{name} (#{id})")), "{arguments:?}");
            }
            let said = with(&["--json"]).json();
            assert_eq!(
                (&said["name"], &said["workspace_id"]),
                (&name.into(), &id.into()),
                "{arguments:?}: {said}"
            );
        }
    }
}

/// `HOST:PATH` is how scp, docker and kubectl write it.
#[test]
fn a_path_with_a_workspace_before_it_is_refused() {
    let it = Projects::connected();
    std::fs::write(it.a.join("f"), "text").unwrap();
    let before = |name: &str| std::fs::read_dir(it.world.home().join(name)).unwrap().count();
    let (boxes, others) = (before("box"), before("other"));
    for (arguments, instead) in [
        (&["put", "f", "box:src/"][..], "runcode put LOCAL src/ -w box"),
        (&["put", "f", "OTHER:"], "runcode put LOCAL . -w OTHER"),
        (&["put", "f", "2:x"], "-w 2"),
        (&["put", "f", "me@nobody.invalid:x"], "-w me@nobody.invalid"),
        (&["put", "f", "ssh:nobody.invalid:x"], "-w ssh:nobody.invalid"),
        (&["put", "f", "runcode.other:x"], "-w other"),
        (&["put", "box:x", "y"], "runcode get x --out LOCAL -w box"),
        (&["get", "other:name"], "runcode get name -w other"),
        (&["get", "name", "box:name"], "runcode get name -w box"),
        (&["get", "name", "--out", "box:name"], "runcode put LOCAL name -w box"),
        (&["write", "other:w", "--file", "f"], "runcode write w -w other"),
        (&["write", "w", "--file", "other:f"], "runcode get f --out LOCAL -w other"),
    ] {
        let said = it.at(&it.a, &[arguments, &["--json"]].concat()).fails_as("usage", 2).json();
        assert!(said["hint"].as_str().unwrap().contains(instead), "{arguments:?}: {said}");
        assert!(said["hint"].as_str().unwrap().contains("`./"), "{said}");
    }
    assert_eq!((before("box"), before("other")), (boxes, others), "nothing was sent");
    // What is no workspace's name is a name, and so is what says that it is.
    for name in ["no-such:x", "9:30", "a b:c", "./box:src", "./2:x"] {
        it.at(&it.a, &["put", "f", name]).succeeds();
        assert_eq!(it.at(&it.a, &["get", name]).succeeds().text(), "text", "{name}");
    }
    std::fs::write(it.a.join("box:here"), "local").unwrap();
    it.at(&it.a, &["put", "box:here", "sent"]).succeeds();
    assert_eq!(it.at(&it.a, &["get", "sent"]).succeeds().text(), "local");
    // A host of the ssh config, which has no session yet.
    let Some(world) = World::own_host().map(World::connected) else { return };
    let config = world.home().join(".ssh/config");
    let text = std::fs::read_to_string(&config).unwrap().replace("Host box", "Host box mine");
    std::fs::write(&config, text).unwrap();
    for (name, is_refused) in [("mine:x", true), ("yours:x", false)] {
        let said = world.run_with(&["write", name], b"text");
        assert_eq!(said.stderr.contains("runcode write x -w mine"), is_refused, "{said:?}");
        assert_eq!(world.workspace().join(name).exists(), !is_refused, "{name}");
    }
}

#[test]
fn disconnect_leaves_other_folders_alone() {
    let it = Projects::connected();
    it.at(&it.c, &["connect", "box"]).succeeds();
    let said = it.at(&it.a, &["disconnect", "--json"]).succeeds().json();
    assert_eq!((&said["disconnected"], &said["kept"]), (&true.into(), &true.into()));
    let c = it.c.canonicalize().unwrap();
    assert_eq!(said["still_attached_to"], serde_json::json!([c]));
    assert!(it.world.cache("ws-1/meta.json").exists(), "the session is used by another folder");
    assert_eq!((it.reached(&it.c, &[]), it.reached(&it.b, &[])), ("box".into(), "other".into()));
    it.at(&it.a, &["exec", "--json", "--", "true"]).fails_as("ambiguous", 255);
    let said = it.at(&it.c, &["disconnect", "other", "--json"]).fails_as("not_found", 2).json();
    assert!(said["message"].as_str().unwrap().contains("box (#1) is attached"), "{said}");
    // The last one ends it; and who types on is told where that goes.
    let said = it.at(&it.c, &["disconnect"]).succeeds();
    assert!(said.text().contains("commands here reach other (#2)"), "{said:?}");
    assert!(!it.world.cache("ws-1").exists() && it.world.cache("ws-2").exists());
    it.at(&it.a, &["connect", "box"]).succeeds();
    let said = it.at(&it.c, &["disconnect", "--all", "--json"]).succeeds().json();
    assert_eq!(said["detached"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!(std::fs::read_dir(it.world.cache("")).unwrap().count(), 0);
    assert_eq!(processes_with(&it.world.cache("").to_string_lossy()), Vec::<String>::new());
    assert_eq!(it.at(&it.c, &["disconnect", "--all", "--json"]).succeeds().json()["disconnected"], false);
}

#[test]
fn what_is_gone_says_what_to_do_next() {
    let it = Projects::connected();
    std::fs::rename(&it.a, it.world.home().join("a-2")).unwrap();
    assert_eq!(it.reached(&it.world.home().join("a-2"), &[]), "other", "the one whose folder is there");
    std::fs::remove_dir_all(&it.b).unwrap();
    let said = it.at(&it.c, &["exec", "--json", "--", "true"]).fails_as("not_found", 255).json();
    assert!(said["message"].as_str().unwrap().contains("folders no longer exist"), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("runcode connect"), "{said}");
    it.at(&it.c, &["disconnect", "--all"]).succeeds();
    // A workspace that the control plane no longer knows.
    it.at(&it.c, &["connect", "box"]).succeeds();
    let text = std::fs::read_to_string(it.world.attachment()).unwrap();
    let gone = text.replace("\"workspace_id\":1", "\"workspace_id\":99").replace("box", "old");
    std::fs::write(it.world.attachment(), gone).unwrap();
    let said = it.at(&it.c, &["exec", "--json", "--", "true"]).fails_as("not_found", 255).json();
    assert!(said["message"].as_str().unwrap().starts_with("old (#99): "), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("runcode disconnect"), "{said}");
    it.at(&it.c, &["clean", "--all"]).succeeds();
    // A folder that is removed while a shell is in it.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "rmdir ../gone && exec \"$@\"", "sh"]);
    let gone = it.world.home().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let command = it.world.command(&["connect", "box", "--json"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear().current_dir(&gone);
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = CommandOutput::of(shell.output().unwrap()).fails_as("io", 1).json();
    assert!(said["hint"].as_str().unwrap().contains("--here"), "{said}");
    assert!(!it.world.cache("ws-1").exists(), "nothing was made");
    it.at(&it.c, &["connect", "box", "--here", "nowhere", "--json"]).fails_as("io", 1);
    it.at(&it.c, &["connect", "box", "--here", "/etc/passwd", "--json"]).fails_as("usage", 2);
}

/// What is said is so: nothing is announced that then fails.
#[test]
fn an_attachment_that_fails_is_not_announced() {
    let world = World::two().connected();
    let said = world.run(&["connect", "other", "--json"]).succeeds();
    assert!(
        said.stderr.contains("other (#2) is attached to this folder now, no longer box (#1)"),
        "{said:?}"
    );
    let files = world.cache("attachments");
    let before = std::fs::read(world.attachment()).unwrap();
    std::fs::rename(&files, world.cache("kept")).unwrap();
    std::fs::write(&files, "in the way").unwrap();
    let said = world.run(&["connect", "box", "--json"]).fails_as("io", 1);
    assert_eq!(said.stderr, "");
    std::fs::remove_file(&files).unwrap();
    std::fs::rename(world.cache("kept"), &files).unwrap();
    assert_eq!(std::fs::read(world.attachment()).unwrap(), before);
    let file = world.attachment();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let said = world.run(&["connect", "box"]).ends_with(1);
    assert!(said.stderr.starts_with("runcode: ") && !said.stderr.contains("now, no longer"), "{said:?}");
}

#[test]
fn a_link_to_a_project_is_the_project() {
    let it = Projects::connected();
    let link = it.world.home().join("c/link");
    std::os::unix::fs::symlink(&it.a, &link).unwrap();
    assert_eq!(it.reached(&link, &[]), "box");
    // A shell keeps the way that its user came; the working directory itself has lost it.
    let as_given = |arguments: &[&str]| {
        let mut command = it.world.command(arguments);
        CommandOutput::of(command.env("PWD", &link).current_dir(&link).output().unwrap())
    };
    it.at(&it.a, &["disconnect"]).succeeds();
    it.at(&it.c, &["connect", "box"]).succeeds();
    assert_eq!(as_given(&["exec", "--", "cat", "name"]).succeeds().text(), "box");
    as_given(&["connect", "other"]).succeeds();
    assert_eq!(it.reached(&it.a, &[]), "other", "it is one folder, by two names");
}

/// A command with this title asks the control plane, which may know one of the user's own workspaces by it.
#[test]
fn a_shared_workspaces_title_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = WorkspaceSpec { shared: true, running: true, ..WorkspaceSpec::new("theirs", folder.path()) };
    let world = World::with(|options| options.workspaces.push(theirs));
    let home = world.home().to_owned();
    world.run(&["connect", "theirs"]).succeeds();
    let with_variable = |name: &str, arguments: &[&str]| {
        let mut command = world.command(arguments);
        CommandOutput::of(command.env("RUNCODE_WORKSPACE", name).current_dir(&home).output().unwrap())
    };
    let line = world.command(&["statusline", "--plain"]).current_dir(&home).output().unwrap();
    assert!(CommandOutput::of(line).text().starts_with("working-on:theirs (#2, shared) "));
    let said = with_variable("theirs", &["current", "--json"]).fails_as("ambiguous", 2);
    assert!(said.json()["hint"].as_str().unwrap().ends_with("give the id instead: 2"), "{said:?}");
    assert_eq!(with_variable("2", &["current", "--json"]).succeeds().json()["workspace_id"], 2);
    for silent in [&["statusline"][..], &["hook", "session-start"]] {
        assert_eq!(with_variable("theirs", silent).succeeds().text(), "", "{silent:?}");
    }
    assert_ne!(with_variable("2", &["hook", "session-start"]).succeeds().text(), "");
}
