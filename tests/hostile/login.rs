//! The login's port, with the whole machine and every web page as its neighbours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;

use crate::support::fake_plane::FakePlane;
use crate::support::{CommandOutput, World};

/// A login that waits for its browser.
pub struct Waiting {
    pub child: Child,
    pub port: u16,
    pub state: String,
}

impl Waiting {
    pub fn start(world: &World) -> Waiting {
        let mut child = world
            .command(&["login", "--no-browser", "--timeout", "60"])
            .env_remove("RUNCODE_TOKEN")
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let url = lines.map(Result::unwrap).find(|line| line.starts_with("http")).unwrap();
        let port = url.split("port=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let state = url.split("state=").nth(1).unwrap().to_owned();
        Waiting { child, port, state }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    pub fn get(&self, query: &str) -> String {
        self.send(&format!("GET /callback?{query} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn idle_connections_do_not_block_login() {
    let world = World::new();
    let mut login = Waiting::start(&world);
    let idle = (0..300).map(|_| login.connect()).collect::<Vec<_>>();
    assert!(login.child.try_wait().unwrap().is_none());
    drop(idle);
    let token = world.plane().token();
    let query = format!("state={}&token={token}", login.state);
    crate::support::until("the callback is taken", || login.get(&query).starts_with("HTTP/1.1 200"));
    assert!(login.child.wait().unwrap().success());
}

#[test]
fn login_pages_echo_nothing_and_are_not_cached() {
    let world = World::new();
    let mut login = Waiting::start(&world);
    let (state, port) = (login.state.clone(), login.port);
    let answers = [
        login.get("state=wrong&token=EVIL"),
        login.get(&format!("state={state}&token=a&token=EVIL")),
        login.get(&format!("state={state}&state={state}&token=EVIL")),
        login.get(&format!("state={state}&token=EVIL%0d%0aSet-Cookie:x")),
        login.get(&format!("state={state}&token=EVIL&email=%3Cscript%3E%1b[2J")),
        login.get(&format!("state={state}&token={}", "EVIL".repeat(2000))),
        login.send(&format!("GET /EVIL?state={state} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")),
        login.send(&format!("POST /callback?state={state}&token=EVIL HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")),
        login.send(&format!("GET /callback?state={state}&token=EVIL HTTP/1.1\r\nHost: EVIL.example:{port}\r\n\r\n")),
        login.send(&format!("GET /callback?state={state}&token=EVIL HTTP/1.1\r\n\r\n")),
        login.send(&format!("GET http://127.0.0.1:{port}/callback?state={state}&token=EVIL HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")),
        login.send("\0\0\0\0\r\n\r\n"),
        login.send(&format!("{}\r\n\r\n", "x".repeat(20_000))),
    ];
    for answer in &answers {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(
            answer.is_empty()
                || answer.contains("Cache-Control: no-store")
                    && answer.contains("Referrer-Policy: no-referrer"),
            "{answer}"
        );
        assert!(
            !answer.contains("EVIL") && !answer.contains("script>") && !answer.contains(&state),
            "{answer}"
        );
    }
    assert!(login.child.try_wait().unwrap().is_none(), "the login goes on");
    assert!(!world.home().join(".config/runcode/token").exists());
    let token = world.plane().token();
    assert!(login.get(&format!("state={state}&token={token}&email=you%40x")).starts_with("HTTP/1.1 200"));
    assert!(login.child.wait().unwrap().success());
}

/// A project's settings can set both variables for whatever an agent runs: no token is made for, or sent to, what they name.
#[test]
fn a_login_goes_where_the_user_said() {
    let world = World::new();
    let proxy = FakePlane::answering(502, "");
    let (evil, hosted_web) = ("https://evil.invalid/;touch$IFSx", "https://runcode.io");
    let (here, elsewhere) = ("http://127.0.0.1:9", "http://127.0.0.1:6666");
    let login = |api: Option<&str>, web: &str, arguments: &[&str]| {
        let mut command = world.command(&[&["login", "--json", "--timeout", "1"], arguments].concat());
        command.env("HTTPS_PROXY", proxy.base()).env("NO_PROXY", "").env("RUNCODE_WEB_BASE", web);
        command.env_remove("RUNCODE_TOKEN").env_remove("RUNCODE_API_BASE");
        api.map(|api| command.env("RUNCODE_API_BASE", api));
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"the-users-token\n");
        CommandOutput::of(child.wait_with_output().unwrap())
    };
    let browser = ["--no-browser"];
    for said in [
        login(Some(evil), hosted_web, &browser),
        login(Some(evil), hosted_web, &["--paste"]),
        login(Some(evil), evil, &browser),
        login(None, hosted_web, &["--no-browser", "--api-base", evil]),
        login(None, evil, &browser),
        login(None, evil, &["--no-browser", "--api-base", evil]),
        login(None, evil, &["--no-browser", "--api-base", evil, "--web-base", hosted_web]),
        // A page of the project's answers with a token of its own account, and `put` goes there.
        login(None, elsewhere, &browser),
        login(None, "http://[::1]:6666/x", &browser),
        login(Some("https://app.runcode.io"), elsewhere, &["--no-browser", "--web-base", elsewhere]),
        login(None, elsewhere, &["--no-browser", "--api-base", here]),
        login(Some(here), hosted_web, &["--no-browser", "--web-base", elsewhere]),
    ] {
        let document = said.fails_as("usage", 2).json();
        let hint = document["hint"].as_str().unwrap();
        assert!(
            !hint.contains("; touch") && (!hint.contains(";touch") || hint.contains("'https:")),
            "{hint}"
        );
    }
    assert!(proxy.seen().is_empty(), "nothing is sent");
    for said in [
        login(Some(here), elsewhere, &browser),
        login(None, here, &["--no-browser", "--api-base", here]),
        login(Some(elsewhere), evil, &["--no-browser", "--api-base", here, "--web-base", elsewhere]),
    ] {
        assert_ne!(said.status, 2, "these belong together: {said:?}");
    }
    login(Some(evil), evil, &["--paste", "--api-base", "https://plane.invalid"]).fails_as("network", 1);
    assert!(proxy.seen()[0].line.starts_with("CONNECT plane.invalid:443"), "what the user named is asked");
}
