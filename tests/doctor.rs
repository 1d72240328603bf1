//! `doctor`: what is wrong, and how to fix it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{CommandOutput, World};

fn check(report: &Value, name: &str) -> (String, String) {
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check `{name}` in {report}"));
    (check["status"].as_str().unwrap().to_owned(), check["detail"].as_str().unwrap().to_owned())
}

#[test]
fn a_healthy_machine_passes() {
    let world = World::new().connected();
    let report = world.run(&["doctor", "--json"]).succeeds().json();
    assert_eq!(report["ok"], true);
    for name in
        ["token", "api-base", "platform", "status-line", "auth", "cache", "attached-session", "ssh-config"]
    {
        assert_eq!(check(&report, name).0, "ok", "{name}: {report}");
    }
    assert!(check(&report, "ssh").1.contains("OpenSSH"));
    assert!(!report.to_string().contains(world.token()));
    let text = world.run(&["doctor"]).succeeds();
    assert!(!text.text().contains(world.token()) && text.text().contains("✓ auth"));
}

#[test]
fn each_fault_names_its_fix() {
    let world = World::new();
    let run = |change: &dyn Fn(&mut std::process::Command)| {
        let mut command = world.command(&["doctor", "--json"]);
        change(&mut command);
        CommandOutput::of(command.output().unwrap())
    };
    let without_token = run(&|command| {
        command.env_remove("RUNCODE_TOKEN");
    });
    // Hosts of one's own need no token.
    let report = without_token.succeeds().json();
    let (status, detail) = check(&report, "token");
    assert_eq!((status.as_str(), detail.contains("ssh:HOST")), ("warn", true), "{detail}");
    let report = run(&|command| {
        command.env("RUNCODE_TOKEN", "wrong");
    });
    assert!(check(&report.ends_with(1).json(), "auth").1.contains("runcode login"));
    let report = run(&|command| {
        command.env("RUNCODE_API_BASE", "http://example.com");
    });
    assert_eq!(check(&report.ends_with(1).json(), "api-base").0, "fail");
    let report = run(&|command| {
        command.env("PATH", "/nowhere");
    });
    let (status, detail) = check(&report.ends_with(1).json(), "ssh");
    assert!(status == "fail" && detail.contains("install"), "{detail}");
    let report = run(&|command| {
        command.env("HOME", "relative");
    });
    assert_eq!(check(&report.ends_with(1).json(), "cache").0, "fail");
}

#[test]
fn doctor_finds_damaged_state() {
    let world = World::new().connected();
    world.run(&["config-ssh"]).succeeds();
    std::fs::set_permissions(world.cache(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let report = world.run(&["doctor", "--json"]).succeeds().json();
    assert!(check(&report, "cache").1.contains("chmod go-rwx"), "{report}");
    std::fs::set_permissions(world.cache(""), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(world.cache("ws-1/known_hosts"), "").unwrap();
    let config = world.home().join(".ssh/config");
    let text = std::fs::read_to_string(&config).unwrap().replace("ProxyCommand \"", "ProxyCommand \"/gone");
    std::fs::write(&config, text).unwrap();
    let report = world.run(&["doctor", "--json"]).ends_with(1).json();
    assert!(check(&report, "attached-session").1.contains("connect 1 --force"), "{report}");
    assert!(check(&report, "ssh-config").1.contains("runcode config-ssh"), "{report}");
}

#[test]
fn doctor_connects_as_editors_do() {
    for world in World::each() {
        world.run(&["connect", "1"]).succeeds();
        let said = world.run(&["doctor", "--editors", "--json"]);
        let report = said.json();
        for name in ["terminal", "vs-code", "sftp", "zed"] {
            assert_eq!(check(&report, name).0, "ok", "{report}");
        }
    }
    let report = World::new().run(&["doctor", "--editors", "--json"]).ends_with(1).json();
    assert!(check(&report, "editors").1.contains("runcode connect"), "{report}");
}

/// At 80 columns, where most terminals are.
#[test]
fn doctor_lists_faults_first() {
    let world = World::new();
    let ssh = world.home().join("old-ssh");
    let version = "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026";
    std::fs::write(&ssh, format!("#!/bin/sh\necho '{version}' >&2\n")).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        let command = command.env("RUNCODE_SSH", &ssh).env("RUNCODE_TOKEN", "wrong");
        CommandOutput::of(command.output().unwrap()).ends_with(1)
    };
    let text = run(&["doctor"]);
    let signs = text.text().lines().filter_map(|line| line.chars().next()).filter(|sign| *sign != ' ');
    let signs = signs.collect::<String>();
    let ranked = signs.chars().map(|sign| "✗!✓".find(sign).unwrap()).collect::<Vec<_>>();
    assert!(signs.starts_with('✗') && signs.contains('✓') && ranked.is_sorted(), "{signs}");
    let line = text.text().lines().find(|line| line.contains("CVE-")).unwrap();
    let shown = line.replace(ssh.to_str().unwrap(), "/usr/local/bin/ssh");
    assert!(shown.starts_with('!') && shown.chars().count() <= 80, "{shown}");
    let (status, detail) = check(&run(&["doctor", "--json"]).json(), "ssh");
    assert_eq!(status, "warn");
    assert!(detail.contains(version) && detail.contains("CVE-2025-61984"), "{detail}");
}
