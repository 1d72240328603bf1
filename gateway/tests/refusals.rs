//! Who is not let in, how alike the refusals are, and how many may knock at once.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ssh_key::{Algorithm, PrivateKey};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::ssh_session::{SshSession, mint};
use crate::support::until;

fn key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

#[test]
fn bad_keys_are_all_refused_alike() {
    let fixture = GatewayFixture::with(|options| {
        let mut other = options.workspaces[0].clone();
        other.title = "box-2".into();
        options.workspaces.push(other);
    });
    let good = fixture.session();
    let with = |user: &str, key: &PrivateKey| {
        let mut bundle = good.bundle.clone();
        bundle["user"] = user.into();
        SshSession::from_bundle(bundle, key)
    };
    let (here, elsewhere, expired) = (key(), key(), key());
    assert_eq!(mint(&fixture.plane, 2, &elsewhere, 60).status, 200);
    assert_eq!(mint(&fixture.plane, 1, &expired, 1).status, 200);
    let soon = with("box-1", &expired);
    until("the session to expire", || soon.run("true", b"").status.code() == Some(255));
    let cases = [
        ("unknown user", with("nobody", &here)),
        ("foreign key", with("box-1", &here)),
        ("another workspace's key", with("box-1", &elsewhere)),
        ("expired key", soon),
    ];
    let mut times = Vec::new();
    for (name, session) in &cases {
        let began = Instant::now();
        let output = session.run("true", b"");
        times.push(began.elapsed());
        assert_eq!(output.status.code(), Some(255), "{name}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("Permission denied (publickey)."), "{name}: {text}");
    }
    // Every refusal takes the same time, which is long beside what the cases differ in.
    assert!(times.iter().all(|time| *time >= Duration::from_millis(250)), "{times:?}");
    assert_eq!(good.output("echo in"), "in\n");
}

#[test]
fn login_floods_do_not_drop_sessions() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let mut inside = session.program("ssh").args(["box", "touch on; cat"]).spawn_piped();
    until("the command", || fixture.folder.path().join("on").exists());
    let mut knocking: Vec<TcpStream> =
        (0..150).map(|_| TcpStream::connect(fixture.plane.gateway_addr()).unwrap()).collect();
    let mut greeted = 0;
    for stream in &mut knocking {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut byte = [0];
        greeted += usize::from(matches!(stream.read(&mut byte), Ok(1)));
    }
    // Where nobody knows whose they are, the newest take the places of the oldest.
    assert_eq!(greeted, if cfg!(target_os = "linux") { 100 } else { 150 });
    assert!(inside.try_wait().unwrap().is_none());
    drop(knocking);
    until("room", || session.run("true", b"").status.success());
    inside.kill().unwrap();
    inside.wait().unwrap();
}

trait SpawnPiped {
    fn spawn_piped(&mut self) -> std::process::Child;
}

impl SpawnPiped for std::process::Command {
    /// Started with an input that stays open.
    fn spawn_piped(&mut self) -> std::process::Child {
        self.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap()
    }
}
