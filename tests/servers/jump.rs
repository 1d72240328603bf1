//! A server behind another one: each with its own sshd on loopback, and certificates of one CA.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::approvals::people;
use super::approved::{open, processes, until_gone};
use super::audit::{records, verified};
use super::certified::{SAID, calls, certified, left, read, run};
use super::signers::TOKEN;
use super::{file, write};
use crate::support::fake_signer::{FakeSigner, Plan, Rules};
use crate::support::real_sshd::{RealSshd, keygen, user};
use crate::support::tls_front::fixture;
use crate::support::{World, processes_with, until};

/// A world whose `prod` is behind `bastion`.
struct Behind {
    world: World,
    bastion: RealSshd,
}

fn trust(world: &World) -> String {
    format!(
        "TrustedUserCAKeys {}.pub\nAuthorizedKeysFile none\nBanner none\n",
        file(world).with_file_name("ca").display()
    )
}

/// One with these lines for `prod`, and these for `bastion`.
fn behind(of_prod: &str, of_bastion: &str) -> Option<Behind> {
    let world = certified("")?;
    let folder = world.home().join("jump");
    std::fs::create_dir(&folder).unwrap();
    let mut bastion = RealSshd::start(&folder)?;
    bastion.restart_with(&trust(&world));
    let mut behind = Behind { world, bastion };
    behind.says(of_prod, of_bastion);
    Some(behind)
}

impl Behind {
    /// Writes servers.toml.
    fn says(&mut self, of_prod: &str, of_bastion: &str) {
        let (port, host_key) = self.bastion.authorize("");
        let host_key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let pins = format!("host_keys = [\"{}\"]\n", host_key.trim());
        let pins = if of_bastion.contains("host_keys") { "" } else { &pins };
        let root = if user() == "root" { "root_login_acknowledged = true\n" } else { "" };
        let more = format!(
            "jump = \"bastion\"\n{of_prod}\n[servers.bastion]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{}\"\n{root}{pins}{of_bastion}\n",
            user()
        );
        let text = super::certified::servers(&mut self.world, &more, super::certified::CA_KEY);
        write(&self.world, &text);
    }

    /// Runs the profile `say`, which fails. Returns what is said, and asserts that it names the server on the way.
    fn fails(&self, code: &str) -> Value {
        let said = self.world.run(&["run", "prod", "--profile", "say", "--json"]).ends_with(255).json();
        assert_eq!(said["error"], code, "{said}");
        assert_eq!(left(&self.world).len(), 0);
        said
    }
}

