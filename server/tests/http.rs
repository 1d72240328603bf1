//! The server over HTTP, as hostile clients see it: the built binary, everything on loopback.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A server with a state folder of its own.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    serving: Child,
    link: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.serving.kill();
        let _ = self.serving.wait();
    }
}

fn command(folder: &std::path::Path, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcode-server"));
    command.args(arguments).env_clear().env("STATE_DIRECTORY", folder.join("state"));
    command
        .env("RUNCODE_SERVER_LISTEN", format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut serving = command(folder.path(), port, &["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut link = String::new();
        BufReader::new(serving.stdout.take().unwrap()).read_line(&mut link).unwrap();
        Server { folder, port, serving, link: link.trim().to_owned() }
    }

    fn verb(&self, arguments: &[&str]) -> Output {
        command(self.folder.path(), self.port, arguments).output().unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.verb(arguments);
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Sends bytes and reads the answer to its end.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(bytes); // it may be closed before all is sent
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head.push_str(&format!("Host: 127.0.0.1:{}\r\n", self.port));
        }
        headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
        let answer = self.raw(format!("{head}\r\n{body}").as_bytes());
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    fn api(&self, token: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let token = format!("Authorization: Token {token}");
        self.ask(method, &format!("/api/rc{path}"), &[&token, "Content-Type: application/json"], body)
    }

    /// The first administrator, and their token.
    fn admin(&self) -> String {
        let path = self.link.split_once(&self.port.to_string()).unwrap().1.to_owned();
        let form = ["Content-Type: application/x-www-form-urlencoded"];
        assert_eq!(self.ask("POST", &path, &form, "email=ann@x.example&name=Ann").0, 303);
        self.said(&["token", "add", "ann@x.example", "--name", "t"])
    }
}

const KEY: &str = r#"{"public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9E1Pmhk3eJEJe4dKKo5mu0hEKY7nrnXlUmQ2cAcP7","ttl":60,"client":"x"}"#;

#[test]
fn the_first_start_is_quick_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let began = Instant::now();
    let server = Server::start();
    assert_eq!(server.ask("GET", "/readyz", &[], "").0, 200);
    assert!(began.elapsed() < Duration::from_secs(10));
    let mode = |name: &str| {
        std::fs::metadata(server.folder.path().join("state").join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("master.key"), mode("plane.sqlite3")), (0o700, 0o600, 0o600));
    let token = server.admin();
    let path = server.link.split_once(&server.port.to_string()).unwrap().1;
    assert_eq!(server.ask("GET", path, &[], "").0, 410, "the link is good once");
    assert_eq!(server.api(&token, "GET", "/workspaces?category=active", "").0, 200);
    // Neither the setup link nor a token is in any file.
    for entry in std::fs::read_dir(server.folder.path().join("state")).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        for secret in [&path[7..], &token[3..]] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{} holds a secret", entry.path().display());
        }
    }
    assert_eq!(server.api(&token, "POST", "/logout", "").0, 200);
    assert_eq!(server.api(&token, "GET", "/workspaces", "").0, 401);
}

