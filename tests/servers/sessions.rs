//! Sessions on named servers that the user's own ssh reaches.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use runcode::error::{Code, Result};
use runcode::origin::servers::Places;
use runcode::origin::{BaseUrl, Origin, OriginId, Origins, Selected, Servers, SessionKey};
use runcode::session::Sessions;
use runcode::session::live::Want;
use runcode::sys::env::{Env, Var};
use runcode::sys::paths::Paths;
use runcode::transport::{RemoteCommand, Streams, Variables};
use serde_json::{Value, json};

use super::{with_servers, write};
use crate::ssh_hosts::moves::{machine, second};
use crate::support::real_sshd::keygen;
use crate::support::{CommandOutput, PATIENCE, World, processes_with};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

const GPU: &str = "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n";

#[test]
fn every_verb_works_on_a_server() {
    let Some(world) = with_servers("") else { return };
    let folder = world.workspace();
    write(&world, &format!("{GPU}environment = \"staging\"\nworkdir = \"{}\"\n", folder.display()));
    let rows = world.run(&["list", "--json"]).succeeds().json();
    let row = json!({"origin": "server", "name": "gpu", "environment": "staging", "id": null, "title": "gpu",
        "custom_title": null, "state": null, "shared": false, "connectable": true, "approved_until": null});
    assert_eq!(rows, json!([row]));
    let said = world.run(&["connect", "gpu", "--json"]).succeeds().json();
    for (name, value) in [
        ("origin", json!("server")),
        ("name", json!("gpu")),
        ("environment", json!("staging")),
        ("host", json!("127.0.0.1")),
        ("workdir", json!(folder)),
        ("config", Value::Null),
        ("expires_at", Value::Null),
        ("workspace_id", Value::Null),
        ("reused", json!(false)),
    ] {
        assert_eq!(said[name], value, "{name}: {said}");
    }
    assert_eq!(
        (&said["command"][0], said["command"].as_array().unwrap().last()),
        (&json!("ssh"), Some(&json!("box")))
    );
    assert!(world.run(&["connect", "server:gpu"]).succeeds().text().contains("environment: staging"));
    let pwd = format!("{}\n", folder.display());
    assert_eq!(world.run(&["exec", "--", "pwd"]).succeeds().text(), pwd);
    assert_eq!(world.run(&["run", "server:gpu", "--", "pwd"]).succeeds().text(), pwd);
    std::fs::write(world.home().join("local"), "content").unwrap();
    world.run(&["put", "local", "there"]).succeeds();
    world.run(&["get", "there", "--out", "back"]).succeeds();
    assert_eq!(
        (read(&folder.join("there")), read(&world.home().join("back"))),
        ("content".into(), "content".into())
    );
    world.run_with(&["write", "-w", "gpu", "written"], b"bytes").succeeds();
    assert_eq!(read(&folder.join("written")), "bytes");
    assert_eq!(world.run(&["context", "gpu", "--json"]).succeeds().json()["origin"], "server");
    let status = world.run(&["status", "--json"]).succeeds().json();
    assert_eq!((&status[0]["environment"], &status[0]["connected"]), (&json!("staging"), &json!(true)));
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["name"], "gpu");
    assert!(world.run(&["statusline", "--plain"]).succeeds().text().contains("gpu"));
    let doctor = world.run(&["doctor", "gpu", "--json"]).json();
    assert!(
        doctor["checks"].as_array().unwrap().iter().any(|check| check["name"] == "ssh-shell"),
        "{doctor}"
    );
    let mut complete = world.command(&["--", "runcode", "connect", "g"]);
    let offers = CommandOutput::of(complete.env("RUNCODE_COMPLETE", "zsh").output().unwrap()).succeeds();
    assert_eq!(offers.text(), "gpu\ta server, staging\n");
    let secret = world.run(&["exec", "--env", "MY_TOKEN=x", "--", "true"]).ends_with(255);
    assert!(secret.stderr.contains("--env-secret MY_TOKEN"), "{secret:?}");
    world.run(&["disconnect", "gpu"]).succeeds();
    assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new());
    assert!(!world.cache("srv-gpu").exists());
}

#[test]
fn a_name_means_a_server_first() {
    let same = "auth_method = \"ssh\"\nhost = \"box\"\n";
    let Some(world) =
        with_servers(&format!("[servers.box]\n{same}[servers.twin]\n{same}[servers.12]\n{same}"))
    else {
        return;
    };
    // One machine, three names: nothing of one is the other's.
    for (words, origin) in
        [("box", "server"), ("ssh:box", "ssh"), ("twin", "server"), ("server:12", "server")]
    {
        let said = world.run(&["connect", words, "--json"]).succeeds().json();
        assert_eq!((&said["origin"], &said["reused"]), (&json!(origin), &json!(false)), "{words}");
    }
    assert_eq!(world.run(&["status", "--json"]).succeeds().json().as_array().unwrap().len(), 4);
    world.run(&["connect", "12", "--json"]).fails_as("no_token", 1);
    world.run(&["clean", "box"]).succeeds();
    assert!(!world.cache("srv-box").exists() && world.cache("srv-twin").exists());
    let said = world.run(&["connect", "server:nobody", "--json"]).fails_as("not_found", 2).json();
    assert!(said["hint"].as_str().unwrap().contains("box, twin"), "{said}");
    let said = world.run(&["connect", "bxo", "--json"]).fails_as("not_found", 2).json();
    let hint = said["hint"].as_str().unwrap();
    assert!(hint.contains("ssh:box") && hint.contains("the servers are"), "{said}");
}