fn message(said: &Value) -> String {
    said["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_goes_through_the_bastion() {
    let Some(it) = behind("", "") else { return };
    let world = &it.world;
    assert_eq!(run(world, &["say"]).succeeds().text(), SAID);
    assert_eq!(run(world, &["fail", "--arg", "status=7"]).ends_with(7).stderr, "err\n");
    let through = calls(world).lines().filter(|line| line.contains(" -W ")).count();
    assert_eq!(through, 2, "{}", calls(world));
    // It is shown before, and on record after.
    let plan = run(world, &["say", "--plan", "--json"]).succeeds().json();
    assert_eq!((&plan["jump"], &plan["would_run"]), (&json!(["bastion"]), &json!(true)));
    assert!(run(world, &["say", "--plan"]).succeeds().text().contains("through:   bastion\n"));
    let dry = run(world, &["say", "--dry-run", "--json"]).succeeds().json();
    assert!(dry["config"].as_str().unwrap().contains("ProxyCommand '"), "{dry}");
    assert_eq!(
        (&dry["jump"][0]["server"], &dry["jump"][0]["forced_command"]),
        (&json!("bastion"), &json!("false"))
    );
    assert!(dry["jump"][0]["config"].as_str().unwrap().contains("Host runcode-bastion\n"), "{dry}");
    let rows = world.run(&["servers", "list", "--json"]).succeeds().json();
    assert_eq!([&rows[0]["jump"], &rows[1]["jump"]], [&json!(null), &json!("bastion")]);
    let all = records(world);
    for record in all.iter().filter(|record| record["server_alias"] == "prod") {
        assert_eq!(record["transport"], "openssh through bastion", "{record}");
    }
    assert_eq!(verified(world)["open_intents"], json!([]));
    let checked = world.run(&["servers", "check", "prod", "--json"]).succeeds().json();
    assert_eq!(checked["ok"], true, "{checked}");
    let shown = world.run(&["servers", "pin", "prod", "--json"]).succeeds().json();
    assert_eq!(shown["pinned"], "shown", "{shown}");
    assert_eq!(left(world).len(), 0);
}

/// A path that a shell and an ssh config could each read otherwise.
#[test]
fn no_path_on_the_way_is_shell_code() {
    let Some(it) = behind("", "") else { return };
    let world = &it.world;
    let odd = world.home().join("c d'e\"f%h$(touch x)#!\\g");
    std::fs::create_dir(&odd).unwrap();
    for shell in ["/bin/sh", "/bin/bash", "/bin/csh", "/usr/bin/fish", "/bin/zsh"] {
        if !Path::new(shell).exists() {
            continue;
        }
        let mut command = world.command(&["run", "prod", "--profile", "say", "--cache-dir"]);
        command.arg(&odd).env("SHELL", shell);
        let said = crate::support::CommandOutput::of(command.output().unwrap()).succeeds();
        assert_eq!(said.text(), SAID, "{shell}");
    }
    assert!(!world.home().join("x").exists());
}

/// Whoever takes over this machine during a run can pass the bastion for as long as the certificate lasts, and do nothing on it.
#[test]
fn the_bastions_certificate_opens_no_command() {
    let Some(it) = behind("", "") else { return };
    let stolen = it.world.home().join("stolen");
    let thief = format!(
        "#!/bin/sh\nfor word; do [ \"$before\" = -F ] && [ ! -e '{0}' ] && cp -r \"${{word%/*}}\" '{0}'; before=$word; done\nexec ssh \"$@\"\n",
        stolen.display()
    );
    std::fs::write(it.world.home().join("ssh"), thief).unwrap();
    assert_eq!(run(&it.world, &["say"]).succeeds().text(), SAID);
    let at = |name: &str| stolen.join(name).display().to_string();
    let shown =
        Command::new("ssh-keygen").args(["-L", "-f", &at("jump-1-id_ed25519-cert.pub")]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let lines = shown.lines().map(str::trim).collect::<Vec<_>>();
    let from = lines.iter().position(|line| line.starts_with("Critical Options")).unwrap();
    assert_eq!(
        lines[from..],
        ["Critical Options:", "force-command false", "Extensions:", "permit-port-forwarding"]
    );
    assert!(shown.contains("Key ID: \"runcode:bastion:jump:"), "{shown}");
    let (port, _) = it.bastion.authorize("");
    let said = |options: &[&str], command: &[&str]| {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "BatchMode=yes",
            "-o",
            "HostKeyAlias=127.0.0.1",
        ]);
        ssh.args(["-i", &at("jump-1-id_ed25519"), "-p", &port.to_string()]);
        ssh.args(["-o", &format!("UserKnownHostsFile={}", at("jump-1-known_hosts"))]);
        ssh.args(["-o", &format!("CertificateFile={}", at("jump-1-id_ed25519-cert.pub"))]);
        ssh.args(options).arg(format!("{}@127.0.0.1", user())).args(command);
        let mut child =
            ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (out, child.wait().unwrap().code())
    };
    for (options, command) in [
        (&[][..], &[][..]),
        (&[], &["id"]),
        (&["-A"], &["id"]),
        (&["-s"], &["sftp"]),
        (&["-o", "SetEnv=LC_RUNCODE=x"], &["id"]),
    ] {
        assert_eq!(said(options, command), (String::new(), Some(1)), "{options:?} {command:?}");
    }
    assert_eq!(said(&["-tt"], &["id"]), (String::new(), Some(255)));
    let prod = super::certified::port(&it.world);
    assert!(said(&["-W", &format!("127.0.0.1:{prod}")], &[]).0.starts_with("SSH-"));
}

#[test]
fn an_error_names_the_hop_that_failed() {
    let Some(mut it) = behind("", "") else { return };
    let trust = trust(&it.world);
    let said = |said: &Value, parts: &[&str]| {
        for part in parts {
            assert!(said.to_string().contains(part), "{part}: {said}");
        }
    };
    it.world.own_sshd().stop();
    let failed = it.fails("transport");
    assert_eq!(failed["hop"], "bastion", "{failed}");
    said(&failed, &["`bastion` does not connect to `prod`", "PermitOpen"]);
    it.world.own_sshd().restart();
    it.bastion.restart_with(&format!("AllowTcpForwarding no\n{trust}"));
    said(&it.fails("transport"), &["`bastion` does not connect to `prod`", "AllowTcpForwarding"]);
    it.bastion.restart_with("AuthorizedKeysFile none\nBanner none\n");
    said(
        &it.fails("transport"),
        &["on the way to `prod`: `bastion` does not accept the signer's certificate"],
    );
    it.bastion.stop();
    said(
        &it.fails("transport"),
        &["on the way to `prod`: cannot connect to `bastion`", "Connection refused"],
    );
    // The target's own refusal stays its own.
    it.bastion.restart_with(&trust);
    it.world.own_sshd().restart_with("AuthorizedKeysFile none\nBanner none\n");
    let failed = it.fails("transport");
    assert_eq!(
        (message(&failed).split(':').next(), failed.get("hop")),
        (Some("`prod` does not accept the signer's certificate"), None)
    );
    // A signer that fails for the bastion is named with it, and nothing is connected to.
    it.says("", "signer = \"none\"\n");
    let text = read(&file(&it.world))
        .replace("[servers.prod]", "[signers.none]\nkind = \"ca_key\"\nkey = \"gone\"\n[servers.prod]");
    write(&it.world, &text);
    let before = calls(&it.world);
    said(&it.fails("signer_failed"), &["for `bastion`"]);
    assert_eq!(calls(&it.world), before);
}

