//! Profiles that a certificate enforces, against a real sshd that trusts the CA.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::{file, with_servers, write};
use crate::support::real_sshd::{keygen, user};
use crate::support::{CommandOutput, World, processes_with, until};

const PROFILES: &str = r#"
[profiles.say]
argv = ["sh", "-c", "echo ran; test -t 0 && echo tty; test -t 1 && echo tty; echo \"<$1>\"; env | grep -c AUTH_SOCK; true", "sh", "{{word}}"]
args.word = { default = "it's $(id)" }
[profiles.fail]
argv = ["sh", "-c", "cat; echo err >&2; exit {{status}}"]
[profiles.read]
template = "cat"
stdin = true
[profiles.wait]
argv = ["sh", "-c", "trap '' TERM; sleep {{seconds}} & sleep {{seconds}}"]
"#;

/// The servers.toml of a world: its sshd as `prod`, with `more` for the server and this signer.
pub(super) fn servers(world: &mut World, more: &str, signer: &str) -> String {
    let (port, host_key) = (port(world), read(&world.own_sshd().file("host_key.pub")));
    let host_key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let root = if user() == "root" { "root_login_acknowledged = true\n" } else { "" };
    let user = user();
    format!(
        "[broker]\ncert_ttl_seconds = 300\ndefault_signer = \"ca\"\n[signers.ca]\n{signer}\n[servers.prod]\nhost = \"127.0.0.1\"\n\
         port = {port}\nuser = \"{user}\"\n{root}environment = \"production\"\nhost_keys = [\"{}\"]\n\
         allowed_profiles = [\"say\", \"fail\", \"read\", \"wait\"]\n{more}\n{PROFILES}",
        host_key.trim()
    )
}

pub(super) const CA_KEY: &str = "kind = \"ca_key\"\nkey = \"ca\"";

/// A world whose sshd lets nobody in but holders of certificates of the CA beside servers.toml.
pub(crate) fn certified(more: &str) -> Option<World> {
    let mut world = with_servers("")?;
    let ca = file(&world).with_file_name("ca");
    keygen(&ca, "");
    let trust = format!("TrustedUserCAKeys {}.pub\nAuthorizedKeysFile none\nBanner none\n", ca.display());
    world.own_sshd().restart_with(&trust);
    let text = servers(&mut world, more, CA_KEY);
    write(&world, &text);
    Some(world)
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub(crate) fn port(world: &World) -> u16 {
    let config = read(&world.home().join(".ssh/config"));
    let line = config.lines().find_map(|line| line.trim().strip_prefix("Port ")).unwrap();
    line.parse().unwrap()
}

pub(super) fn run(world: &World, arguments: &[&str]) -> CommandOutput {
    world.run(&[&["run", "prod", "--profile"], arguments].concat())
}

pub(super) fn calls(world: &World) -> String {
    read(&world.home().join("calls"))
}

/// The folders of single runs that are left.
pub(super) fn left(world: &World) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(world.cache("")).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("once-")).collect()
}

pub(super) const SAID: &str = "ran\n<it's $(id)>\n0\n";

#[test]
fn a_certificate_runs_one_command_once() {
    let Some(world) = certified("") else { return };
    assert_eq!(run(&world, &["say"]).succeeds().text(), SAID);
    for status in [0, 7, 254] {
        let said = run(&world, &["fail", "--arg", &format!("status={status}")]).ends_with(status);
        assert_eq!((said.text(), &*said.stderr), ("", "err\n"));
    }
    let mut command = world.command(&["run", "prod", "--profile", "read"]);
    let fed = crate::support::feed(&mut command, b"\0fed\xff");
    assert_eq!((fed.stdout, fed.status.code()), (b"\0fed\xff".to_vec(), Some(0)));
    assert_eq!(left(&world), Vec::<PathBuf>::new(), "key and certificate are gone");
    assert!(!calls(&world).contains("it's") && calls(&world).contains(" runcode-"), "{}", calls(&world));
    // Attached, it is the same, and makes no connection before a profile runs.
    let before = calls(&world);
    let said = world.run(&["connect", "prod", "--json"]).succeeds().json();
    assert_eq!(
        (&said["mode"], &said["origin"], &said["command"]),
        (&json!("restricted"), &json!("server"), &json!(null))
    );
    for words in [
        &["exec", "--", "id"][..],
        &["run", "prod", "--", "id"],
        &["shell"],
        &["context"],
        &["forward", "80"],
        &["get", "/x"],
    ] {
        let said = world.run(&[&["--json"], words].concat()).json();
        assert_eq!(said["error"], "policy_denied", "{words:?} {said}");
    }
    assert_eq!(calls(&world), before);
    assert_eq!(
        world.run(&["exec", "--profile", "say", "--arg", "word=x"]).succeeds().text(),
        "ran\n<x>\n0\n"
    );
    world.run(&["disconnect"]).succeeds();
    // What a killed run leaves, the next run and `clean` remove.
    for words in [&["run", "prod", "--profile", "say"][..], &["clean", "--all"]] {
        std::fs::create_dir(world.cache("once-0123456789abcdef")).unwrap();
        std::fs::write(world.cache("once-0123456789abcdef/id_ed25519"), "x").unwrap();
        world.run(words).succeeds();
        assert_eq!(left(&world), Vec::<PathBuf>::new());
    }
}