#[test]
fn only_the_pinned_host_key_counts() {
    let Some(mut world) = with_servers("") else { return };
    let ssh = world.home().join(".ssh");
    let key = read(&world.own_sshd().file("host_key.pub"));
    keygen(&ssh.join("another"), "");
    let another = read(&ssh.join("another.pub"));
    let pinned = |pin: &str| format!("{GPU}host_keys = [\"{}\"]\n", pin.trim());
    // What the user accepts is another matter.
    let config = format!("StrictHostKeyChecking no\n{}", read(&ssh.join("config")));
    std::fs::write(ssh.join("config"), config).unwrap();
    std::fs::write(ssh.join("known_hosts"), "").unwrap();
    write(&world, &pinned(&another));
    let said = world.run(&["connect", "gpu", "--json"]).fails_as("host_key_changed", 1).json();
    assert!(said["fingerprint"].as_str().unwrap().starts_with("SHA256:"), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("`runcode servers pin gpu`"), "{said}");
    write(&world, &pinned(&key));
    world.run(&["connect", "gpu"]).succeeds();
    // A key that is pinned no longer ends the trust in the connection that stands.
    write(&world, &pinned(&another));
    assert!(world.run(&["exec", "--", "true"]).ends_with(255).stderr.contains("does not pin"));
    // An authority vouches for hosts by name.
    let certify = |world: &mut World, name: &str| {
        let sshd = world.own_sshd();
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-h", "-I", "test", "-n", name, "-s"])
            .arg(sshd.file("ca"))
            .arg(sshd.file("host_key.pub"));
        assert!(sign.status().unwrap().success());
        let line = format!("HostCertificate {}\n", sshd.file("host_key-cert.pub").display());
        sshd.restart_with(&line);
    };
    let authority = format!("@cert-authority {}", read(&world.own_sshd().file("ca.pub")));
    write(&world, &pinned(&authority));
    certify(&mut world, "elsewhere");
    world.run(&["connect", "gpu", "--json"]).fails_as("host_key_changed", 1);
    certify(&mut world, "box");
    world.run(&["connect", "gpu"]).succeeds();
    assert_eq!(read(&ssh.join("known_hosts")), "", "nothing was accepted for the user");
}

#[test]
fn without_pins_a_host_key_has_to_be_known() {
    let Some(world) = with_servers(GPU) else { return };
    let ssh = world.home().join(".ssh");
    let config = format!("StrictHostKeyChecking accept-new\n{}", read(&ssh.join("config")));
    std::fs::write(ssh.join("config"), config).unwrap();
    let known = read(&ssh.join("known_hosts"));
    std::fs::write(ssh.join("known_hosts"), "").unwrap();
    let said = world.run(&["connect", "gpu", "--json"]).fails_as("host_key_unknown", 1).json();
    assert!(said["hint"].as_str().unwrap().contains("`runcode servers pin gpu`"), "{said}");
    assert_eq!(read(&ssh.join("known_hosts")), "");
    std::fs::write(ssh.join("known_hosts"), known).unwrap();
    world.run(&["connect", "gpu"]).succeeds();
}

#[test]
fn a_server_defined_anew_is_another_machine() {
    let Some(world) = with_servers(GPU) else { return };
    let Some((_second, lines)) = second(&world) else { return };
    let config = world.home().join(".ssh/config");
    std::fs::write(&config, format!("Host two\n{lines}{}", read(&config))).unwrap();
    let here = world.home().file_name().unwrap().to_str().unwrap().to_owned();
    let folder = world.workspace();
    world.run(&["connect", "gpu", "--workdir", folder.to_str().unwrap()]).succeeds();
    world.run(&["forward", "9", "--local", "0"]).succeeds();
    assert_eq!(machine(&world), here);
    // The connection is up, and is not used for what the name means now; nor is what was said of the old machine.
    write(&world, &GPU.replace("\"box\"", "\"two\""));
    assert_eq!(machine(&world), "second");
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["workdir"], Value::Null);
    assert_eq!(world.run(&["forward", "--list", "--json"]).succeeds().json()["forwards"], json!([]));
    // Nor where another file is named, or the file is no longer believed, or says that there is more to ask.
    let other = world.home().join("other.toml");
    std::fs::write(&other, GPU).unwrap();
    let named = ["exec", "--servers", other.to_str().unwrap(), "--", "echo $HOME"];
    assert!(world.run(&named).succeeds().text().contains(&format!("{here}/sshd")));
    assert_eq!(machine(&world), "second");
    for (text, part) in [
        (format!("{GPU}requires_approval = true\n"), "requires_approval"),
        (
            GPU.replace("\"ssh\"", "\"certificate\"\nsigner = \"ca\"\nuser = \"me\"")
                + "[signers.ca]\nkind = \"agent\"\n",
            "signers.ca.public_key is missing",
        ),
        (format!("{GPU}port = 0\n"), "servers.gpu.port"),
        (String::new(), "no server is called `gpu`"),
    ] {
        write(&world, &text);
        let said = world.run(&["exec", "--", "echo ran"]).ends_with(255);
        assert!(said.stderr.contains(part) && said.stdout.is_empty(), "{part}: {said:?}");
        assert_ne!(world.run(&["connect", "gpu", "--json"]).status, 0, "{part}");
    }
    write(&world, GPU);
    assert_eq!(machine(&world), here);
    world.run(&["disconnect"]).succeeds();
    assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new());
}