#[test]
fn a_hostile_bastion_gains_nothing() {
    let Some(mut it) = behind("", "") else { return };
    // It leads to a host of its own.
    let key = it.world.own_sshd().file("host_key");
    let before = read(&key);
    std::fs::remove_file(&key).unwrap();
    keygen(&key, "");
    it.world.own_sshd().restart();
    let failed = it.fails("host_key_changed");
    assert_eq!((message(&failed).contains("`prod` shows"), failed.get("hop")), (true, None), "{failed}");
    // Nobody vouches for it where nothing is pinned.
    let text = read(&file(&it.world));
    let unpinned = text.lines().fold((String::new(), false), |(all, is_prod), line| {
        let is_prod = if line.starts_with('[') { line == "[servers.prod]" } else { is_prod };
        let is_kept = !(is_prod && line.starts_with("host_keys"));
        (if is_kept { all + line + "\n" } else { all }, is_prod)
    });
    write(&it.world, &unpinned.0);
    it.fails("host_key_unknown");
    write(&it.world, &text);
    std::fs::write(&key, before).unwrap();
    it.world.own_sshd().restart();
    assert_eq!(run(&it.world, &["say"]).succeeds().text(), SAID);
    // Another one in the bastion's place.
    let key = it.bastion.file("host_key");
    std::fs::remove_file(&key).unwrap();
    keygen(&key, "");
    it.bastion.restart_with(&trust(&it.world));
    let failed = it.fails("host_key_changed");
    assert_eq!(failed["hop"], "bastion", "{failed}");
    assert!(
        message(&failed).contains("`bastion` shows a host key that servers.toml does not pin"),
        "{failed}"
    );
}

#[test]
fn a_session_goes_through_the_bastion() {
    let rules = "requires_approval = true\napprovers = \"approvers\"\nallow_unrestricted_sessions = true\n";
    let Some(it) = behind(rules, "") else { return };
    let world = &it.world;
    people(world);
    let session = open(world, &["--ttl", "200", "--idle", "100"]);
    assert_eq!(session["mode"], "unrestricted");
    assert_eq!(world.run(&["exec", "--", "echo it works"]).succeeds().text(), "it works\n");
    std::fs::write(world.home().join("local"), "content").unwrap();
    world.run(&["put", "local", &world.home().join("there").display().to_string()]).succeeds();
    // A connection that was lost comes up again the same way.
    let pid = read(&world.cache("srv-prod/master.pid")).trim().parse::<i32>().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(world.run(&["exec", "--", "echo again"]).succeeds().text(), "again\n");
    assert_eq!(calls(world).lines().filter(|line| line.contains(" -W ")).count(), 2, "{}", calls(world));
    assert_eq!(world.run(&["exec", "--profile", "say"]).succeeds().text(), SAID);
    let all = records(world);
    let of_session =
        all.iter().filter(|record| record["action"] == "session_open" || record["action"] == "exec");
    assert!(of_session.clone().count() > 3);
    for record in of_session {
        assert!(record["transport"].as_str().unwrap().ends_with(" through bastion"), "{record}");
    }
    world.run(&["disconnect"]).succeeds();
    until_gone(world);
    assert_eq!(processes(world), Vec::<String>::new());
    // The bastion's definition is the session's too.
    open(world, &["--ttl", "200", "--idle", "100"]);
    let text = read(&file(world))
        .replace("[servers.bastion]\n", "[servers.bastion]\nsource_address = [\"127.0.0.1\"]\n");
    write(world, &text);
    let over = world.run(&["exec", "--json", "--", "id"]).ends_with(255).json();
    assert_eq!(over["error"], "session_expired", "{over}");
    until_gone(world);
}

