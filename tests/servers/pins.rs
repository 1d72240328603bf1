//! Pinned host keys: how they are got, and whether they count; and `servers check` of one server.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{file, with_servers, write};
use crate::ssh_hosts::moves::{machine, second};
use crate::support::World;
use crate::support::real_sshd::keygen;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

const GPU: &str = "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n";

/// The key of a public key file, without its comment.
fn key(path: &Path) -> String {
    read(path).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// As ssh-keygen shows it.
fn fingerprint(path: &Path) -> String {
    let said = Command::new("ssh-keygen").arg("-lf").arg(path).output().unwrap();
    String::from_utf8(said.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

/// Gives the machine a second host key, of another type.
fn with_two_keys(world: &mut World) {
    let other = world.own_sshd().file("other_key");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(&other);
    assert!(keygen.status().unwrap().success());
    world.own_sshd().restart_with(&format!("HostKey {}\n", other.display()));
}

#[test]
fn pin_shows_every_key_and_writes_nothing() {
    let Some(mut world) = with_servers(&format!("# mine\n{GPU}")) else { return };
    with_two_keys(&mut world);
    let keys = ["host_key.pub", "other_key.pub"].map(|name| world.own_sshd().file(name));
    let (known_hosts, text) = (world.home().join(".ssh/known_hosts"), read(&file(&world)));
    // Whatever the user's policy is, nothing is accepted for the user.
    std::fs::write(&known_hosts, "").unwrap();
    let config = world.home().join(".ssh/config");
    let lax = "StrictHostKeyChecking accept-new\nHashKnownHosts yes\nNoHostAuthenticationForLocalhost yes\n";
    std::fs::write(&config, format!("{lax}{}", read(&config))).unwrap();
    for words in ["gpu", "server:gpu"] {
        let said = world.run(&["servers", "pin", words, "--json"]).succeeds().json();
        assert_eq!(said["host_keys"], json!(keys.each_ref().map(|path| key(path))), "{said}");
        let shown = said["keys"].as_array().unwrap().iter().map(|row| row["fingerprint"].as_str().unwrap());
        assert!(shown.eq(keys.iter().map(|path| fingerprint(path))), "{said}");
        assert_eq!((&said["pinned"], &said["file"]), (&json!("none"), &json!(file(&world))));
    }
    assert_eq!((read(&known_hosts), read(&file(&world))), (String::new(), text.clone()));
    assert!(!world.home().join(".cache/runcode/srv-gpu").exists());
    // What it shows can be pasted as it is, and then counts.
    let said = world.run(&["servers", "pin", "gpu"]).succeeds();
    assert!(said.text().contains("ssh-keygen -lf") && said.text().contains("Compare before"), "{said:?}");
    let pasted = said.text().split_once("host_keys = [").unwrap().1;
    write(&world, &format!("{text}host_keys = [{pasted}"));
    world.run(&["connect", "gpu"]).succeeds();
    assert!(world.run(&["servers", "pin", "gpu"]).succeeds().text().contains("nothing to do"));
}

/// Another key in place of a pinned one is told, and no success.
#[test]
fn pin_is_never_silent_about_another_key() {
    let Some(mut world) = with_servers("") else { return };
    with_two_keys(&mut world);
    let another = world.home().join("another");
    keygen(&another, "");
    let [own, another] = [world.own_sshd().file("host_key.pub"), another.with_extension("pub")];
    let pin = |lines: &[String]| {
        write(&world, &format!("{GPU}host_keys = {}\n", json!(lines)));
        world.run(&["servers", "pin", "gpu", "--json"])
    };
    let said = pin(&[key(&another)]).ends_with(1).json();
    assert_eq!(said["pinned"], "others");
    assert_eq!(said["not_shown"], json!([fingerprint(&another)]));
    let text = world.run(&["servers", "pin", "gpu"]).ends_with(1);
    assert!(
        text.text().contains("none of them") && text.text().contains("pinned, but not shown"),
        "{text:?}"
    );
    let said = pin(&[key(&another), key(&own)]).succeeds().json();
    assert_eq!((&said["pinned"], &said["keys"][0]["pinned"]), (&json!("shown"), &json!(true)), "{said}");
    assert_eq!(said["keys"][1]["pinned"], false);
    let said = pin(&[format!("@cert-authority {}", key(&another))]).succeeds().json();
    assert_eq!(said["pinned"], "authorities");
    // What cannot be asked is told as everywhere.
    world.own_sshd().stop();
    world.run(&["servers", "pin", "gpu", "--json"]).fails_as("transport", 1);
    for (name, code) in [("nobody", "not_found"), ("ssh:box", "not_found")] {
        world.run(&["servers", "pin", name, "--json"]).fails_as(code, 2);
    }
    write(&world, &format!("{GPU}requires_approval = true\n"));
    world.run(&["servers", "pin", "gpu", "--json"]).fails_as("unavailable", 2);
}

/// Behind a jump host, the pin is the target's; the jump host stays the user's own known_hosts' business.
#[test]
fn a_pin_is_the_targets_and_not_the_jump_hosts() {
    let Some(world) = with_servers("") else { return };
    let ssh = world.home().join(".ssh");
    let known = read(&ssh.join("known_hosts"));
    let Some((second, lines)) = second(&world) else { return };
    std::fs::write(ssh.join("known_hosts"), &known).unwrap(); // the jump host alone
    let config = format!("Host behind\n{lines}  ProxyJump box\n{}", read(&ssh.join("config")));
    std::fs::write(ssh.join("config"), config).unwrap();
    let far = "[servers.far]\nauth_method = \"ssh\"\nhost = \"behind\"\n";
    write(&world, far);
    world.run(&["connect", "far", "--json"]).fails_as("host_key_unknown", 1);
    let said = world.run(&["servers", "pin", "far", "--json"]).succeeds().json();
    assert_eq!(said["host_keys"], json!([key(&second.file("host_key.pub"))]), "{said}");
    let pinned = |pins: &Value| write(&world, &format!("{far}host_keys = {pins}\n"));
    pinned(&said["host_keys"]);
    world.run(&["connect", "far"]).succeeds();
    assert_eq!(machine(&world), "second");
    // The jump host's own key is not the target's.
    let jump = known.split_once(' ').unwrap().1.split(' ').take(2).collect::<Vec<_>>().join(" ");
    pinned(&json!([jump]));
    assert!(world.run(&["exec", "--", "echo ran"]).ends_with(255).stdout.is_empty());
    world.run(&["connect", "far", "--json"]).fails_as("host_key_changed", 1);
    // And no pin vouches for the jump host.
    pinned(&said["host_keys"]);
    std::fs::write(ssh.join("known_hosts"), "").unwrap();
    let said = world.run(&["connect", "far", "--json"]).fails_as("transport", 1).json();
    assert!(said["message"].as_str().unwrap().contains("through `box`"), "{said}");
    assert_eq!(read(&ssh.join("known_hosts")), "");
}

#[test]
fn check_tries_a_server_out() {
    let Some(mut world) = with_servers(GPU) else { return };
    let check = |world: &World| world.run(&["servers", "check", "gpu", "--json"]);
    assert_eq!(check(&world).succeeds().json()["ok"], true);
    assert!(world.run(&["servers", "check", "gpu"]).succeeds().text().contains("lets you in"));
    // A connection that stands says nothing of the key that is shown now.
    world.run(&["connect", "gpu"]).succeeds();
    let errors = |world: &World, at: &str, part: &str| {
        let said = check(world).ends_with(2).json();
        let error = &said["errors"][0];
        assert_eq!((&said["ok"], &error["at"]), (&json!(false), &json!(at)), "{said}");
        assert!(error["message"].as_str().unwrap().contains(part), "{said}");
    };
    let known_hosts = world.home().join(".ssh/known_hosts");
    let known = read(&known_hosts);
    std::fs::write(&known_hosts, "").unwrap();
    errors(&world, "servers.gpu", "servers pin gpu");
    std::fs::write(&known_hosts, &known).unwrap();
    keygen(&world.home().join("another"), "");
    let pins = json!([key(&world.home().join("another.pub"))]);
    write(&world, &format!("{GPU}host_keys = {pins}\n"));
    errors(&world, "servers.gpu.host_keys", "does not pin");
    write(&world, GPU);
    // What only a person can answer is no mistake of the file's.
    world.own_sshd().restart_with("PasswordAuthentication yes\nPubkeyAuthentication no\n");
    let said = check(&world).succeeds().json();
    assert!(said["warnings"][0]["message"].as_str().unwrap().contains("--interactive"), "{said}");
    world.own_sshd().restart_with("ForceCommand echo welcome\n");
    let said = check(&world).succeeds().json();
    assert!(said["warnings"][0]["message"].as_str().unwrap().contains("runcode doctor gpu"), "{said}");
    world.run(&["servers", "check", "nobody", "--json"]).fails_as("not_found", 2);
    write(&world, &format!("{GPU}port = 0\n"));
    errors(&world, "servers.gpu.port", "between");
}
