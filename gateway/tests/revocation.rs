//! What is taken back is gone at once, connections that stand included; what has only run out goes on, as with sshd(8).

use std::process::{Child, Stdio};
use std::time::Duration;

use runcode_gateway::{CredentialMode, UserSpec};
use ssh_key::{Algorithm, PrivateKey};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::ssh_session::{SshSession, mint_as};
use crate::support::{http, until};

/// An `ssh` that holds a connection; ended with the test.
struct Standing(Child);

impl Standing {
    /// Returns once its command runs.
    fn new(fixture: &GatewayFixture, session: &SshSession, name: &str) -> Self {
        let command = format!("echo $$ > {name}; exec sleep 60");
        let client = session.program("ssh").args(["box", &command]).stdin(Stdio::null()).spawn().unwrap();
        let file = fixture.folder.path().join(name);
        until("the command", || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
        Standing(client)
    }

    fn stands(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn is_cut(&mut self) {
        until("the connection to be cut", || !self.stands());
        assert_eq!(self.0.wait().unwrap().code(), Some(255));
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn two_users(credential: CredentialMode) -> GatewayFixture {
    let user = |name: &str| UserSpec { email: format!("{name}@example.com"), token: Some(name.to_owned()) };
    GatewayFixture::with(|options| {
        options.users = vec![user("ann"), user("bob")];
        options.credential = credential;
        options.workspaces[0].shared = true;
        options.workspaces[0].owner = Some("ann@example.com".into());
    })
}

fn session_of(fixture: &GatewayFixture, token: &str, ttl: u64) -> SshSession {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let answer = mint_as(&fixture.plane, token, 1, &key, ttl);
    SshSession::from_bundle(answer.json()["bundle"].clone(), &key)
}

#[test]
fn logout_cuts_only_the_users_connections() {
    for credential in [CredentialMode::Key, CredentialMode::Certificate] {
        let fixture = two_users(credential);
        let (anns, bobs) = (session_of(&fixture, "ann", 60), session_of(&fixture, "bob", 60));
        let mut ann = Standing::new(&fixture, &anns, "ann");
        let mut bob = Standing::new(&fixture, &bobs, "bob");
        let base = fixture.plane.api_base();
        assert_eq!(http::call(&base, "ann", "POST", "/logout", "").status, 200);
        ann.is_cut();
        assert!(bob.stands());
        assert_eq!(anns.run("true", b"").status.code(), Some(255));
        assert_eq!(bobs.output("echo in"), "in\n");
        fixture.plane.revoke_sessions();
        bob.is_cut();
    }
}

#[test]
fn connections_outlive_expiry_but_not_logout() {
    let fixture = two_users(CredentialMode::Key);
    let session = session_of(&fixture, "ann", 3);
    let mut standing = Standing::new(&fixture, &session, "on");
    until("the session to run out", || session.run("true", b"").status.code() == Some(255));
    // By now another grant has swept this one's out.
    assert_eq!(session_of(&fixture, "bob", 60).output("echo in"), "in\n");
    assert!(standing.stands());
    http::call(&fixture.plane.api_base(), "ann", "POST", "/logout", "");
    standing.is_cut();
}

/// The headers came before the logout, the body after it.
#[test]
fn late_requests_get_nothing_after_logout() {
    use std::io::{Read as _, Write as _};
    let fixture = two_users(CredentialMode::Key);
    let base = fixture.plane.api_base();
    let host = base.strip_prefix("http://").unwrap();
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let body =
        format!(r#"{{"public_key":"{}","ttl":60,"client":"x"}}"#, key.public_key().to_openssh().unwrap());
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let head = format!(
        "POST /api/rc/workspace/1/ssh-session HTTP/1.1\r\nHost: {host}\r\nAuthorization: Token ann\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 12];
    stream.read_exact(&mut go_on).unwrap(); // said when the body is asked for, so after the token was looked at
    assert_eq!(&go_on, b"HTTP/1.1 100");
    assert_eq!(http::call(&base, "ann", "POST", "/logout", "").status, 200);
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 401"), "{answer}");
}

/// Forwards and masters stand on the same connection as commands: all of it goes.
#[test]
fn a_stop_cuts_masters_and_their_forwards() {
    let fixture = two_users(CredentialMode::Certificate);
    let session = session_of(&fixture, "ann", 60);
    let control = session.path("control");
    let mut ssh = session.program("ssh");
    let master = ssh.arg("-S").arg(&control).args(["-N", "-M", "box"]).stdin(Stdio::null()).spawn();
    let mut master = Standing(master.unwrap());
    until("the master", || control.exists());
    let mut ssh = session.program("ssh");
    let tail =
        ssh.arg("-S").arg(&control).args(["box", "echo $$ > pid; trap '' HUP TERM; sleep 60 & wait; wait"]);
    let mut tail = Standing(tail.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let file = fixture.folder.path().join("pid");
    until("the command", || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
    let pid = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let began = std::time::Instant::now();
    let base = fixture.plane.api_base();
    assert_eq!(http::call(&base, "ann", "GET", "/workspace/stop?workspace_id=1", "").status, 200);
    assert!(began.elapsed() < Duration::from_secs(8));
    // The answer comes when it is done.
    assert!(!std::path::Path::new("/proc").join(pid).join("exe").exists());
    master.is_cut();
    tail.is_cut();
}