#[test]
fn strangers_learn_nothing() {
    let server = Server::start();
    let ann = server.admin();
    server.said(&["person", "add", "bob@x.example", "--name", "Bob"]);
    let bob = server.said(&["token", "add", "bob@x.example", "--name", "t"]);
    server.said(&["host", "add", "web", "--account", "dev", "--owner", "ann@x.example"]);
    let session = |token: &str, id: &str, body: &str| {
        server.api(token, "POST", &format!("/workspace/{id}/ssh-session"), body)
    };
    let without_ids = |answer: String| answer.lines().last().unwrap().to_owned();
    let (status, hidden) = session(&bob, "1", KEY);
    let (other, missing) = session(&bob, "99", KEY);
    assert_eq!((status, other), (404, 404));
    assert_eq!(without_ids(hidden), without_ids(missing), "what one may not see does not exist");
    assert_eq!(session(&ann, "1", KEY).0, 503, "no host yet");
    for id in ["0", "-1", "1.5", "99999999999999999999", "..%2f1", "1%00", "%2e%2e/1"] {
        assert_eq!(session(&ann, id, KEY).0, 404, "{id}");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"public_key\":1}",
        &KEY.replace("60", "0"),
        &KEY.replace("ed25519", "rsa"),
        &KEY.replace("60", "-1"),
    ] {
        assert_eq!(session(&ann, "1", body).0, 400, "{body}");
    }
    for token in ["", "x", "rc_", &ann[..66], &format!("{ann}0")] {
        assert_eq!(session(token, "1", "{").0, 401, "{token}");
    }
    let twice = [format!("Authorization: Token {ann}"), format!("Authorization: Token {ann}")];
    assert_eq!(server.ask("GET", "/api/rc/workspaces", &[&twice[0], &twice[1]], "").0, 401);
    for path in ["/api/host/krl", "/api/host/ca", "/api/host/revoked"] {
        assert_eq!(server.ask("GET", path, &[&format!("Authorization: Token {ann}")], "").0, 401, "{path}");
    }
    for path in ["/setup/x", "/link/../setup", "/w/web", "/static/../../etc/passwd", "/api/rc/../host/ca"] {
        let (status, answer) = server.ask("GET", path, &[], "");
        assert!(matches!(status, 401 | 404), "{path}: {answer}");
    }
}

#[test]
fn requests_are_bounded() {
    let server = Server::start();
    let token = server.admin();
    for host in ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1:1", "10.0.0.1"] {
        assert_eq!(server.ask("GET", "/", &[&format!("Host: {host}")], "").0, 421, "{host}");
    }
    assert_eq!(server.ask("GET", "/healthz", &["Host: evil.example"], "").0, 200);
    assert_eq!(server.ask("GET", "/", &[&format!("Host: localhost:{}", server.port)], "").0, 401);
    let large = format!("{{\"public_key\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(server.api(&token, "POST", "/workspace/1/ssh-session", &large).0, 413);
    let flood =
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX: {}\r\n\r\n", server.port, "x".repeat(20_000));
    assert!(server.raw(flood.as_bytes()).starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert!(server.raw(many.as_bytes()).starts_with("HTTP/1.1 431"));
    assert!(server.raw(b"\x16\x03\x01\x02\x00").starts_with("HTTP/1.1 400"));
    // Another site's page cannot act here.
    let link = server.said(&["admin-link", "--for", "ann@x.example"]);
    let path = link.split_once(&server.port.to_string()).unwrap().1.to_owned();
    for header in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        assert_eq!(server.ask("POST", &path, &[header], "").0, 403, "{header}");
    }
    let (status, page) = server.ask("GET", &path, &[], "");
    let page = page.to_ascii_lowercase();
    assert_eq!(status, 200);
    for header in [
        "content-security-policy: default-src 'none'",
        "x-frame-options: deny",
        "cache-control: no-store",
        "x-request-id: ",
    ] {
        assert!(page.contains(header), "{header}: {page}");
    }
    assert!(!page.contains("<script"));
}

#[test]
fn only_wrong_guesses_are_limited() {
    let server = Server::start();
    let token = server.admin();
    let wrong = |count: usize| {
        (0..count).map(|_| server.api("rc_wrong", "GET", "/workspaces", "").0).collect::<Vec<_>>()
    };
    assert_eq!(wrong(62).iter().filter(|status| **status == 429).count(), 2);
    assert_eq!(server.api(&token, "GET", "/workspaces", "").0, 200);
    let code = r#"{"code":"A123456789012345678901234567890123456789012","verifier":"A123456789012345678901234567890123456789012"}"#;
    let guesses = (0..12)
        .map(|_| server.ask("POST", "/api/rc/login/token", &["Content-Type: application/json"], code).0);
    let guesses = guesses.collect::<Vec<_>>();
    assert_eq!((guesses.iter().filter(|status| **status == 410).count(), guesses[11]), (10, 429));
    let rows = server.said(&["audit", "export"]);
    assert_eq!(
        rows.lines().filter(|line| line.contains("\"login\"") && line.contains("\"spent\"")).count(),
        10
    );
}

