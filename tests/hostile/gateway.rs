//! A gateway, and what lies on the way to it, that is not what the bundle says.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{program, skipped};
use crate::support::fake_plane::FakePlane;
use crate::support::{CommandOutput, World, processes_with, until};

/// A relay to the gateway of which a test can say how many bytes it lets through; it accepts until the process ends.
struct Relay {
    port: u16,
    accepted: Arc<AtomicUsize>,
    passed: Arc<AtomicU64>,
}

impl Relay {
    /// One that lets `limit` bytes of each answer through, or all.
    fn start(to: std::net::SocketAddr, limit: Option<u64>) -> Relay {
        Relay::with(to, limit, 1)
    }

    /// One that waits for so many connections, and then serves the last one first.
    fn reordering(to: std::net::SocketAddr, count: usize) -> Relay {
        Relay::with(to, None, count)
    }

    fn with(to: std::net::SocketAddr, limit: Option<u64>, count: usize) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let passed = Arc::new(AtomicU64::new(0));
        let (seen, bytes) = (Arc::clone(&accepted), Arc::clone(&passed));
        std::thread::spawn(move || {
            let mut waiting = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                seen.fetch_add(1, Ordering::SeqCst);
                waiting.push(stream);
                if waiting.len() == count {
                    for stream in waiting.drain(..).rev() {
                        let Ok(gateway) = TcpStream::connect(to) else { continue };
                        join(stream, gateway, limit, Arc::clone(&bytes));
                    }
                }
            }
        });
        Relay { port, accepted, passed }
    }
}

/// Lets the two talk to each other, as far as `limit` goes.
fn join(client: TcpStream, gateway: TcpStream, limit: Option<u64>, passed: Arc<AtomicU64>) {
    let (mut in_a, mut out_a) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
    let (in_b, mut out_b) = (gateway, client);
    std::thread::spawn(move || std::io::copy(&mut in_a, &mut out_a));
    std::thread::spawn(move || {
        let done = std::io::copy(&mut in_b.take(limit.unwrap_or(u64::MAX)), &mut out_b);
        passed.fetch_add(done.unwrap_or(0), Ordering::SeqCst);
        let _ = out_b.shutdown(std::net::Shutdown::Both);
    });
}

/// The session's files, led through another port: as if the way to the gateway were somebody else's.
fn lead_through(world: &World, port: u16) {
    let config = world.cache("ws-1/config");
    let text = std::fs::read_to_string(&config).unwrap();
    let old = world.plane().gateway_addr().port();
    let text = text.replace(&format!("Port {old}\n"), &format!("Port {port}\n"));
    std::fs::write(config, text).unwrap();
}

/// The user of plain `ssh` with the session's config.
fn plain(world: &World, options: &[&str]) -> CommandOutput {
    let mut ssh = std::process::Command::new("ssh");
    ssh.arg("-F").arg(world.cache("ws-1/config")).args(options).args([
        "-o",
        "ControlPath=none",
        "runcode-box",
        "echo in",
    ]);
    CommandOutput::of(ssh.output().unwrap())
}

#[test]
fn a_changed_host_key_is_refused() {
    let (world, other) = (World::new().connected(), World::new());
    lead_through(&world, other.plane().gateway_addr().port());
    let said = plain(&world, &[]).ends_with(255);
    assert!(said.stderr.contains("Host key verification failed") && said.stdout.is_empty(), "{said:?}");
}

/// Cut anywhere: in the banner, in the key exchange, in the middle of the command's output.
#[test]
fn a_cut_connection_fails_and_the_next_works() {
    let world = World::new().connected();
    let gateway = world.plane().gateway_addr();
    let whole = Relay::start(gateway, None);
    lead_through(&world, whole.port);
    assert_eq!(plain(&world, &[]).succeeds().text(), "in\n");
    until("it is counted", || whole.passed.load(Ordering::SeqCst) > 0);
    let whole = whole.passed.load(Ordering::SeqCst);
    for limit in [0, 5, whole / 6, whole / 3, whole / 2, whole * 3 / 4] {
        world.run(&["connect", "1", "--force"]).succeeds();
        let relay = Relay::start(gateway, Some(limit));
        lead_through(&world, relay.port);
        plain(&world, &[]).ends_with(255);
        assert_eq!(relay.accepted.load(Ordering::SeqCst), 1, "{limit}: it was tried once");
        assert_eq!(world.run(&["exec", "--", "echo in"]).succeeds().text(), "in\n");
    }
}

