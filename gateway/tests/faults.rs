//! What goes wrong on request does go wrong, and only that.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use runcode_gateway::{Fault, FaultRule, Plane};
use serde_json::{Value, json};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::{http, until};

const LIST: &str = "/workspaces?category=active";

/// What comes back for the list, as it comes: at most `limit` bytes, for at most two seconds.
fn raw(plane: &Plane, limit: u64) -> String {
    let base = plane.api_base();
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let token = plane.token();
    let request = format!(
        "GET /api/rc{LIST} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.take(limit).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn list(plane: &Plane) -> http::Answer {
    http::call(&plane.api_base(), plane.token(), "GET", LIST, "")
}

fn with(fault: Fault) -> GatewayFixture {
    GatewayFixture::with(|options| options.faults = vec![FaultRule::new("/workspaces", fault)])
}

#[test]
fn whole_answers_are_replaced_or_patched() {
    let fixture = with(Fault::Status { status: 429, message: "slow down".into() });
    assert_eq!(
        (list(&fixture.plane).status, list(&fixture.plane).json()["message"].clone()),
        (429, "slow down".into())
    );
    fixture.plane.set_faults(vec![
        FaultRule::new("/workspaces", Fault::Redirect { location: "http://evil.example/".into() }).times(1),
        FaultRule::new(
            "/workspaces",
            Fault::Body { status: 200, content_type: "text/html".into(), body: "<p>".into() },
        )
        .times(1),
        FaultRule::new("/workspaces", Fault::Lie { patch: json!({ "data": { "workspaces": "none" } }) })
            .times(1),
    ]);
    let answer = list(&fixture.plane);
    assert_eq!((answer.status, answer.header("location").as_str()), (302, "http://evil.example/"));
    let answer = list(&fixture.plane);
    assert_eq!((answer.header("content-type").as_str(), answer.body.as_str()), ("text/html", "<p>"));
    assert_eq!(list(&fixture.plane).json()["data"]["workspaces"], Value::from("none"));
    assert_eq!(list(&fixture.plane).json()["data"]["workspaces"][0]["title"], Value::from("box-1"));
}

#[test]
fn answers_can_be_cut_late_slow_or_endless() {
    let fixture = with(Fault::Drop);
    assert_eq!(raw(&fixture.plane, 1 << 20), "");
    let fixture = with(Fault::Truncate);
    let text = raw(&fixture.plane, 1 << 20);
    assert!(text.contains("\"error\":false") && !text.contains("}}"), "{text}");
    let fixture = with(Fault::Endless);
    assert_eq!(raw(&fixture.plane, 5_000_000).len(), 5_000_000);
    let fixture = with(Fault::Drip { ms: 20 });
    let text = raw(&fixture.plane, 1 << 20);
    assert!(text.contains("\r\n\r\n") && !text.contains("box-1"), "{text}");
    let fixture = with(Fault::Delay { ms: 300 });
    let began = Instant::now();
    assert_eq!(list(&fixture.plane).status, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));
    let fixture = with(Fault::Hang);
    assert_eq!(raw(&fixture.plane, 1 << 20), "");
}

#[test]
fn faults_change_host_keys_and_cut_connections() {
    let fixture = GatewayFixture::new();
    let url = fixture.plane.switchboard_url();
    let path = url.strip_prefix(&fixture.plane.api_base()).unwrap();
    let order = |body: Value| {
        let headers = [("Content-Type", "application/json")];
        http::request(&fixture.plane.api_base(), "POST", path, &headers, &body.to_string()).status
    };
    let session = fixture.session();
    let mut client = session.program("ssh").args(["box", "touch on; sleep 60"]).spawn().unwrap();
    until("the command", || fixture.folder.path().join("on").exists());
    assert_eq!(order(json!({ "do": "cut-connections" })), 200);
    until("the client to end", || client.try_wait().unwrap().is_some());
    assert_eq!(session.output("echo in"), "in\n");
    assert_eq!(order(json!({ "do": "change-host-key" })), 200);
    let output = session.run("true", b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Host key verification failed"), "{output:?}");
    let drop = json!({ "do": "set-faults", "faults": [{ "on": "ssh", "fault": "drop", "times": 1 }] });
    assert_eq!(order(drop), 200);
    let session = fixture.session();
    assert_eq!(session.run("true", b"").status.code(), Some(255));
    assert_eq!(session.output("echo in"), "in\n");
    assert_eq!(order(json!({ "do": "nothing" })), 400);
}
