//! `config-ssh`: a block at the top of `~/.ssh/config`, and every other byte as it was.

mod names;

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use runcode_gateway::WorkspaceSpec;
use serde_json::json;

use crate::support::World;
use crate::support::fake_plane::FakePlane;

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
fn a_file_that_is_not_ours_is_shown_and_stays() {
    let world = World::new();
    write(&world, b"Host mine\n");
    let elsewhere = world.home().join("store");
    std::fs::rename(config(&world), &elsewhere).unwrap();
    symlink(&elsewhere, config(&world)).unwrap();
    if chown(&elsewhere, Some(65534), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let shown = world.run(&["config-ssh", "--dry-run"]).succeeds();
    assert!(shown.text().contains("+Host runcode."), "{shown:?}");
    let refused = world.run(&["config-ssh", "--json"]).fails_as("io", 1);
    assert!(refused.json()["hint"].as_str().unwrap().contains("config-ssh --dry-run"), "{refused:?}");
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"Host mine\n");
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
fn config_ssh_tells_what_breaks_its_hosts() {
    let world = World::new();
    for (default, is_told) in [
        ("PubkeyAcceptedAlgorithms ssh-rsa", true),
        ("HostKeyAlgorithms ssh-rsa", true),
        ("KexAlgorithms diffie-hellman-group14-sha256", true),
        ("Ciphers aes128-ctr", true),
        ("SessionType none", true),
        ("RequestTTY force", false),
        ("Compression yes", false),
    ] {
        write(&world, format!("Host *\n  {default}\n").as_bytes());
        let warnings = world.run(&["config-ssh", "--json"]).succeeds().json()["warnings"].to_string();
        let name = default.split(' ').next().unwrap().to_lowercase();
        assert_eq!(warnings.matches(&name).count(), usize::from(is_told), "{default}: {warnings}");
    }
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
    assert_eq!(text.lines().filter(|line| line.starts_with("Host runcode.")).count(), 2, "{text}");
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

/// The hosts and their ids, and the warnings.
fn hosts(world: &World, plane: &FakePlane) -> (Vec<(u64, String)>, String) {
    let report = world.run_at(&plane.base(), &["config-ssh", "--replace", "--json"]).succeeds().json();
    let host = |host: &serde_json::Value| {
        (host["workspace_id"].as_u64().unwrap(), host["host"].as_str().unwrap().to_owned())
    };
    (report["hosts"].as_array().unwrap().iter().map(host).collect(), report["warnings"].to_string())
}

/// Two lists of thousands: with names, with one name for all, and with names that no host can have.
#[test]
fn full_lists_make_a_small_block_soon() {
    let world = World::new();
    for name in [|id: u64| format!("w{id:x}"), |_| "same".to_owned(), |id| format!("no host {id:x}")] {
        let rows = |from: u64| {
            let row = |id| json!({"id": id, "title": name(id), "provider": "aws"});
            (from..from + 9_000).map(row).collect::<serde_json::Value>()
        };
        let plane = FakePlane::listing(rows(1), rows(100_001));
        let start = std::time::Instant::now();
        for arguments in [&["config-ssh", "--json"][..], &["connect", "nope", "--json"], &["list", "--json"]]
        {
            let said = world.run_at(&plane.base(), arguments);
            assert!(said.stderr.contains("over 4096 workspaces shared with you"), "{}", said.stderr);
            assert!(said.stdout.len() < 4 << 20, "{arguments:?}: {}", said.stdout.len());
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(30), "{:?}", start.elapsed());
        assert!(std::fs::metadata(config(&world)).unwrap().len() < 1 << 20);
    }
    // Whoever shares much leaves one's own their place.
    let own = json!([{"id": 900_000, "title": "mine", "provider": "aws"}]);
    let theirs =
        (1..3000).map(|id| json!({"id": id, "title": format!("t{id}"), "provider": "aws"})).collect();
    let (hosts, warnings) = hosts(&world, &FakePlane::listing(own, theirs));
    assert_eq!((hosts.len(), hosts[255].1.as_str()), (256, "runcode.mine"));
    assert!(warnings.contains("2644 more workspaces are left out"), "{warnings}");
}

/// A project's settings can name another control plane and the token that it gave: not the hosts of the user's own go for it.
#[test]
fn another_planes_hosts_are_not_replaced() {
    let (world, other) = (World::new(), World::new());
    let report = world.run(&["config-ssh", "--json"]).succeeds().json();
    let plane = report["plane"].as_str().unwrap().to_owned();
    let before = std::fs::read_to_string(config(&world)).unwrap();
    assert!(before.contains(&format!("# Control plane: {plane}\n")), "{before}");
    // As a version wrote it that did not say whose hosts they are.
    let older = before.replace(&format!("# Control plane: {plane}\n"), "");
    for content in [&before, &older] {
        write(&world, content.as_bytes());
        let run = |options: &[&str]| {
            let mut command = world.command(&[&["config-ssh", "--json"][..], options].concat());
            command.env("RUNCODE_API_BASE", other.base()).env("RUNCODE_TOKEN", other.token());
            crate::support::CommandOutput::of(command.output().unwrap())
        };
        let refused = run(&[]).fails_as("conflict", 2).json();
        assert!(refused["message"].as_str().unwrap().contains(&plane), "{refused}");
        assert!(refused["hint"].as_str().unwrap().contains("--replace"), "{refused}");
        let warned = run(&["--dry-run"]).succeeds().json();
        assert!(warned["warnings"].to_string().contains(&plane), "{warned}");
        assert_eq!(std::fs::read_to_string(config(&world)).unwrap(), **content);
        world.run(&["config-ssh"]).succeeds();
        let replaced = run(&["--replace"]).succeeds().json();
        assert_ne!(replaced["plane"], plane.as_str());
        world.run(&["config-ssh", "--replace"]).succeeds();
    }
    let said = world.run(&["config-ssh"]).succeeds();
    assert!(said.text().contains(&format!("the workspaces of {plane}")), "{said:?}");
}

/// Nor do the keys and pins of the hosts come to lie in a project.
#[test]
fn no_folder_of_a_project_goes_into_ssh_config() {
    let world = World::new();
    let (project, own) = (world.home().join("project"), world.home().join("own"));
    for folder in [project.join(".git"), own.clone()] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let run = |name: &str, folder: &std::path::Path| {
        let mut command = world.command(&["config-ssh", "--json"]);
        command.env(name, folder).current_dir(&project);
        crate::support::CommandOutput::of(command.output().unwrap())
    };
    symlink(&project, world.home().join("way")).unwrap();
    for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
        for folder in [project.join("c"), world.home().join("way/c")] {
            run(name, &folder).fails_as("conflict", 2);
            assert!(!config(&world).exists(), "{name}");
        }
        run(name, std::path::Path::new("/proc/self/cwd/c")).succeeds();
        let written = std::fs::read_to_string(config(&world)).unwrap();
        assert!(!written.contains("/proc/"), "{written}");
        std::fs::remove_file(config(&world)).unwrap();
    }
    run("XDG_CACHE_HOME", &own).succeeds();
    assert!(std::fs::read_to_string(config(&world)).unwrap().contains(own.to_str().unwrap()));
}
