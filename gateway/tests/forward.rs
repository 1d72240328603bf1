//! Forwarded ports and Unix sockets, both ways, over the system's `ssh`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::ssh_session::SshSession;
use crate::support::{PATIENCE, until};

/// An `ssh -N` with forwards; dropping it ends it.
struct Forwarding(Child);

impl Forwarding {
    fn new(session: &SshSession, arguments: &[&str]) -> Self {
        let mut ssh = session.program("ssh");
        ssh.args(["-N", "-o", "ExitOnForwardFailure=yes"]).args(arguments).arg("box");
        Forwarding(ssh.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers one connection: everything it was sent, reversed, once the sender is done.
fn serve_reversed(mut connection: impl Read + Write) {
    let mut all = Vec::new();
    connection.read_to_end(&mut all).unwrap();
    all.reverse();
    connection.write_all(&all).unwrap();
}

/// Asks the server at the other end of a forward, ending its own half with `finish`.
fn check<C: Read + Write>(mut connection: C, finish: impl FnOnce(&C) -> std::io::Result<()>) {
    connection.write_all(b"hello").unwrap();
    finish(&connection).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "olleh");
}

fn check_tcp(port: u16) {
    let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    check(connection, |connection| connection.shutdown(Shutdown::Write));
}

fn check_unix(path: &Path) {
    // The file is there a moment before anybody listens.
    let asked = std::time::Instant::now();
    let connection = loop {
        match UnixStream::connect(path) {
            Err(error)
                if error.kind() == std::io::ErrorKind::ConnectionRefused && asked.elapsed() < PATIENCE =>
            {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            connection => break connection.unwrap(),
        }
    };
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    check(connection, |connection| connection.shutdown(Shutdown::Write));
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn tcp_goes_both_ways_and_half_closes() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    let serving = std::thread::spawn(move || (0..2).for_each(|_| serve_reversed(server.accept().unwrap().0)));
    for direction in ["-L", "-R"] {
        let port = free_port();
        let _forwarding = Forwarding::new(&session, &[direction, &format!("127.0.0.1:{port}:{target}")]);
        until("the forward", || listens(port));
        check_tcp(port);
    }
    serving.join().unwrap();
}

#[test]
fn unix_sockets_go_both_ways_and_leave_no_file() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let target = session.path("target");
    let server = UnixListener::bind(&target).unwrap();
    let serving = std::thread::spawn(move || (0..2).for_each(|_| serve_reversed(server.accept().unwrap().0)));
    for direction in ["-L", "-R"] {
        let path = session.path(&format!("socket{direction}"));
        let forwarding =
            Forwarding::new(&session, &[direction, &format!("{}:{}", path.display(), target.display())]);
        until("the forward", || path.exists());
        check_unix(&path);
        drop(forwarding);
        if direction == "-R" {
            until("the socket's file to go", || !path.exists());
        }
    }
    serving.join().unwrap();
}

#[test]
fn taken_ports_and_dead_targets_are_reported() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut forwarding = Forwarding::new(&session, &["-R", &format!("{port}:127.0.0.1:1")]);
    assert_eq!(forwarding.0.wait().unwrap().code(), Some(255));
    let output =
        session.program("ssh").args(["-W", &format!("127.0.0.1:{}", free_port()), "box"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdio forwarding failed"), "{output:?}");
}

#[test]
fn masters_add_and_cancel_forwards() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let control = session.path("control");
    let master = || {
        let mut ssh: Command = session.program("ssh");
        ssh.arg("-S").arg(&control);
        ssh
    };
    let mut leader = master().args(["-N", "-M", "box"]).stdin(Stdio::null()).spawn().unwrap();
    until("the master", || control.exists());
    let port = free_port();
    let forward = format!("127.0.0.1:{port}:127.0.0.1:{port}");
    for (command, open) in [("forward", true), ("cancel", false)] {
        let done = master().args(["-O", command, "-R", &forward, "box"]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        until(command, || listens(port) == open);
    }
    let agents: Vec<Child> = (0..200)
        .map(|n| {
            let command = format!("echo {n}; exit {}", n % 200);
            master().args(["box", &command]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (n, agent) in agents.into_iter().enumerate() {
        let output = agent.wait_with_output().unwrap();
        assert_eq!(output.status.code(), i32::try_from(n % 200).ok());
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{n}\n"));
    }
    leader.kill().unwrap();
    leader.wait().unwrap();
}

/// Whether something on this machine listens on a port, without connecting to it.
fn listens(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_err()
}
