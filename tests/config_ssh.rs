//! `config-ssh`: a block at the top of `~/.ssh/config`, and every other byte as it was.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use runcode_plane::WorkspaceSpec;

use crate::support::World;

fn config(world: &World) -> PathBuf {
    world.home().join(".ssh/config")
}

fn write(world: &World, content: &[u8]) {
    std::fs::create_dir_all(world.home().join(".ssh")).unwrap();
    std::fs::write(config(world), content).unwrap();
}

#[test]
fn removing_config_ssh_restores_every_byte() {
    let world = World::new();
    let odd: [&[u8]; 7] = [
        b"",
        b"Host *\n  User me\n",
        b"Host a\r\n\tPort 22\r\n\r\n",
        b"# no newline at the end",
        b"# \xff\xfe not UTF-8\nHost b\n",
        b"\n\n\n",
        b"ServerAliveInterval 7\n# (runcode made this file)\n",
    ];
    for content in odd {
        write(&world, content);
        for _ in 0..2 {
            world.run(&["config-ssh"]).succeeds();
        }
        let written = std::fs::read(config(&world)).unwrap();
        assert!(
            written.starts_with(b"# >>> runcode managed block (do not edit) >>>\n")
                && written.ends_with(content)
        );
        assert_eq!(std::fs::metadata(config(&world)).unwrap().permissions().mode() & 0o777, 0o600);
        world.run(&["config-ssh", "--remove"]).succeeds();
        assert_eq!(std::fs::read(config(&world)).unwrap(), content);
    }
    assert_eq!(
        std::fs::read(world.home().join(".ssh/config.bak")).unwrap(),
        odd[0],
        "the first run's backup stays"
    );
    std::fs::remove_dir_all(world.home().join(".ssh")).unwrap();
    world.run(&["config-ssh"]).succeeds();
    assert_eq!(std::fs::metadata(world.home().join(".ssh")).unwrap().permissions().mode() & 0o777, 0o700);
    world.run(&["config-ssh", "--remove"]).succeeds();
    assert!(!config(&world).exists());
    let nothing = world.run(&["config-ssh", "--remove", "--json"]).succeeds().json();
    assert_eq!((&nothing["changed"], &nothing["removed"]), (&false.into(), &false.into()));
}

#[test]
fn a_dry_run_changes_nothing() {
    let world = World::new();
    write(&world, b"Host *\n");
    let shown = world.run(&["config-ssh", "--dry-run"]).succeeds();
    assert!(shown.text().contains("+Host runcode.box\n") && shown.text().contains(" Host *\n"), "{shown:?}");
    let report = world.run(&["config-ssh", "--dry-run", "--json"]).succeeds().json();
    assert_eq!((&report["changed"], &report["dry_run"]), (&false.into(), &true.into()));
    assert!(report["diff"].as_str().unwrap().contains("+Host runcode.box\n"));
    assert_eq!(std::fs::read(config(&world)).unwrap(), b"Host *\n");
    assert!(!world.home().join(".ssh/config.bak").exists());
}

#[test]
fn a_linked_ssh_config_stays_a_link() {
    let world = World::new();
    let real = world.home().join("dotfiles/ssh_config");
    std::fs::create_dir_all(real.parent().unwrap()).unwrap();
    std::fs::write(&real, "Host a\n").unwrap();
    std::fs::create_dir(world.home().join(".ssh")).unwrap();
    symlink("../dotfiles/ssh_config", config(&world)).unwrap();
    world.run(&["config-ssh"]).succeeds();
    assert!(std::fs::symlink_metadata(config(&world)).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().ends_with("Host a\n"));
    world.run(&["config-ssh", "--remove"]).succeeds();
    assert_eq!(std::fs::read_to_string(&real).unwrap(), "Host a\n");
}

#[test]
fn unpaired_markers_stop_config_ssh() {
    let world = World::new();
    let (begin, end) = ("# >>> runcode managed block (do not edit) >>>", "# <<< runcode managed block <<<");
    for content in
        [format!("{begin}\nHost a\n"), format!("{end}\n"), format!("{begin}\n{end}\n{begin}\n{end}\n")]
    {
        write(&world, content.as_bytes());
        for arguments in [&["config-ssh", "--json"][..], &["config-ssh", "--remove", "--json"]] {
            world.run(arguments).fails_as("error", 1);
            assert_eq!(std::fs::read_to_string(config(&world)).unwrap(), content);
        }
    }
}

#[test]
fn config_ssh_warns_about_user_overrides() {
    let world = World::new();
    write(&world, b"StrictHostKeyChecking no\nHost *\n  IdentityFile ~/.ssh/id_rsa\n  ProxyJump bastion\n  User me\n  KnownHostsCommand /bin/true %H\n");
    let warnings = world.run(&["config-ssh", "--json"]).succeeds().json()["warnings"].to_string();
    assert!(
        warnings.contains("identityfile ~/.ssh/id_rsa") && warnings.contains("knownhostscommand"),
        "{warnings}"
    );
    assert!(
        !warnings.contains("bastion") && !warnings.contains("stricthost") && !warnings.contains("user me"),
        "{warnings}"
    );
    write(&world, b"NoSuchDirective yes\n");
    let broken = world.run(&["config-ssh", "--json"]).succeeds().json()["warnings"].to_string();
    assert!(broken.contains("nosuchdirective"), "{broken}");
}

#[test]
fn only_valid_host_names_are_written() {
    let world = World::with(|options| {
        let folder = options.workspaces[0].dir.clone();
        let mut evil = WorkspaceSpec::new("quiet", &folder);
        evil.custom_title = Some("x\nHost *\n  ProxyCommand touch /tmp/evil".into());
        let mut elsewhere = WorkspaceSpec::new("no-ssh", &folder);
        elsewhere.provider = "gcp".into();
        options.workspaces.extend([evil, elsewhere]);
    });
    let report = world.run(&["config-ssh", "--json"]).succeeds().json();
    let hosts = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["host"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(hosts, ["runcode.box", "runcode.quiet"]);
    let text = std::fs::read_to_string(config(&world)).unwrap();
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("Host ")).count(), 2, "{text}");
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("ProxyCommand")).count(), 2);
}

#[test]
fn config_ssh_warns_if_ssh_ignores_home() {
    let world = World::new();
    let report = world.run(&["config-ssh", "--json"]).succeeds().json();
    let note = report["note"].as_str().unwrap();
    assert!(note.contains(&format!("ssh -F {}", config(&world).display())), "{note}");
    assert!(world.run(&["config-ssh"]).succeeds().text().contains(note));
}

#[test]
fn config_ssh_checks_the_first_64_hosts() {
    let world = World::with(|options| {
        let folder = options.workspaces[0].dir.clone();
        options.workspaces.extend((2..=70).map(|id| WorkspaceSpec::new(format!("w-{id}"), &folder)));
    });
    write(&world, b"Host runcode.w-64 runcode.w-65\n  IdentityFile /tmp/other\n");
    let report = world.run(&["config-ssh", "--json"]).succeeds().json();
    assert_eq!(report["hosts"].as_array().unwrap().len(), 70);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("runcode.w-64") && !warnings.contains("runcode.w-65"), "{warnings}");
    assert!(warnings.contains("the first 64 of 70 hosts"), "{warnings}");
}
