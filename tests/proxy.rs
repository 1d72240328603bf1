//! `proxy`: what ssh runs for the hosts of `config-ssh`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runcode_gateway::{CredentialMode, Options, WorkspaceSpec};
use serde_json::{Value, json};

use crate::support::editor_fixture::EditorFixture;
use crate::support::{CommandOutput, World, processes_with, until};

/// An HTTP proxy that leads every request to one port on this machine, and the requests that it got.
struct HttpProxy {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    fn to(port: u16) -> HttpProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || {
                    let mut head = BufReader::with_capacity(1, client.try_clone().unwrap()).lines();
                    let first = head.next().unwrap().unwrap();
                    while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    heard.lock().unwrap().push(first);
                    let (mut client, mut server) = (client, TcpStream::connect(("127.0.0.1", port)).unwrap());
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                    let _ = std::io::copy(&mut server, &mut client);
                    let _ = client.shutdown(std::net::Shutdown::Write);
                });
            }
        });
        HttpProxy { address, asked }
    }
}

#[test]
fn a_gateway_is_reached_through_a_proxy() {
    let Some(world) = World::real_named("gw.test") else { return };
    let proxy = HttpProxy::to(world.sshd_port());
    let url = format!("http://me:hunter2@{}", proxy.address);
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = world.command(arguments);
        CommandOutput::of(command.envs(variables.iter().copied()).output().unwrap())
    };
    let ssh = runcode::sys::program::find("ssh", std::env::var_os("PATH").as_deref()).unwrap();
    for variables in [
        vec![("RUNCODE_PROXY", url.as_str())],
        vec![("HTTPS_PROXY", url.as_str())],
        // This one makes the connection itself.
        vec![("RUNCODE_PROXY", url.as_str()), ("RUNCODE_SSH", ssh.to_str().unwrap())],
    ] {
        run(&variables, &["connect", "1"]).succeeds();
        assert_eq!(run(&variables, &["exec", "--", "echo", "here"]).succeeds().text(), "here\n");
        let asked = std::mem::take(&mut *proxy.asked.lock().unwrap());
        assert!(asked.len() == 1 && asked[0].starts_with("CONNECT gw.test:"), "{variables:?} {asked:?}");
        run(&variables, &["disconnect"]).succeeds();
    }
    let doctor = run(&[("RUNCODE_PROXY", &url)], &["doctor"]);
    assert!(
        doctor.text().contains(&format!("through http://{} (RUNCODE_PROXY)", proxy.address)),
        "{doctor:?}"
    );
    assert!(!doctor.text().contains("hunter2"));
}

#[test]
fn a_proxy_that_refuses_is_told() {
    let Some(world) = World::real_named("gw.test") else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("socks5h://me:hunter2@{nobody}");
    let run = |variable: &str, value: &str| {
        let mut command = world.command(&["run", "1", "--json", "--", "true"]);
        CommandOutput::of(command.env(variable, value).output().unwrap())
    };
    let said = run("RUNCODE_PROXY", &url).fails_as("transport", 255);
    assert!(said.json()["message"].as_str().unwrap().contains("RUNCODE_PROXY"), "{said:?}");
    assert!(!said.stderr.contains("hunter2") && !said.text().contains("hunter2"), "{said:?}");
    let said = run("RUNCODE_PROXY", "https://me:hunter2@proxy.test").fails_as("usage", 255);
    assert!(!said.stderr.contains("hunter2") && !said.text().contains("hunter2"), "{said:?}");
    // Here ssh makes the connection, and hears nothing of why.
    let ssh = runcode::sys::program::find("ssh", std::env::var_os("PATH").as_deref()).unwrap();
    let mut command = world.command(&["run", "1", "--json", "--", "true"]);
    command.env("RUNCODE_PROXY", &url).env("RUNCODE_SSH", ssh);
    let said = CommandOutput::of(command.output().unwrap()).fails_as("transport", 255);
    assert!(said.json()["message"].as_str().unwrap().contains("RUNCODE_PROXY"), "{said:?}");
}