/// Who takes over this machine while a profile runs has its key and certificate, and can repeat that one command with them.
#[test]
fn a_stolen_certificate_repeats_one_command() {
    let Some(world) = certified("") else { return };
    let stolen = world.home().join("stolen");
    let thief = format!(
        "#!/bin/sh\nfor word; do [ \"$before\" = -F ] && cp -r \"${{word%/*}}\" '{}'; before=$word; done\nexec ssh \"$@\"\n",
        stolen.display()
    );
    std::fs::write(world.home().join("ssh"), thief).unwrap();
    assert_eq!(run(&world, &["say"]).succeeds().text(), SAID);
    let port = port(&world).to_string();
    let at = |name: &str| stolen.join(name).display().to_string();
    let ssh = |options: &[&str], command: &[&str]| {
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
        ssh.args([
            "-i",
            &at("id_ed25519"),
            "-p",
            &port,
            "-o",
            &format!("UserKnownHostsFile={}", at("known_hosts")),
        ]);
        ssh.args(["-o", &format!("CertificateFile={}", at("id_ed25519-cert.pub"))]);
        ssh.args(options).arg(format!("{}@127.0.0.1", user())).args(command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh
    };
    let said = |options: &[&str], command: &[&str]| {
        let mut child = ssh(options, command).spawn().unwrap();
        let stdin = child.stdin.take(); // or what supervises the command would end it
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        drop(stdin);
        (out, child.wait().unwrap().code())
    };
    for (options, command) in [
        (&[][..], &[][..]),
        (&[], &["id"]),
        (&[], &["sh", "-c", "id"]),
        (&["-A"], &["id"]),
        (&["-X"], &["id"]),
        (&["-s"], &["sftp"]),
        (&["-o", "SetEnv=LC_RUNCODE=x"], &["id"]),
    ] {
        assert_eq!(said(options, command), (SAID.to_owned(), Some(0)), "{options:?} {command:?}");
    }
    // Who insists on a terminal gets nothing at all.
    for command in [&[][..], &["id"]] {
        assert_eq!(said(&["-tt"], command), (String::new(), Some(255)), "{command:?}");
    }
    let mut sftp = Command::new("sftp");
    sftp.args([
        "-q",
        "-b",
        "-",
        "-F",
        "none",
        "-P",
        &port,
        "-i",
        &at("id_ed25519"),
        "-o",
        "HostKeyAlias=127.0.0.1",
    ]);
    sftp.args(["-o", &format!("UserKnownHostsFile={}", at("known_hosts"))]);
    let fetched = world.home().join("fetched");
    let output = crate::support::feed(
        sftp.arg(format!("{}@127.0.0.1", user())),
        format!("get /etc/hostname {}\nput /etc/hostname {0}2\n", fetched.display()).as_bytes(),
    );
    assert!(!output.status.success() && !fetched.exists() && !world.home().join("fetched2").exists());
    // Nothing is forwarded, in any direction.
    let (out, status) = said(&["-W", &format!("127.0.0.1:{port}")], &[]);
    assert!(!out.contains("SSH-") && status != Some(0), "{out}");
    let (_, status) =
        said(&["-N", "-o", "ExitOnForwardFailure=yes", "-R", &format!("0:127.0.0.1:{port}")], &[]);
    assert_ne!(status, Some(0));
    let socket = world.home().join("forwarded");
    let to = format!("{}:127.0.0.1:{port}", socket.display());
    let mut forwarding = ssh(&["-N", "-L", &to], &[]).spawn().unwrap();
    until("ssh listens", || socket.exists());
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let _ = stream.write_all(b"SSH-2.0-x\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"", "nothing is forwarded to the host's side");
    forwarding.kill().unwrap();
    forwarding.wait().unwrap();
}

#[test]
fn a_forced_command_ends_with_its_client() {
    let Some(world) = certified("") else { return };
    let unique = |number: u32| format!("{}{number}", 200_000 + std::process::id());
    let is_running = |seconds: &str| processes_with(seconds).iter().any(|line| line.starts_with("sleep"));
    let limited = unique(1);
    let since = std::time::Instant::now();
    let said = run(&world, &["wait", "--arg", &format!("seconds={limited}"), "--timeout", "1", "--json"]);
    let said = said.ends_with(255).json();
    assert!(
        said["error"] == "timed_out" && said["message"].as_str().unwrap().contains("it was ended"),
        "{said}"
    );
    assert!(since.elapsed().as_secs() < 20 && !is_running(&limited));
    for (number, signal) in [(2, "-INT"), (3, "-KILL")] {
        let seconds = unique(number);
        let value = format!("seconds={seconds}");
        let mut child =
            world.command(&["run", "prod", "--profile", "wait", "--arg", &value]).spawn().unwrap();
        until("it runs", || is_running(&seconds));
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        child.wait().unwrap();
        until("all of it has ended", || !is_running(&seconds));
    }
    assert_eq!(left(&world).len(), 1, "what was killed left its folder");
    let mode = left(&world)[0].metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // What is in use stays, whoever sweeps.
    let seconds = unique(4);
    let value = format!("seconds={seconds}");
    let mut child = world.command(&["run", "prod", "--profile", "wait", "--arg", &value]).spawn().unwrap();
    until("it runs", || is_running(&seconds));
    assert_eq!(left(&world).len(), 1, "the new run removed what the killed one left");
    assert_eq!(run(&world, &["say"]).succeeds().text(), SAID);
    world.run(&["clean", "--all"]).succeeds();
    assert_eq!(left(&world).len(), 1);
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    child.wait().unwrap();
    assert_eq!(left(&world).len(), 0);
}

#[test]
fn a_signer_that_fails_connects_nowhere() {
    let Some(mut world) = certified("") else { return };
    let ca = file(&world).with_file_name("ca");
    let code = |world: &World| run(world, &["say", "--json"]).ends_with(255).json()["error"].clone();
    std::fs::set_permissions(&ca, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(code(&world), "bad_config");
    let warnings = world.run(&["servers", "check", "--json"]).succeeds().json()["warnings"].clone();
    assert!(warnings[0]["message"].as_str().unwrap().contains("read by others"), "{warnings}");
    std::fs::remove_file(&ca).unwrap();
    assert_eq!(code(&world), "signer_failed");
    keygen(&ca, "passphrase");
    assert_eq!(code(&world), "signer_failed");
    for (signer, expected) in [
        ("kind = \"agent\"\npublic_key = \"ca.pub\"\nsocket = \"none\"", "signer_failed"),
        ("kind = \"agent\"\npublic_key = \"none.pub\"", "signer_failed"),
        ("kind = \"plane\"", "unavailable"),
    ] {
        let text = servers(&mut world, "", signer);
        write(&world, &text);
        assert_eq!(code(&world), expected, "{signer}");
    }
    assert_eq!((calls(&world), left(&world).len()), (String::new(), 0));
    // A CA that the host does not trust, and a host that is not the one.
    let ca = ca.with_file_name("other");
    keygen(&ca, "");
    let text = servers(&mut world, "", "kind = \"ca_key\"\nkey = \"other\"");
    write(&world, &text);
    let said = run(&world, &["say", "--json"]).ends_with(255).json();
    assert!(said["error"] == "transport" && said["hint"].as_str().unwrap().contains("servers ca"), "{said}");
    let key = text.split("host_keys = [\"").nth(1).unwrap().split('"').next().unwrap();
    let other = read(&ca.with_extension("pub")).split(' ').take(2).collect::<Vec<_>>().join(" ");
    write(&world, &text.replace(key, &other));
    assert_eq!(code(&world), "host_key_changed");
    assert_eq!(left(&world).len(), 0);
}

/// An ssh-agent of its own, ended when dropped.
struct Agent(std::process::Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_signs_as_the_ca() {
    let Some(mut world) = certified("") else { return };
    let (ca, socket) = (file(&world).with_file_name("ca"), world.home().join("agent"));
    let agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let _agent = Agent(agent);
    until("the agent listens", || socket.exists());
    let add = |arguments: &[&str]| {
        let mut add = Command::new("ssh-add");
        let status = add.arg("-q").args(arguments).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(status.success());
    };
    add(&[ca.to_str().unwrap()]);
    std::fs::remove_file(&ca).unwrap();
    let text = servers(&mut world, "", "kind = \"agent\"\npublic_key = \"ca.pub\"");
    write(&world, &text);
    let with_agent = |socket: &Path| {
        let mut command = world.command(&["run", "prod", "--profile", "say", "--json"]);
        CommandOutput::of(command.env("SSH_AUTH_SOCK", socket).output().unwrap())
    };
    assert_eq!(with_agent(&socket).succeeds().text(), SAID);
    assert_eq!(run(&world, &["say", "--plan", "--json"]).succeeds().json()["enforced"], "key");
    add(&["-D"]);
    let before = calls(&world);
    assert_eq!(with_agent(&socket).ends_with(255).json()["error"], "signer_failed");
    // One that answers with anything else than a signature by the CA.
    for answer in [&b"\x0e\0\0\0\x04junk"[..], b"\x0e\xff\xff\xff\xff", b"", b"\x0c\0\0\0\0"] {
        let fake = world.home().join(format!("fake-{}", answer.len()));
        let listener = std::os::unix::net::UnixListener::bind(&fake).unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 64];
            let _ = stream.read(&mut asked);
            let length = u32::try_from(answer.len()).unwrap();
            let _ = stream.write_all(&[&length.to_be_bytes()[..], answer].concat());
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(with_agent(&fake).ends_with(255).json()["error"], "signer_failed", "{answer:?}");
        serving.join().unwrap();
        std::fs::remove_file(&fake).unwrap();
    }
    assert_eq!(calls(&world), before);
}
