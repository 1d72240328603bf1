//! `install-statusline` and `install-path`: other programs' files, in and out again.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{CommandOutput, World};

fn settings(world: &World) -> PathBuf {
    world.home().join(".claude/settings.json")
}

fn write(path: &std::path::Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn removing_the_statusline_leaves_no_trace() {
    let world = World::new();
    for content in [
        "{}",
        "{\n  \"model\": \"opus\",\n  \"hooks\": {}\n}\n",
        "{\"b\":1,\"a\":[ ]}",
        "{\r\n\t\"x\": null\r\n}",
    ] {
        write(&settings(&world), content.as_bytes());
        std::fs::set_permissions(settings(&world), std::fs::Permissions::from_mode(0o640)).unwrap();
        let report = world.run(&["install-statusline", "--json"]).succeeds().json();
        assert_eq!((&report["installed"], &report["changed"]), (&true.into(), &true.into()));
        assert_eq!(std::fs::read_to_string(world.home().join(".claude/settings.json.bak")).unwrap(), content);
        let written: Value = serde_json::from_slice(&std::fs::read(settings(&world)).unwrap()).unwrap();
        let line = &written["statusLine"];
        assert_eq!((&line["type"], &line["padding"]), (&"command".into(), &0.into()));
        let said = CommandOutput::of(
            Command::new("sh")
                .args(["-c", line["command"].as_str().unwrap()])
                .env_clear()
                .env("HOME", world.home())
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap(),
        );
        assert_eq!((said.status, said.text()), (0, ""), "the command runs");
        assert_eq!(world.run(&["install-statusline", "--json"]).succeeds().json()["changed"], false);
        assert_eq!(std::fs::metadata(settings(&world)).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["statusline_installed"], true);
        world.run(&["install-statusline", "--remove"]).succeeds();
        assert_eq!(std::fs::read_to_string(settings(&world)).unwrap(), content);
    }
    std::fs::remove_dir_all(world.home().join(".claude")).unwrap();
    world.run(&["install-statusline"]).succeeds();
    world.run(&["install-statusline", "--remove"]).succeeds();
    assert!(!settings(&world).exists());
    assert_eq!(world.run(&["install-statusline", "--remove", "--json"]).succeeds().json()["changed"], false);
}

#[test]
fn existing_statuslines_are_kept_or_wrapped() {
    let world = World::new();
    let theirs = r#"{"statusLine": {"type": "command", "command": "echo 'it is' mine"}, "z": 1}"#;
    write(&settings(&world), theirs.as_bytes());
    world.run(&["install-statusline", "--json"]).fails_as("error", 1);
    assert_eq!(std::fs::read_to_string(settings(&world)).unwrap(), theirs);
    for flag in ["--wrap", "--force"] {
        world.run(&["install-statusline", flag]).succeeds();
        let written: Value = serde_json::from_slice(&std::fs::read(settings(&world)).unwrap()).unwrap();
        let command = written["statusLine"]["command"].as_str().unwrap();
        let said = CommandOutput::of(
            Command::new("sh")
                .args(["-c", command])
                .env_clear()
                .env("HOME", world.home())
                .env("PATH", "/usr/bin:/bin")
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap(),
        );
        assert_eq!(said.succeeds().text(), if flag == "--wrap" { "it is mine\n" } else { "" });
        world.run(&["install-statusline", "--remove"]).succeeds();
        assert_eq!(std::fs::read_to_string(settings(&world)).unwrap(), theirs, "{flag}");
    }
}

#[test]
fn unreadable_settings_are_not_touched() {
    let world = World::new();
    for content in ["[]", "{broken", "\u{feff}[]", "// comment\n{}", "{} {}"] {
        write(&settings(&world), content.as_bytes());
        for arguments in [
            &["install-statusline", "--json"][..],
            &["install-statusline", "--force", "--json"],
            &["install-statusline", "--remove", "--json"],
        ] {
            world.run(arguments).fails_as("error", 1);
        }
        assert_eq!(std::fs::read_to_string(settings(&world)).unwrap(), content);
    }
}

#[test]
fn settings_follow_environment_and_links() {
    let world = World::new();
    let (folder, real) = (world.home().join("elsewhere"), world.home().join("dotfiles/claude.json"));
    write(&real, b"{\"a\": 1}\n");
    std::fs::create_dir(&folder).unwrap();
    symlink(&real, folder.join("settings.json")).unwrap();
    let run = |arguments: &[&str]| {
        CommandOutput::of(world.command(arguments).env("CLAUDE_CONFIG_DIR", &folder).output().unwrap())
            .succeeds();
    };
    run(&["install-statusline"]);
    assert!(std::fs::read_to_string(&real).unwrap().contains("statusLine"));
    assert!(std::fs::symlink_metadata(folder.join("settings.json")).unwrap().is_symlink());
    run(&["install-statusline", "--remove"]);
    assert_eq!(std::fs::read_to_string(&real).unwrap(), "{\"a\": 1}\n");
    assert!(!settings(&world).exists());
}

#[test]
fn install_path_wrapper_runs_and_is_removed() {
    let world = World::new();
    let report = world.run(&["install-path", "--json"]).succeeds().json();
    let wrapper = world.home().join(".local/bin/runcode");
    assert_eq!(report["path"].as_str().unwrap(), wrapper.to_str().unwrap());
    assert_eq!(report["on_path"], false);
    assert!(report["advice"].as_str().unwrap().contains(".local/bin"));
    let said =
        CommandOutput::of(Command::new(&wrapper).arg("--version").env_clear().output().unwrap()).succeeds();
    assert!(said.text().starts_with("runcode "));
    // From now on it is what other programs are told, outside the folder that it lies in: that may be a project's.
    let work = world.home().join("work");
    std::fs::create_dir(&work).unwrap();
    let config_from = |folder: &std::path::Path| {
        world.run_in(folder, &["config-ssh"]).succeeds();
        std::fs::read_to_string(world.home().join(".ssh/config")).unwrap()
    };
    assert!(!config_from(world.home()).contains(&format!("\"{}\"", wrapper.display())));
    let config = config_from(&work);
    assert!(config.contains(&format!("ProxyCommand \"{}\" proxy 1", wrapper.display())), "{config}");
    world.run(&["install-path"]).succeeds();
    world.run(&["install-path", "--remove"]).succeeds();
    assert!(!wrapper.exists());
    world.run(&["install-path", "--remove"]).succeeds();
    write(&wrapper, b"#!/bin/sh\necho mine\n");
    for arguments in [&["install-path", "--json"][..], &["install-path", "--remove", "--json"]] {
        world.run(arguments).fails_as("error", 1);
    }
    assert_eq!(std::fs::read(&wrapper).unwrap(), b"#!/bin/sh\necho mine\n");
}

/// A project's settings can set the variable, and what stands in the wrapper runs from now on.
#[test]
fn only_a_launcher_goes_into_the_wrapper() {
    let world = World::new();
    let own = world.home().join("plugin/launcher/runcode");
    let project = world.home().join("project");
    let theirs = project.join("launcher/runcode");
    let (unmarked, link) = (world.home().join("plugin/other"), world.home().join("link"));
    let launcher = b"#!/bin/sh\n# runcode-launcher: finds it\n";
    for (path, content) in [
        (&own, &launcher[..]),
        (&theirs, launcher),
        (&unmarked, b"#!/bin/sh\nrm -rf /\n\n# runcode-launcher\n"),
    ] {
        write(path, content);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::create_dir(project.join(".git")).unwrap();
    symlink(&theirs, &link).unwrap();
    let wrapper = world.home().join(".local/bin/runcode");
    for (named, counts) in [
        (own.to_str().unwrap(), true),
        (unmarked.to_str().unwrap(), false),
        (theirs.to_str().unwrap(), false),
        (link.to_str().unwrap(), false),
        ("launcher/runcode", false),
        ("/proc/self/cwd/../plugin/launcher/runcode", false),
        ("/dev/fd/../cwd/../plugin/launcher/runcode", false),
        ("/", false),
    ] {
        let mut install = world.command(&["install-path"]);
        install.env("RUNCODE_LAUNCHER", named).current_dir(&project);
        CommandOutput::of(install.output().unwrap()).succeeds();
        let written = std::fs::read_to_string(&wrapper).unwrap();
        assert_eq!(written.contains("# runcode-launcher wrapper"), counts, "{named}: {written}");
        assert_eq!(written.contains(named) && named != "/", counts, "{named}: {written}");
    }
    for name in ["launcher/runcode", "launcher/runcode.ps1", "launcher/runcode.cmd"] {
        let text =
            std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(text.lines().take(2).any(|line| line.contains(" runcode-launcher")), "{name}");
    }
}

#[test]
fn startup_files_are_restored_exactly() {
    let world = World::new();
    for (shell, file) in [
        ("/bin/bash", ".bashrc"),
        ("/usr/bin/zsh", ".zshrc"),
        ("/usr/bin/fish", ".config/fish/conf.d/runcode.fish"),
        ("/bin/dash", ".profile"),
    ] {
        if cfg!(target_os = "macos") && shell == "/bin/bash" {
            continue;
        }
        let path = world.home().join(file);
        for content in [None, Some(&b""[..]), Some(b"alias x=y"), Some(b"\xff\r\nexport A=1\r\n")] {
            if let Some(content) = content {
                write(&path, content);
            }
            for _ in 0..2 {
                let mut install = world.command(&["install-path", "--profile"]);
                CommandOutput::of(install.env("SHELL", shell).output().unwrap()).succeeds();
            }
            assert!(
                std::fs::read_to_string(&path).is_ok_and(|text| text.contains(".local/bin"))
                    || content.is_some_and(|content| content.contains(&0xff))
            );
            world.run(&["install-path", "--remove"]).succeeds();
            assert_eq!(std::fs::read(&path).ok().as_deref(), content, "{shell}");
            let _ = std::fs::remove_file(&path);
        }
    }
}