#[test]
fn a_dead_proxy_is_told_at_once() {
    let Some(world) = World::real_named("gw.test") else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = |variable: &str, arguments: &[&str]| {
        let mut command = world.command(arguments);
        CommandOutput::of(command.env(variable, format!("http://{nobody}")).output().unwrap())
    };
    let began = Instant::now();
    let said = run("RUNCODE_PROXY", &["connect", "1", "--wait", "--timeout", "60", "--json"]);
    let said = said.fails_as("transport", 1);
    assert!(
        said.json()["message"].as_str().unwrap().contains("(RUNCODE_PROXY) cannot be reached"),
        "{said:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(45), "it waited");
    for (variable, status) in [("RUNCODE_PROXY", "fail"), ("ALL_PROXY", "warn")] {
        let said = run(variable, &["doctor", "--json"]).json();
        let check = said["checks"].as_array().unwrap().iter().find(|check| check["name"] == "proxy").unwrap();
        assert_eq!(check["status"], status, "{check}");
    }
}

fn logged(credential: CredentialMode) -> EditorFixture {
    logged_with(credential, |_| {})
}

fn logged_with(credential: CredentialMode, change: impl Fn(&mut Options)) -> EditorFixture {
    EditorFixture::at(World::with(|options| {
        change(options);
        let folder = options.workspaces[0].dir.clone();
        options.access_log = Some(folder.with_file_name("access.log"));
        options.credential = credential;
        options.workspaces.push(WorkspaceSpec { running: true, ..WorkspaceSpec::new("other", &folder) });
        options.workspaces.push(WorkspaceSpec::new("asleep", &folder));
    }))
}

fn mints(world: &World) -> usize {
    let log = std::fs::read_to_string(world.home().join("access.log")).unwrap();
    log.lines().filter(|line| line.contains("ssh-session")).count()
}

/// Makes the session one that ended an hour ago, for us and for the gateway, with a key as old as `key_age`.
fn expire(fixture: &EditorFixture, key_age: Duration) {
    let path = fixture.world.cache("ws-1/meta.json");
    let mut meta: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let ago =
        |seconds: u64| (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds as i64)).to_string();
    meta["expires_at"] = json!(ago(3600));
    meta["key_created_at"] = json!(ago(key_age.as_secs()));
    std::fs::write(&path, meta.to_string()).unwrap();
    fixture.world.plane().revoke_sessions();
}

#[test]
fn the_first_connection_after_expiry_works() {
    for credential in [CredentialMode::Key, CredentialMode::Certificate] {
        let fixture = logged(credential);
        let connect = || CommandOutput::of(fixture.ssh(&[&fixture.host, "echo here"]).output().unwrap());
        assert_eq!(connect().succeeds().text(), "here\n", "{credential:?}, cold");
        for key_age in [Duration::from_secs(3700), Duration::from_secs(30 * 3600)] {
            expire(&fixture, key_age);
            let said = connect();
            assert_eq!(
                (said.status, said.text()),
                (0, "here\n"),
                "{credential:?}, {key_age:?}: {}",
                said.stderr
            );
        }
        assert_eq!(mints(&fixture.world), 3, "{credential:?}");
    }
}

#[test]
fn proxy_recovers_from_clean_and_a_lost_pin() {
    let fixture = logged(CredentialMode::Key);
    let connect =
        || CommandOutput::of(fixture.ssh(&[&fixture.host, "echo here"]).output().unwrap()).succeeds();
    connect();
    std::fs::remove_file(fixture.world.cache("ws-1/known_hosts")).unwrap();
    connect();
    fixture.world.run(&["clean", "--all"]).succeeds();
    connect();
}

#[test]
fn twenty_cold_connections_mint_once() {
    let fixture = logged(CredentialMode::Key);
    let children = (0..20)
        .map(|i| fixture.ssh(&[&fixture.host, &format!("echo {i}")]).spawn().unwrap())
        .collect::<Vec<_>>();
    for (i, child) in children.into_iter().enumerate() {
        assert_eq!(CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text(), format!("{i}\n"));
    }
    assert_eq!(mints(&fixture.world), 1);
}

/// A control plane may grant so little that the session is as good as over at once. One connection is still one session.
#[test]
fn a_short_session_is_minted_once() {
    for (credential, seconds) in
        [(CredentialMode::Key, 60), (CredentialMode::Certificate, 60), (CredentialMode::Key, 30)]
    {
        let fixture = logged_with(credential, |options| options.max_ttl = Duration::from_secs(seconds));
        std::fs::write(fixture.world.home().join("file"), "here\n").unwrap();
        let ssh = || CommandOutput::of(fixture.ssh(&[&fixture.host, "echo here"]).output().unwrap());
        let ours = |arguments: &[&str]| fixture.world.run_with(arguments, b"echo here\nexit\n");
        ours(&["connect", "box"]).succeeds();
        for (verb, run) in [
            ("ssh", &ssh as &dyn Fn() -> CommandOutput),
            ("exec", &|| ours(&["exec", "-n", "--", "echo here"])),
            ("run", &|| ours(&["run", "box", "--", "echo here"])),
            ("shell", &|| ours(&["shell"])),
            ("put", &|| ours(&["put", "file", "there"])),
            ("get", &|| ours(&["get", "there", "--out", "-"])),
        ] {
            // Over the previous command's connection, and over a new one.
            for is_cold in [false, true] {
                if is_cold {
                    let config = fixture.world.cache("ws-1/config");
                    let mut end = fixture.program("ssh", &["-O", "exit", "-F"]);
                    end.arg(config).arg("runcode-box").output().unwrap();
                }
                let before = mints(&fixture.world);
                let said = run().succeeds();
                assert!(verb == "put" || said.text().ends_with("here\n"), "{verb}: {said:?}");
                assert_eq!(
                    mints(&fixture.world) - before,
                    1,
                    "{verb}, {credential:?}, {seconds} s, cold {is_cold}"
                );
            }
        }
    }
}

