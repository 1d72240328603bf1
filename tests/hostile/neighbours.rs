//! Another user of this machine at the ports of a plane and of a login. As root, with a user id that nobody has.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use runcode_gateway::{Options, Plane};

use super::login::Waiting;
use super::{is_root, program, skipped};
use crate::support::World;

const NEIGHBOUR: u32 = 54_322;

fn can(test: &str) -> bool {
    let can = is_root()
        && program("setpriv").is_some()
        && ["curl", "python3"].into_iter().all(|name| Path::new("/usr/bin").join(name).exists());
    if !can {
        skipped(test, "it takes root, setpriv, curl and python3 to be two users");
    }
    can
}

/// A program, run by the other user.
fn neighbour(words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NEIGHBOUR}"), &format!("--regid={NEIGHBOUR}"), "--clear-groups", "--"]);
    // What the first user has on PATH may lie in their home.
    command.args(words).current_dir("/").env("PATH", "/usr/bin:/bin");
    command
}

/// The status that curl gets, by a socket as `options` have it.
fn status(mut command: Command, options: &[&str], url: &str) -> String {
    command.args(["-gs", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: 127.0.0.1"]);
    String::from_utf8(command.args(options).arg(url).output().unwrap().stdout).unwrap()
}

/// Connections of the other user to a port, which say nothing and stay open until this is dropped.
struct Idle(Child);

impl Idle {
    fn open(port: u16, count: usize) -> Idle {
        const SCRIPT: &str = "import socket, sys
held = [socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5) for _ in range(int(sys.argv[2]))]
print('open', flush=True)
sys.stdin.read()";
        let mut command = neighbour(&["python3", "-c", SCRIPT, &port.to_string(), &count.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "open\n");
        Idle(child)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The page's whole address is known to them, and they come by every kind of socket.
#[test]
fn another_user_gets_no_page_by_any_socket() {
    if !can("another user's browser") {
        return;
    }
    let world = World::new();
    let query = "/auth/cli-login/?port=4711&state=x";
    let path = format!("{}{query}", world.plane().web_base().strip_prefix(&world.base()).unwrap());
    let port = world.base().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
        for options in [&[][..], &["--interface", "if!lo"]] {
            let url = format!("http://{host}:{port}{path}");
            assert_eq!(status(Command::new("curl"), options, &url), "200", "{url} {options:?}");
            assert_eq!(status(neighbour(&["curl"]), options, &url), "403", "{url} {options:?}");
        }
    }
    let listen = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let plane = Plane::start(Options { listen, ..Options::default() }).unwrap();
    let url = format!("{}{query}", plane.web_base());
    assert_eq!(status(Command::new("curl"), &[], &url), "200");
    assert_eq!(status(neighbour(&["curl"]), &[], &url), "403");
}

#[test]
fn another_user_cannot_starve_a_plane() {
    if !can("idle connections") {
        return;
    }
    let world = World::new();
    let api = world.base().rsplit(':').next().unwrap().parse().unwrap();
    let gateway = world.plane().gateway_addr().port();
    let _idle = [Idle::open(gateway, 300), Idle::open(api, 600)];
    world.run(&["connect", "1"]).succeeds();
    assert_eq!(world.run(&["exec", "--", "echo here"]).succeeds().text(), "here\n");
}

#[test]
fn another_user_cannot_answer_or_block_a_login() {
    if !can("another user's callback") {
        return;
    }
    let world = World::new();
    let mut login = Waiting::start(&world);
    let _idle = Idle::open(login.port, 100);
    let token = world.plane().token();
    let query = format!("state={}&token={token}", login.state);
    let url = format!("http://127.0.0.1:{}/callback?{query}", login.port);
    let answer = neighbour(&["curl", "-s", "-m", "10", &url]).output().unwrap();
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "");
    assert!(login.child.try_wait().unwrap().is_none(), "the login went on waiting");
    assert!(login.get(&query).starts_with("HTTP/1.1 200"));
    assert!(login.child.wait().unwrap().success());
}