/// Two servers on the way, the second one behind the first.
#[test]
fn a_chain_of_servers_leads_on() {
    let Some(mut it) = behind("", "jump = \"outer\"\n") else { return };
    let text = read(&file(&it.world));
    let own = |of: &str| {
        let from = text.find(of).unwrap();
        text[from..].lines().skip(1).take_while(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n")
    };
    let outer = own("[servers.bastion]").replace("jump = \"outer\"", "");
    write(
        &it.world,
        &text.replace("[servers.bastion]", &format!("[servers.outer]\n{outer}\n[servers.bastion]")),
    );
    assert_eq!(run(&it.world, &["say"]).succeeds().text(), SAID);
    let plan = run(&it.world, &["say", "--plan", "--json"]).succeeds().json();
    assert_eq!(plan["jump"], json!(["outer", "bastion"]));
    assert_eq!(calls(&it.world).lines().filter(|line| line.contains(" -W ")).count(), 2);
    // One that says nothing is named, not the one behind it, which waits as well.
    it.bastion.stop();
    let failed = it.fails("transport");
    assert_eq!(failed["hop"], "outer", "{failed}");
    let port = it.bastion.authorize("").0;
    let silent = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let failed = it.fails("transport");
    assert_eq!(failed["hop"], "outer", "{failed}");
    assert!(message(&failed).contains("cannot connect to `outer`"), "{failed}");
    drop(silent);
}

/// Every signer certifies the way as it does a run, and one that says anything else is refused before a connection is made.
#[test]
fn any_signer_certifies_the_way() {
    let Some(it) = behind("", "") else { return };
    let world = &it.world;
    let ca = ssh_key::PrivateKey::from_openssh(read(&file(world).with_file_name("ca"))).unwrap();
    let (vault, step_ca) = (FakeSigner::vault(ca.clone()), FakeSigner::step_ca(ca));
    let key = file(world).with_file_name("key.jwk");
    std::fs::write(&key, read(&fixture("provisioner.jwk"))).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::create_dir(world.home().join("work")).unwrap();
    let text = read(&file(world));
    let names = |signer: String| write(world, &text.replace(super::certified::CA_KEY, &signer));
    let say = || {
        let mut command = world.command(&["run", "prod", "--profile", "say", "--json"]);
        command.env(TOKEN.0, TOKEN.1).current_dir(world.home().join("work"));
        crate::support::CommandOutput::of(command.output().unwrap())
    };
    names(format!(
        "kind = \"step-ca\"\nca_url = \"{}\"\nprovisioner = \"agents\"\nkey = \"key.jwk\"",
        step_ca.base()
    ));
    assert_eq!(say().succeeds().text(), SAID);
    names(format!("kind = \"vault\"\nurl = \"{}\"\nrole = \"{{server}}-{{profile}}\"", vault.base()));
    assert_eq!(say().succeeds().text(), SAID);
    let asked = vault.seen().into_iter().map(|it| it.line).collect::<Vec<_>>();
    assert_eq!(asked, ["POST /v1/ssh/sign/prod-say", "POST /v1/ssh/sign/bastion-jump"]);
    let wrong: [fn(&mut Plan); 5] = [
        |it| of_the_way(it, |it| it.options.clear()),
        |it| of_the_way(it, |it| it.options[0].1 = "true".to_owned()),
        |it| of_the_way(it, |it| it.extensions.clear()),
        |it| of_the_way(it, |it| it.extensions.push(("permit-pty".to_owned(), String::new()))),
        |it| of_the_way(it, |it| it.principals.push("nobody".to_owned())),
    ];
    for change in wrong {
        vault.set(Rules { change, ..Rules::default() });
        let before = calls(world);
        let said = say().ends_with(255).json();
        assert_eq!((&said["error"], calls(world)), (&json!("signer_failed"), before), "{said}");
        assert!(message(&said).contains("for `bastion`"), "{said}");
    }
}

/// Changes a certificate for a server on the way.
fn of_the_way(plan: &mut Plan, change: fn(&mut Plan)) {
    if plan.key_id.contains(":jump:") {
        change(plan);
    }
}

/// With many at once, and killed at any moment, nothing of the way is left.
#[test]
fn nothing_of_the_way_is_left() {
    let Some(it) = behind("", "") else { return };
    let world = &it.world;
    let wait = ["run", "prod", "--profile", "wait", "--arg", "seconds=300"];
    for pause in [0, 50, 100, 200, 400] {
        let mut child = world.command(&wait).stdin(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause)); // any moment will do
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let many = (0..20)
        .map(|_| world.command(&["run", "prod", "--profile", "say"]).stdout(Stdio::null()).spawn().unwrap());
    for mut child in many.collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let folder = world.cache("once-").display().to_string();
    until("the end of every ssh", || processes_with(&folder).is_empty());
    world.run(&["clean", "--all"]).succeeds();
    assert_eq!(left(world).len(), 0);
    assert_eq!(verified(world)["ok"], true);
}