#[test]
fn two_workspaces_keep_their_own_pins() {
    let fixture = logged(CredentialMode::Key);
    let connect = |host: &str| CommandOutput::of(fixture.ssh(&[host, "echo here"]).output().unwrap());
    connect("runcode.box").succeeds();
    assert!(fixture.world.plane().change_host_key());
    connect("runcode.other").succeeds();
    let refused = connect("runcode.box");
    assert_eq!(refused.status, 255);
    assert!(refused.stderr.contains("Host key verification failed"), "{refused:?}");
    let pin =
        |id: u32| std::fs::read_to_string(fixture.world.cache(&format!("ws-{id}/known_hosts"))).unwrap();
    assert!(pin(1).starts_with("runcode-ws-1 ") && pin(2).starts_with("runcode-ws-2 "));
    assert_ne!(pin(1).split(' ').nth(2), pin(2).split(' ').nth(2));
}

#[test]
fn proxy_says_how_to_start_a_workspace() {
    let fixture = logged(CredentialMode::Key);
    let said = CommandOutput::of(fixture.ssh(&["runcode.asleep", "true"]).output().unwrap());
    assert_eq!((said.status, said.text()), (255, ""));
    assert!(said.stderr.contains("runcode connect 3 --start"), "{said:?}");
    let unknown = fixture.world.run(&["proxy", "77"]);
    assert_eq!((unknown.status, unknown.text()), (2, ""));
}

#[test]
fn proxy_without_a_token_says_to_log_in() {
    let fixture = logged(CredentialMode::Key);
    fixture.world.run(&["logout"]).succeeds();
    let said = CommandOutput::of(fixture.ssh(&[&fixture.host, "true"]).output().unwrap());
    assert_eq!(said.status, 255);
    assert!(said.stderr.contains("runcode login"), "{said:?}");
}

/// The pipes stay open in this test: only the parent's death can end it.
#[test]
fn proxy_ends_soon_after_its_parent() {
    for fixture in EditorFixture::each() {
        let cache = fixture.world.cache("");
        let cache = cache.to_str().unwrap();
        let script = format!(
            "'{}' proxy 1 --cache-dir '{cache}' --api-base '{}'; exit 1",
            env!("CARGO_BIN_EXE_runcode"),
            fixture.world.base()
        );
        let mut parent = fixture.program("sh", &["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = parent.stdin.take().unwrap();
        let mut stdout = BufReader::new(parent.stdout.take().unwrap());
        let mut banner = String::new();
        stdout.read_line(&mut banner).unwrap();
        assert!(banner.starts_with("SSH-2.0-"), "{banner:?}");
        stdin.write_all(b"SSH-2.0-test\r\n").unwrap();
        let ours = || {
            processes_with(cache)
                .into_iter()
                .filter(|line| line.contains(" proxy 1 ") && !line.contains("exit 1"))
                .count()
        };
        assert_eq!(ours(), 1);
        parent.kill().unwrap();
        parent.wait().unwrap();
        let start = Instant::now();
        until("the proxy has ended", || ours() == 0);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        drop(stdin);
        let _ = stdout.read_to_end(&mut Vec::new());
    }
}

#[test]
fn proxy_ends_when_stdout_closes() {
    let fixture = EditorFixture::new();
    let mut child = fixture.world.command(&["proxy", "1"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    let stdin = child.stdin.take(); // stays open: its end would be an end as well
    drop(stdout);
    assert!(child.wait().unwrap().success());
    drop(stdin);
}

/// As programs with a socket for both use it (libssh): no ssh waits for the connection itself.
#[test]
fn one_socket_for_both_is_relayed() {
    let fixture = EditorFixture::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = fixture.world.command(&["proxy", "1"]);
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut banner = String::new();
    let mut ours = BufReader::new(ours);
    ours.read_line(&mut banner).unwrap();
    assert!(banner.starts_with("SSH-2.0-"), "{banner:?}");
    drop(ours);
    assert!(child.wait().unwrap().success());
}