/// The first connection is served last: each still gets its own answer, from the plane and from the workspace.
#[test]
fn reordered_connections_get_their_own_answers() {
    const COUNT: usize = 4;
    let world = World::new().connected();
    let relay = Relay::reordering(world.plane().gateway_addr(), COUNT);
    lead_through(&world, relay.port);
    std::thread::scope(|scope| {
        for number in 0..COUNT {
            let world = &world;
            scope.spawn(move || {
                let text = format!("echo number {number}; exit {number}");
                let mut ssh = std::process::Command::new("ssh");
                ssh.arg("-F").arg(world.cache("ws-1/config")).args([
                    "-o",
                    "ControlPath=none",
                    "runcode-box",
                    &text,
                ]);
                let said = CommandOutput::of(ssh.output().unwrap());
                assert_eq!((said.text(), said.status), (&*format!("number {number}\n"), number as i32));
            });
        }
    });
    assert_eq!(relay.accepted.load(Ordering::SeqCst), COUNT);
    let plane = world.base().rsplit('/').next().unwrap().parse().unwrap();
    let relay = Relay::reordering(plane, COUNT);
    let base = format!("http://127.0.0.1:{}", relay.port);
    std::thread::scope(|scope| {
        for number in 0..COUNT {
            let (world, base) = (&world, &base);
            scope.spawn(move || {
                // Some ask for what there is, the others for what there is not.
                if number % 2 == 0 {
                    let listed = world.run_at(base, &["list", "--json"]).succeeds().json();
                    assert_eq!(listed[0]["id"], 1, "{listed}");
                } else {
                    let id = (70 + number).to_string();
                    world.run_at(base, &["connect", &id, "--json"]).fails_as("not_found", 2);
                }
            });
        }
    });
    assert_eq!(relay.accepted.load(Ordering::SeqCst), COUNT);
}

/// A gateway that takes connections and never says a word: told in time, and the lock is free afterwards.
#[test]
fn a_silent_gateway_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let held = std::thread::spawn(move || silent.incoming().take(4).collect::<Vec<_>>());
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";
    let bundle = serde_json::json!({"error": false, "bundle": {"host": "127.0.0.1", "port": port, "user": "box",
        "known_hosts": format!("[127.0.0.1]:{port} {key}"), "expires_at": "2999-01-01T00:00:00Z"}});
    let plane = FakePlane::answering(200, bundle.to_string());
    let world = World::new();
    let start = Instant::now();
    let said = world.run_at(&plane.base(), &["connect", "1", "--json"]).succeeds();
    assert!(said.stderr.contains("SSH does not answer yet"), "{said:?}");
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    let start = Instant::now();
    world.run_at(&plane.base(), &["disconnect", "--json"]).succeeds();
    assert!(start.elapsed() < Duration::from_secs(10), "the lock was held");
    assert_eq!(processes_with(&world.home().to_string_lossy()), Vec::<String>::new(), "an ssh is left");
    drop(held);
}

/// A gateway may send banners without end before anybody is known to it: none is kept, and none reaches the terminal.
#[test]
fn gateway_banners_fill_no_log_or_terminal() {
    let Some(world) = World::real() else { return };
    let connected = world.run(&["connect", "1", "--wait"]).succeeds();
    let ran = world.run(&["exec", "--", "echo in"]).succeeds();
    assert!(!connected.stderr.contains("BANNER") && ran.stderr.is_empty(), "{connected:?} {ran:?}");
    for name in super::names(&world.cache("ws-1")) {
        let path = world.cache("ws-1").join(name);
        let content = std::fs::read(&path).unwrap_or_default();
        assert!(!content.windows(6).any(|part| part == b"BANNER"), "{}", path.display());
    }
}