/// What an owner forbids ends, also what was forwarded and is connected already.
#[test]
fn a_restriction_ends_what_was_forwarded() {
    let by_certificate = GPU.replace("\"ssh\"", "\"certificate\"\nsigner = \"ca\"\nuser = \"me\"")
        + "allowed_profiles = [\"say\"]\n[signers.ca]\nkind = \"ca_key\"\nkey = \"none\"\n";
    for (restricted, verb) in [
        (format!("{GPU}allowed_profiles = [\"say\"]\n"), &["exec", "--", "id"][..]),
        (format!("{GPU}allowed_profiles = [\"say\"]\n"), &["run", "gpu", "--profile", "say", "--plan"]),
        (format!("{GPU}allowed_profiles = [\"say\"]\n"), &["connect", "gpu"]),
        (by_certificate.clone(), &["exec", "--", "id"]),
        (by_certificate, &["run", "gpu", "--profile", "say", "--plan"]),
    ] {
        let Some(world) = with_servers(GPU) else { return };
        world.run(&["connect", "gpu"]).succeeds();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let said = world.run(&["forward", &port, "--local", "0", "--json"]).succeeds().json();
        let local = u16::try_from(said["forwards"][0]["local"].as_u64().unwrap()).unwrap();
        let mut through = std::net::TcpStream::connect(("127.0.0.1", local)).unwrap();
        let (mut arrived, _) = listener.accept().unwrap();
        through.write_all(b"x").unwrap();
        arrived.read_exact(&mut [0]).unwrap();
        write(&world, &format!("{restricted}[profiles.say]\ntemplate = \"echo\"\n"));
        world.run(verb);
        through.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = match through.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(ended, "{verb:?}");
        assert!(std::net::TcpStream::connect(("127.0.0.1", local)).is_err(), "{verb:?}");
        assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new(), "{verb:?}");
    }
}

/// The origins of a user with a servers.toml and no login.
struct Own {
    servers: Servers,
    base: BaseUrl,
}

impl Origins for Own {
    fn origin(&self, _: &OriginId) -> Result<&dyn Origin> {
        Ok(&self.servers)
    }

    fn has_login(&self) -> Result<bool> {
        Ok(false)
    }

    fn selected(&self) -> Result<Selected<'_>> {
        Ok(Selected { base: &self.base, is_given: false })
    }
}

/// What a command does step by step stays on the machine that it began on.
#[test]
fn a_command_never_goes_on_elsewhere() {
    let Some(world) = with_servers(GPU) else { return };
    let Some((_second, lines)) = second(&world) else { return };
    let config = world.home().join(".ssh/config");
    std::fs::write(&config, format!("Host two\n{lines}{}", read(&config))).unwrap();
    let env = Env::fixed([
        (Var::Home, world.home().as_os_str().to_owned()),
        (Var::RuncodeSsh, world.home().join("ssh").into_os_string()),
        (Var::RuncodeSpare, "off".into()), // a keeper would be this test's own program
    ]);
    let paths = Paths::below(world.home());
    let own = || Own {
        servers: Servers::new(Places::from_env(None, &env, &paths).unwrap(), &env),
        base: BaseUrl::parse(BaseUrl::HOSTED_API).unwrap(),
    };
    let key = SessionKey::server("gpu").unwrap();
    let (before, nothing) = (own(), RemoteCommand::snippet(None, &Variables::default(), "exit 0").unwrap());
    let sessions = Sessions::new(&paths, &env, &before);
    let session = sessions.obtain(&key, Want::Fresh).unwrap().session;
    sessions.start(&session, &nothing, &Streams::null()).unwrap();
    write(&world, &GPU.replace("\"box\"", "\"two\""));
    let after = own();
    let now = Sessions::new(&paths, &env, &after);
    let anew = now.obtain(&key, Want::Fresh).unwrap().session;
    now.start(&anew, &nothing, &Streams::null()).unwrap();
    assert_ne!(anew.meta.control_path, session.meta.control_path);
    let failure = now.start(&session, &nothing, &Streams::null()).map(|_| ()).unwrap_err();
    assert_eq!(failure.code(), Code::Conflict, "{failure}");
    now.drop_session(&key).unwrap();
}
