//! A server on which only profiles may run stays one under every name that leads to it.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::json;

use super::{with_servers, write};
use crate::support::{World, processes_with};

const RESTRICTED: &str = "[servers.prod]\nauth_method = \"ssh\"\nhost = \"box\"\nallowed_profiles = [\"say\"]\n\
                          [profiles.say]\ntemplate = \"echo said\"\n";

/// What ssh was called for, since it was last asked.
fn calls(world: &World) -> Vec<String> {
    let log = world.home().join("calls");
    let lines = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(log);
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn no_other_name_leads_past_the_profiles() {
    let Some(world) = with_servers(RESTRICTED) else { return };
    let config = world.home().join(".ssh/config");
    let text = std::fs::read_to_string(&config).unwrap();
    let port = text.lines().find_map(|line| line.trim().strip_prefix("Port ")).unwrap().to_owned();
    let other = text.replacen("Host box", "Host box alias", 1);
    std::fs::write(&config, other).unwrap();
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap().trim().to_owned();
    let [by_port, by_user] = [format!("ssh://127.0.0.1:{port}"), format!("{user}@box")];
    calls(&world);
    for name in ["ssh:box", "box", "ssh:BOX", "ssh:alias", "alias", &by_port, &by_user] {
        let said = world.run(&["run", name, "--json", "--", "touch ran"]).ends_with(255).json();
        assert_eq!(said["error"], "policy_denied", "{name}: {said}");
        assert!(said["hint"].as_str().unwrap().contains("runcode servers profiles prod"), "{said}");
        assert_eq!(world.run(&["connect", name, "--json"]).ends_with(2).json()["error"], "policy_denied");
    }
    let made = calls(&world);
    assert!(made.iter().all(|call| call.starts_with("-G ")), "nothing was connected to: {made:?}");
    assert!(!world.home().join("sshd/ran").exists());
    assert_eq!(world.run(&["run", "prod", "--profile", "say"]).succeeds().text(), "said\n");
    // Another machine and another user are none of the server's.
    for name in ["ssh:no-such-user@box", "ssh:127.0.0.2"] {
        let said = world.run(&["run", name, "--timeout", "10", "--json", "--", "true"]).json();
        assert_ne!(said["error"], "policy_denied", "{name}: {said}");
    }
}

#[test]
fn a_restriction_ends_what_another_name_has() {
    let Some(world) = with_servers("") else { return };
    world.run(&["connect", "ssh:box"]).succeeds();
    assert_eq!(world.run(&["exec", "--", "echo ran"]).succeeds().text(), "ran\n");
    calls(&world);
    world.run(&["exec", "--", "true"]).succeeds();
    assert_eq!(calls(&world), [""; 0], "a warm command asks ssh nothing");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let said = world.run(&["forward", &port, "--local", "0", "--json"]).succeeds().json();
    let local = u16::try_from(said["forwards"][0]["local"].as_u64().unwrap()).unwrap();
    let is_open = || TcpStream::connect(("127.0.0.1", local)).is_ok();
    assert!(is_open());
    write(&world, RESTRICTED);
    for words in [&["forward", "--list"][..], &["exec", "--", "echo ran"], &["forward", "5174"]] {
        let said = world.run(&[&["--json"], words].concat()).json();
        assert_eq!(said["error"], "policy_denied", "{words:?}: {said}");
        assert!(!is_open(), "{words:?}");
    }
    assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new());
    write(&world, "");
    assert_eq!(world.run(&["exec", "--", "echo again"]).succeeds().text(), "again\n");
    assert_eq!(world.run(&["forward", "--list", "--json"]).succeeds().json()["forwards"], json!([]));
}
