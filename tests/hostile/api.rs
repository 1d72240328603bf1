//! A control plane that is not what it should be, and what lies on the way to it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{program, skipped};
use crate::support::fake_plane::{FakePlane, respond};
use crate::support::{CommandOutput, World};

#[test]
fn redirects_stay_within_the_origin() {
    let world = World::new();
    for elsewhere in [
        "https://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "//evil.example/x",
        "http://user@127.0.0.1:{port}/x",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "http://[",
        "",
    ] {
        let plane = FakePlane::start(move |request, stream| {
            let port = request
                .text
                .to_lowercase()
                .split("host: 127.0.0.1:")
                .nth(1)
                .unwrap_or_default()
                .split("\r\n")
                .next()
                .unwrap_or_default()
                .to_owned();
            if request.line == "GET /x" {
                return respond(stream, 200, br#"{"error":false,"data":{"workspaces":[]}}"#);
            }
            let location = elsewhere.replace("{port}", &port);
            let _ = write!(
                stream,
                "HTTP/1.1 307 X\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        });
        let said = world.run_at(&plane.base(), &["list", "--json"]);
        if elsewhere.starts_with("http://user@") {
            // The same origin, so it may be followed; what is in front of the host is sent to nobody else.
            assert!(plane.seen().len() <= 4 * 2, "{elsewhere}");
            continue;
        }
        assert!(said.status != 0, "{elsewhere}: {said:?}");
        assert!(
            ["insecure_base", "http_error"].contains(&said.json()["error"].as_str().unwrap()),
            "{elsewhere}: {said:?}"
        );
        assert!(plane.seen().len() == 1 || elsewhere.is_empty(), "{elsewhere}"); // "" is the same place again
    }
    let around = FakePlane::start(|_, stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 302 X\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    });
    world.run_at(&around.base(), &["list", "--json"]).fails_as("http_error", 2);
    assert!(around.seen().len() < 10, "a circle ends");
}

#[test]
fn endless_answers_are_cut_by_size() {
    let world = World::new();
    let endless = FakePlane::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"error\":false,\"pad\":\"");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let chunked = FakePlane::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(4096)).as_bytes()).is_ok() {}
    });
    let huge = FakePlane::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 62914560\r\n\r\n");
        while stream.write_all(&[b' '; 65536]).is_ok() {}
    });
    for plane in [&endless, &chunked, &huge] {
        let start = Instant::now();
        world.run_at(&plane.base(), &["list", "--json"]).fails_as("bad_response", 1);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn slow_answers_are_cut_by_the_deadline() {
    let world = World::new();
    let drip = |before: &'static [u8], drop: &'static [u8]| {
        FakePlane::start(move |_, stream| {
            let _ = stream.write_all(before);
            while stream.write_all(drop).is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        })
    };
    let planes = [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ];
    let start = Instant::now();
    let children = planes.iter().map(|plane| {
        world.command(&["list", "--json"]).env("RUNCODE_API_BASE", plane.base()).spawn().unwrap()
    });
    for child in children.collect::<Vec<_>>() {
        let said = CommandOutput::of(child.wait_with_output().unwrap());
        assert!(["network", "bad_response"].contains(&said.json()["error"].as_str().unwrap()), "{said:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
}

#[test]
fn a_cut_answer_keeps_the_old_session() {
    let world = World::new().connected();
    let before = world.snapshot();
    let whole = json!({"error": false, "bundle": {"host": "127.0.0.1", "port": 1}}).to_string();
    let cut = FakePlane::start(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&whole.as_bytes()[..20]);
    });
    let closed = FakePlane::start(|_, _| {});
    let no_http = FakePlane::start(|_, stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")));
    for plane in [&cut, &closed, &no_http] {
        let said = world.run_at(&plane.base(), &["connect", "1", "--force", "--json"]);
        assert!(["network", "bad_response"].contains(&said.json()["error"].as_str().unwrap()), "{said:?}");
        assert_eq!(world.snapshot(), before);
    }
    let disabled = FakePlane::answering(503, "{}");
    world.run_at(&disabled.base(), &["connect", "1", "--force", "--json"]).fails_as("unavailable", 2);
    assert_eq!(world.snapshot(), before);
}

/// Names that a teammate or a compromised plane chose: hundreds, long, steering, alike.
#[test]
fn workspace_names_are_cut_and_neutralised() {
    let world = World::new();
    let name = format!("same\u{1b}[2J\u{202e}{}", "x".repeat(900));
    let rows = (1..500).map(|id| json!({"id": id, "title": name, "custom_title": "same", "provider": "aws", "current_state": name}));
    let body = json!({"error": false, "data": {"workspaces": rows.collect::<Vec<_>>()}}).to_string();
    assert!(body.len() < 1 << 20, "{}", body.len() - (1 << 20));
    let plane = FakePlane::answering(200, body);
    let ambiguous = world.run_at(&plane.base(), &["connect", "same"]).ends_with(2);
    let missing = world.run_at(&plane.base(), &["connect", "nope"]).ends_with(2);
    let listed = world.run_at(&plane.base(), &["list"]).succeeds();
    for said in [&ambiguous, &missing, &listed] {
        let shown = format!("{}{}", said.text(), said.stderr);
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        let longest = shown.lines().max_by_key(|line| line.len()).unwrap();
        assert!(longest.chars().count() < 6000, "{longest}");
    }
    assert!(ambiguous.stderr.contains("and 479 more"), "{ambiguous:?}");
}

/// Every text of a plane's steers the terminal where it is shown as it came: in none of the ways of showing it is it.
#[test]
fn plane_messages_steer_no_terminal() {
    const EVIL: &str = "a\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041}\r\nb\u{8}";
    let steers = |c: &char| !c.is_ascii_alphanumeric() && !"];\n".contains(*c) && EVIL.contains(*c);
    let plane = FakePlane::start(|request, stream| {
        if request.line.contains("workspace/list") || request.line.starts_with("GET") {
            let row = |id: u64, title: &str| {
                json!({"id": id, "title": title, "custom_title": EVIL, "provider": EVIL, "current_state": EVIL,
                    "state": EVIL, "shared": true, "owner": {"email": EVIL}})
            };
            let rows = [row(1, EVIL), row(2, "two"), row(3, "TWO")];
            respond(
                stream,
                200,
                json!({"error": false, "data": {"workspaces": rows}}).to_string().as_bytes(),
            );
        } else {
            let text = json!({"error": true, "message": EVIL, "code": EVIL, "detail": {"message": EVIL}})
                .to_string();
            respond(stream, 409, text.as_bytes());
        }
    });
    let world = World::new();
    for arguments in [
        &["list"][..],
        &["status"],
        &["connect", "1"],
        &["connect", "two"],
        &["connect", EVIL],
        &["connect", "1", "--start", "--timeout", "1"],
        &["run", "nope", "--", "true"],
        &["stop", "1"],
        &["config-ssh", "--dry-run"],
        &["config-ssh"],
        &["doctor"],
    ] {
        for json in [&[][..], &["--json"]] {
            // What the user typed is the user's, and so is not said again as it came either.
            let said = world.run_at(&plane.base(), &[arguments, json].concat());
            let shown = format!("{}{}", said.text(), said.stderr);
            assert_eq!(shown.chars().find(steers), None, "{arguments:?} {json:?}: {shown:?}");
            assert!(!shown.is_empty(), "{arguments:?}");
        }
    }
    assert!(plane.seen().len() > 12, "the plane was hardly asked");
    let config = std::fs::read_to_string(world.home().join(".ssh/config")).unwrap_or_default();
    assert_eq!(config.chars().find(steers), None, "{config:?}");
}

#[test]
fn a_teammates_workspace_is_named_before_use() {
    let plane = FakePlane::start(|request, stream| {
        let shared = request.line.contains("shared");
        let rows = if shared {
            json!([{"id": 9, "title": "theirs", "custom_title": "prod", "provider": "aws", "current_state": "running"}])
        } else {
            json!([])
        };
        match request.line.contains("/workspaces") {
            true => respond(
                stream,
                200,
                json!({"error": false, "data": {"workspaces": rows}}).to_string().as_bytes(),
            ),
            false => respond(stream, 409, br#"{"message":"not running"}"#),
        }
    });
    let world = World::new();
    for arguments in
        [&["connect", "prod"][..], &["run", "prod", "--", "true"], &["shell", "prod"], &["stop", "prod"]]
    {
        let said = world.run_at(&plane.base(), arguments);
        assert!(
            said.stderr.contains("someone else") && said.stderr.contains("theirs (#9)"),
            "{arguments:?} {said:?}"
        );
    }
}

#[test]
fn proxies_never_get_the_token() {
    let world = World::new();
    let proxy = FakePlane::answering(502, "");
    let ask = |no_proxy: &str| {
        let mut command = world.command(&["list", "--json"]);
        command
            .env("RUNCODE_API_BASE", "https://plane.invalid")
            .env("RUNCODE_TOKEN", format!("https://plane.invalid#{}", world.plane().token()))
            .env("HTTPS_PROXY", proxy.base())
            .env("NO_PROXY", no_proxy);
        CommandOutput::of(command.output().unwrap()).fails_as("network", 1);
    };
    ask("");
    let seen = proxy.seen();
    assert!(seen.len() == 1 && seen[0].line.starts_with("CONNECT plane.invalid:443"), "{seen:?}");
    assert!(
        !seen[0].text.contains(world.plane().token())
            && !seen[0].text.to_lowercase().contains("authorization")
    );
    ask("plane.invalid");
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn a_base_that_a_project_chose_gets_no_token() {
    let world = World::new();
    let proxy = FakePlane::answering(502, "");
    let ask = |base: &str| {
        let mut command = world.command(&["list", "--json"]);
        command.env("RUNCODE_API_BASE", base).env("HTTPS_PROXY", proxy.base()).env("NO_PROXY", "");
        CommandOutput::of(command.output().unwrap())
    };
    for base in ["https://evil.invalid", "https://app.runcode.io.evil.invalid", "https://app.runcode.io:444"]
    {
        let said = ask(base).fails_as("no_token", 1);
        assert!(said.text().contains(base) && !said.text().contains(world.token()), "{said:?}");
    }
    assert!(proxy.seen().is_empty(), "nothing is sent at all");
    std::fs::create_dir_all(world.home().join(".config/runcode")).unwrap();
    std::fs::write(world.home().join(".config/runcode/token"), "written-by-hand").unwrap();
    // What listens here may be another user's, or a forwarded port of a workspace.
    for base in ["https://evil.invalid", &proxy.base()] {
        let mut by_hand = world.command(&["list", "--json"]);
        by_hand.env_remove("RUNCODE_TOKEN").env("RUNCODE_API_BASE", base);
        let said = CommandOutput::of(by_hand.output().unwrap()).fails_as("no_token", 1);
        assert!(said.text().contains(&format!("write its token as `{base}#TOKEN`")), "{said:?}");
    }
    assert!(proxy.seen().is_empty(), "nothing is sent at all");
}

/// An `openssl s_server` with a certificate of a private authority.
struct TlsServer {
    child: Child,
    port: u16,
}

impl TlsServer {
    fn start(folder: &std::path::Path) -> Option<TlsServer> {
        let openssl = program("openssl")?;
        let made = Command::new(&openssl)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ])
            .args([
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status()
            .ok()?;
        assert!(made.success());
        let mut child = Command::new(openssl)
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", "-www"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(child.stdout.take()?).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.starts_with("ACCEPT")))?;
        let port = line.rsplit(':').next()?.trim().parse().ok()?;
        std::thread::spawn(move || lines.for_each(drop));
        Some(TlsServer { child, port })
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn only_trusted_authorities_are_honoured() {
    let world = World::new();
    let folder = world.home().join("tls");
    std::fs::create_dir(&folder).unwrap();
    let Some(server) = TlsServer::start(&folder) else {
        return skipped("a corporate authority", "there is no openssl that tells its port");
    };
    let mut command = world.command(&["list", "--json"]);
    command.env("RUNCODE_API_BASE", format!("https://localhost:{}", server.port));
    CommandOutput::of(command.output().unwrap()).fails_as("network", 1);
    command.env("SSL_CERT_FILE", folder.join("cert.pem"));
    // In the current folder it may come with the project.
    CommandOutput::of(command.output().unwrap()).fails_as("insecure_base", 1);
    let elsewhere = world.home().join("project");
    std::fs::create_dir(&elsewhere).unwrap();
    command.current_dir(&elsewhere);
    // Its answer is a page, or none: but it was listened to.
    let trusted = CommandOutput::of(command.output().unwrap());
    assert!(
        ["bad_response", "not_found", "http_error"].contains(&trusted.json()["error"].as_str().unwrap()),
        "{trusted:?}"
    );
    let mut other = world.command(&["list", "--json"]);
    other
        .env("RUNCODE_API_BASE", format!("https://127.0.0.2:{}", server.port))
        .current_dir(&elsewhere)
        .env("SSL_CERT_FILE", folder.join("cert.pem"));
    CommandOutput::of(other.output().unwrap()).fails_as("network", 1);
}

/// What was never expected of a bundle is refused as a whole; the key that it was asked for stays unused.
#[test]
fn a_base_url_with_a_password_is_refused() {
    let world = World::new();
    for base in
        ["https://me:hunter2@plane.example", "http://me:hunter2@127.0.0.1:1", "https://hunter2@plane.example"]
    {
        let said = world.run_at(base, &["list", "--json"]).fails_as("insecure_base", 1);
        assert!(!said.text().contains("hunter2") && !said.stderr.contains("hunter2"), "{said:?}");
    }
}