/// Neither an agent nor a configuration of the user's or the system's has a say in a session.
#[test]
fn agents_and_user_configs_have_no_influence() {
    let world = World::new();
    let socket = world.home().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mark = world.home().join("mark");
    std::fs::create_dir(world.home().join(".ssh")).unwrap();
    let evil =
        format!("Host *\n  ProxyCommand touch {}\n  IdentityFile /nowhere\n  User evil\n", mark.display());
    std::fs::write(world.home().join(".ssh/config"), evil).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("SSH_AUTH_SOCK", &socket).env("SSH_ASKPASS", "/bin/false").env("DISPLAY", ":1");
        CommandOutput::of(command.output().unwrap())
    };
    run(&["connect", "1", "--wait"]).succeeds();
    assert_eq!(run(&["exec", "--", "echo in"]).succeeds().text(), "in\n");
    assert!(!mark.exists());
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the agent was asked");
    let effective = std::process::Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(world.cache("ws-1/config"))
        .arg("runcode-box")
        .output()
        .unwrap();
    let effective = String::from_utf8(effective.stdout).unwrap();
    for line in [
        "identityagent none",
        "identitiesonly yes",
        "user box",
        "stricthostkeychecking true",
        "forwardagent no",
        "permitlocalcommand no",
        "passwordauthentication no",
        "updatehostkeys false",
        "hostkeyalias runcode-ws-1",
        "batchmode yes",
    ] {
        assert!(effective.lines().any(|found| found == line), "{line}\n{effective}");
    }
    assert!(
        !effective.contains("proxycommand")
            && !effective.contains("proxyjump")
            && !effective.contains("remotecommand"),
        "{effective}"
    );
}

/// What `ssh-keygen -L` says of a certificate is what we took it for.
#[test]
fn accepted_certificates_match_ssh_keygen() {
    let mut world =
        World::with(|options| options.credential = runcode_gateway::CredentialMode::Certificate).connected();
    let path = world.cache("ws-1/id_ed25519-cert.pub");
    if program("ssh-keygen").is_none() {
        return skipped("ssh-keygen -L", "there is no ssh-keygen");
    }
    let shown = std::process::Command::new("ssh-keygen")
        .env("TZ", "UTC")
        .arg("-L")
        .arg("-f")
        .arg(path)
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("user certificate"), "{shown}");
    let principals = shown.split("Principals:").nth(1).unwrap().split("Critical Options:").next().unwrap();
    assert_eq!(principals.trim(), "box", "{shown}");
    let public = std::process::Command::new("ssh-keygen")
        .arg("-l")
        .arg("-f")
        .arg(world.cache("ws-1/id_ed25519.pub"))
        .output()
        .unwrap();
    let fingerprint = String::from_utf8(public.stdout).unwrap().split(' ').nth(1).unwrap().to_owned();
    assert!(shown.contains(&format!("Public key: ED25519-CERT {fingerprint}")), "{shown}");
    // Back to a plain key: the old certificate beside it would be picked up by ssh, so it has to go.
    world.stop_plane();
    let plain = World::with(|options| {
        options.credential = runcode_gateway::CredentialMode::Key;
        options.http_port = world.base().rsplit(':').next().unwrap().parse().unwrap();
    });
    let mut command = plain.command(&["connect", "1", "--force"]);
    command.env("HOME", world.home());
    CommandOutput::of(command.output().unwrap()).succeeds();
    assert!(!world.cache("ws-1/id_ed25519-cert.pub").exists());
}

/// A master that no longer answers is ended with its session, and no command waits for it for ever.
#[test]
fn a_stopped_master_is_ended_with_its_session() {
    let world = World::new().connected();
    world.run(&["exec", "--", "true"]).succeeds();
    let output = std::process::Command::new("ssh")
        .arg("-F")
        .arg(world.cache("ws-1/config"))
        .args(["-O", "check", "runcode-box"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid: i32 = text.split("pid=").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    world.run(&["disconnect"]).succeeds();
    until("it is gone", || {
        rustix::process::test_kill_process(pid).is_err() || is_zombie(pid.as_raw_nonzero().get())
    });
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}
