//! What a name leads to changes: another address, a jump host in between. Nothing goes to where it led before.

use std::io::Write as _;
use std::path::Path;

use super::{calls, read};
use crate::support::World;
use crate::support::real_sshd::RealSshd;

/// A second machine, with its own host key and home folder, that lets the same key in. Its ssh config lines.
pub(crate) fn second(world: &World) -> Option<(RealSshd, String)> {
    let folder = world.home().join("second");
    std::fs::create_dir(&folder).unwrap();
    let sshd = RealSshd::start(&folder)?;
    let ssh = world.home().join(".ssh");
    let (port, host_key) = sshd.authorize(&read(&ssh.join("id.pub")));
    let mut known = std::fs::File::options().append(true).open(ssh.join("known_hosts")).unwrap();
    writeln!(known, "[127.0.0.1]:{port} {host_key}").unwrap();
    let lines = format!("  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {}\n", ssh.join("id").display());
    Some((sshd, lines))
}

/// Which machine a command runs on: each sshd of the tests sets a home folder of its own.
pub(crate) fn machine(world: &World) -> String {
    let said = world.run(&["exec", "--", "echo $HOME"]).succeeds();
    let home = Path::new(said.text().trim()).parent().unwrap();
    home.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_host_that_moves_is_never_mixed_up() {
    let Some(world) = World::own_host() else { return };
    let Some((_second, lines)) = second(&world) else { return };
    let (config, included) = (world.home().join(".ssh/config"), world.home().join(".ssh/conf.d/moves"));
    std::fs::create_dir(included.parent().unwrap()).unwrap();
    let first = read(&config);
    std::fs::write(&config, format!("Include conf.d/*\n{first}")).unwrap();
    world.run(&["connect", "box"]).succeeds();
    let here = world.home().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(machine(&world), here);

    // Another address, in a file that was not there before; the old connection is up.
    std::fs::write(&included, format!("Host box\n{lines}")).unwrap();
    assert_eq!(machine(&world), "second");
    // An editor's save that changes nothing for this host ends no connection.
    let logins = || calls(&world).iter().filter(|call| call.contains(" -M ")).count();
    assert_eq!(logins(), 2);
    std::fs::write(&included, format!("Host box\n{lines}\nHost unrelated\n  Port 9\n")).unwrap();
    assert_eq!(machine(&world), "second");
    assert_eq!(logins(), 2);

    // Behind a jump: the machine it was on first is the way to the second.
    std::fs::write(&included, format!("Host box\n{lines}  ProxyJump first\n")).unwrap();
    let first = first.replace("Host box", "Host first");
    std::fs::write(&config, format!("Include conf.d/*\n{first}")).unwrap();
    assert_eq!(machine(&world), "second");
    assert_eq!(logins(), 3);
    std::fs::write(world.home().join("file"), "x").unwrap();
    world.run(&["put", "file", &world.home().join("there").display().to_string()]).succeeds();
    assert_eq!(read(&world.home().join("there")), "x");

    // And back, at the next `connect`.
    std::fs::write(&included, "").unwrap();
    std::fs::write(&config, first.replace("Host first", "Host box")).unwrap();
    assert_eq!(world.run(&["connect", "box", "--json"]).succeeds().json()["reused"], false);
    assert_eq!(machine(&world), here);
}

#[test]
fn a_jump_host_with_an_unknown_key_is_told() {
    let Some(world) = World::own_host() else { return };
    let Some((_second, lines)) = second(&world) else { return };
    let ssh = world.home().join(".ssh");
    let config = read(&ssh.join("config"));
    std::fs::write(ssh.join("config"), format!("Host behind\n{lines}  ProxyJump box\n{config}")).unwrap();
    let known = read(&ssh.join("known_hosts"));
    let (first, others) = known.split_once('\n').unwrap();
    std::fs::write(ssh.join("known_hosts"), others).unwrap();
    let said = world.run(&["connect", "behind", "--json"]).fails_as("transport", 1).json();
    assert!(said["message"].as_str().unwrap().contains("through `box`"), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("`runcode connect ssh:box`"), "{said}");
    world.run(&["connect", "ssh:box", "--json"]).fails_as("host_key_unknown", 1);
    std::fs::write(ssh.join("known_hosts"), first).unwrap();
    let said = world.run(&["connect", "behind", "--json"]).fails_as("host_key_unknown", 1).json();
    assert!(said["fingerprint"].as_str().is_some_and(|it| it.starts_with("SHA256:")), "{said}");
}

/// Without a socket each command connects by itself. What ssh logs about the way there is not the command's stderr.
#[test]
fn a_jump_hosts_log_is_not_the_commands() {
    let Some(world) = World::own_host() else { return };
    let Some((_second, lines)) = second(&world) else { return };
    let ssh = world.home().join(".ssh");
    let config = read(&ssh.join("config"));
    std::fs::write(ssh.join("config"), format!("Host behind\n{lines}  ProxyJump box\n{config}")).unwrap();
    world.run(&["connect", "behind"]).succeeds();
    let file = world.session_file("meta.json");
    let mut meta: serde_json::Value = serde_json::from_str(&read(&file)).unwrap();
    meta["control_path"] = serde_json::Value::Null;
    std::fs::write(&file, meta.to_string()).unwrap();
    let said = world.run(&["exec", "--", "echo out; echo err >&2"]).succeeds();
    // The jump host's banner is there, as with plain ssh.
    let lines = said.stderr.lines().filter(|line| !line.starts_with("BANNER")).collect::<Vec<_>>();
    assert_eq!((said.text(), &lines[..1]), ("out\n", &["err"][..]), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("debug")), "{lines:?}");
    let own = |call: &String| call.contains("ControlPath=none") && call.contains("LogLevel=DEBUG1");
    assert!(calls(&world).iter().any(own), "it was a connection of its own");
}

#[test]
fn a_host_without_our_variables_works() {
    let Some(mut world) = World::own_host() else { return };
    world.own_sshd().restart_without("AcceptEnv");
    world.run(&["connect", "box"]).succeeds();
    let at = |name: &str| world.workspace().join(name).display().to_string();
    assert_eq!(world.run(&["exec", "--", "echo", "a b"]).succeeds().text(), "a b\n");
    world.run_with(&["write", &at("file")], b"content").succeeds();
    assert_eq!(read(&world.workspace().join("file")), "content");
    let got = world.run(&["get", &at("file")]).succeeds();
    assert_eq!(got.text(), "content");
    let mut secret = world.command(&["exec", "--env-secret", "API_TOKEN", "--", "true", "--json"]);
    let secret = crate::support::CommandOutput::of(secret.env("API_TOKEN", "example").output().unwrap());
    assert!(secret.ends_with(255).stderr.contains("AcceptEnv"));
}