#[test]
fn a_text_of_a_user_is_text_on_a_page() {
    let server = Server::start();
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    let path = server.link.split_once(&server.port.to_string()).unwrap().1.to_owned();
    let name = "name=%3Cscript%3Ealert(1)%3C/script%3E%22%27";
    let (status, answer) = server.ask("POST", &path, &form, &format!("email=ann@x.example&{name}"));
    assert_eq!(status, 303);
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let (status, page) = server.ask("GET", "/", &[&cookie], "");
    assert_eq!(status, 200);
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script"));
    // A form without its session's own word does nothing.
    for form in ["", "form=x&name=t"] {
        let status = server
            .ask(
                "POST",
                "/account/tokens",
                &[&cookie, "Content-Type: application/x-www-form-urlencoded"],
                form,
            )
            .0;
        assert!(matches!(status, 400 | 403), "{status}");
    }
    assert_eq!(server.said(&["token", "list", "ann@x.example"]).lines().count(), 1);
    for query in [
        "",
        "port=0&state=x",
        "port=1&state=",
        "port=1&state=a%0d%0ab",
        "port=99999&state=a",
        "port=1&state=a&challenge=x",
    ] {
        assert_eq!(server.ask("GET", &format!("/auth/cli-login/?{query}"), &[&cookie], "").0, 400, "{query}");
    }
}

#[test]
fn tls_is_served_and_read_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kit/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::copy(fixtures.join("tls_server.pem"), &cert).unwrap();
    std::fs::copy(fixtures.join("tls_server.key"), &key).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |folder: &std::path::Path| {
        let mut serve = command(folder, port, &["serve"]);
        serve
            .env("RUNCODE_SERVER_TLS_CERT", &cert)
            .env("RUNCODE_SERVER_TLS_KEY", &key)
            .stdout(Stdio::piped());
        serve
    };
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(start(folder.path()).status().unwrap().code(), Some(2), "everybody can read the key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut serving = start(folder.path()).spawn().unwrap();
    let mut link = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut link).unwrap();
    let server = Server { folder, port, serving, link: link.trim().to_owned() };
    assert!(server.link.starts_with(&format!("https://127.0.0.1:{port}/setup/")));
    let asked = |authority: &std::path::Path| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "--cacert"]).arg(authority).arg(&server.link);
        String::from_utf8_lossy(&curl.output().unwrap().stdout).into_owned()
    };
    let page = asked(&fixtures.join("tls_ca.pem"));
    assert!(
        page.starts_with("HTTP/1.1 200") && page.to_ascii_lowercase().contains("strict-transport-security"),
        "{page}"
    );
    assert!(!server.raw(b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP"), "no plain text is answered");
    // Another certificate takes the place of the first one without a restart; one that is broken does not.
    std::fs::write(&cert, "broken").unwrap();
    let own = server.folder.path().join("own.pem");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]);
    assert!(openssl.arg(&key).arg("-out").arg(&own).output().unwrap().status.success());
    std::fs::copy(&own, &cert).unwrap();
    let began = Instant::now();
    while !asked(&own).starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < Duration::from_secs(20), "the new certificate is not served");
    }
}

#[test]
fn a_wrong_configuration_ends_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let run = |text: &str, arguments: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runcode-server"));
        command
            .env_clear()
            .env("STATE_DIRECTORY", folder.path().join("state"))
            .arg("--config")
            .arg(&file)
            .args(arguments);
        command.output().unwrap()
    };
    let wrong = run("\n[session]\nttl = 5\n", &["check"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("server.toml:3: `session.ttl`"));
    assert_eq!(run("listen = \"0.0.0.0:0\"\n", &["serve"]).status.code(), Some(2));
    assert_eq!(run("", &["check"]).status.code(), Some(0));
    assert!(!folder.path().join("state").exists(), "check changes nothing");
    assert_eq!(run("", &["migrate"]).status.code(), Some(0));
    std::fs::remove_file(folder.path().join("state/master.key")).unwrap();
    assert_eq!(run("", &["check"]).status.code(), Some(2));
    assert_eq!(run("", &["serve"]).status.code(), Some(2), "a database without its master key opens nothing");
}
