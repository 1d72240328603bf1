//! The control plane's HTTP API, call by call.

use std::time::Duration;

use runcode_gateway::{CredentialMode, Options, Plane, UserSpec, WorkspaceSpec};
use serde_json::Value;
use ssh_key::{Algorithm, PrivateKey};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::ssh_session::{SshSession, mint};
use crate::support::{http, until};

fn key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

fn get(plane: &Plane, path: &str) -> http::Answer {
    http::call(&plane.api_base(), plane.token(), "GET", path, "")
}

fn state_of(plane: &Plane) -> (String, Option<String>) {
    let list = get(plane, "/workspaces?category=active").json();
    let workspace = &list["data"]["workspaces"][0];
    let text = |name: &str| workspace[name].as_str().map(str::to_owned);
    (text("current_state").unwrap(), text("interim_state"))
}

#[test]
fn a_missing_or_foreign_token_gets_401() {
    let fixture = GatewayFixture::new();
    let base = fixture.plane.api_base();
    let calls = [
        ("GET", "/workspaces?category=active"),
        ("GET", "/workspace/start?workspace_id=1"),
        ("GET", "/workspace/stop?workspace_id=1"),
        ("POST", "/workspace/1/ssh-session"),
    ];
    for (method, path) in calls {
        for headers in [&[][..], &[("Authorization", "Token wrong")], &[("Authorization", "Token ")]] {
            let answer = http::request(&base, method, &format!("/api/rc{path}"), headers, "");
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.json()["error"], Value::Bool(true));
        }
    }
}

#[test]
fn start_and_stop_may_be_repeated() {
    let fixture = GatewayFixture::with(|options| {
        options.boot_delay = Duration::from_millis(300);
        options.workspaces[0].running = false;
    });
    let plane = &fixture.plane;
    assert_eq!(state_of(plane), ("stopped".into(), None));
    assert_eq!(mint(plane, 1, &key(), 60).status, 409);
    for _ in 0..2 {
        assert_eq!(get(plane, "/workspace/start?workspace_id=1").json()["error"], Value::Bool(false));
        assert_eq!(state_of(plane), ("stopped".into(), Some("starting".into())));
    }
    until("the workspace", || state_of(plane) == ("running".into(), None));
    assert_eq!(mint(plane, 1, &key(), 60).status, 200);
    for _ in 0..2 {
        assert_eq!(get(plane, "/workspace/stop?workspace_id=1").json()["error"], Value::Bool(false));
    }
    until("the stop", || state_of(plane) == ("stopped".into(), None));
}

#[test]
fn bad_requests_have_their_own_errors() {
    let fixture = GatewayFixture::with(|options| {
        let mut other = options.workspaces[0].clone();
        other.title = "no-ssh".into();
        other.provider = "docker".into();
        options.workspaces.push(other);
    });
    let plane = &fixture.plane;
    for path in ["/workspace/start?workspace_id=x", "/workspace/start", "/workspaces?category=other"] {
        assert_eq!(get(plane, path).status, 400, "{path}");
    }
    assert_eq!(get(plane, "/workspace/start?workspace_id=99").status, 404);
    assert_eq!(get(plane, "/nothing").status, 404);
    assert_eq!(mint(plane, 99, &key(), 60).status, 404);
    assert_eq!(mint(plane, 2, &key(), 60).status, 403);
    assert_eq!(mint(plane, 1, &key(), 0).status, 400);
    let base = plane.api_base();
    for body in ["", "{", r#"{"public_key":"ssh-rsa AAAA","ttl":60,"client":"x"}"#, r#"{"ttl":60}"#] {
        let answer = http::call(&base, plane.token(), "POST", "/workspace/1/ssh-session", body);
        assert_eq!(answer.status, 400, "{body}");
    }
    let answer = http::request(&base, "GET", "/api/rc/workspaces", &[("Host", "evil.example")], "");
    assert_eq!(answer.status, 421);
}

#[test]
fn refusals_and_limits_follow_the_contract() {
    let fixture = GatewayFixture::with(|options| {
        options.sessions_per_minute = 2;
        options.workspaces[0].refuse_start = Some("insufficient balance".into());
    });
    let answer = get(&fixture.plane, "/workspace/start?workspace_id=1");
    assert_eq!((answer.status, answer.json()["message"].as_str()), (200, Some("insufficient balance")));
    assert_eq!(answer.json()["error"], Value::Bool(true));
    let statuses: Vec<u16> = (0..3).map(|_| mint(&fixture.plane, 1, &key(), 60).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let fixture = GatewayFixture::with(|options| options.ssh_enabled = false);
    assert_eq!(mint(&fixture.plane, 1, &key(), 60).status, 503);
}

#[test]
fn users_see_their_own_and_what_is_shared() {
    let user =
        |name: &str| UserSpec { email: format!("{name}@example.com"), token: Some(format!("token-{name}")) };
    let fixture = GatewayFixture::with(|options| {
        options.users = vec![user("ann"), user("bob")];
        let folder = options.workspaces[0].dir.clone();
        let mut shared = WorkspaceSpec::new("team-box", &folder);
        (shared.shared, shared.owner) = (true, Some("bob@example.com".into()));
        shared.custom_title = Some("the \u{202e}team's".into());
        let mut private = WorkspaceSpec::new("bobs", folder);
        private.owner = Some("bob@example.com".into());
        options.workspaces.extend([shared, private]);
    });
    let titles = |token: &str, category: &str| -> Vec<String> {
        let path = format!("/workspaces?category={category}");
        let list = http::call(&fixture.plane.api_base(), token, "GET", &path, "").json();
        let list = list["data"]["workspaces"].as_array().unwrap().clone();
        list.iter().map(|w| w["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles("token-ann", "active"), ["box-1"]);
    assert_eq!(titles("token-ann", "shared"), ["team-box"]);
    assert_eq!(titles("token-bob", "active"), ["team-box", "bobs"]);
    assert_eq!(titles("token-bob", "shared"), [""; 0]);
    assert_eq!(mint(&fixture.plane, 3, &key(), 60).status, 404);
}

#[test]
fn sessions_end_on_expiry_and_revocation() {
    let fixture = GatewayFixture::new();
    let key = key();
    let session = SshSession::from_bundle(mint(&fixture.plane, 1, &key, 2).json()["bundle"].clone(), &key);
    assert_eq!(session.output("echo in"), "in\n");
    until("the session to expire", || session.run("true", b"").status.code() == Some(255));
    let session = fixture.session();
    assert_eq!(session.output("echo in"), "in\n");
    fixture.plane.revoke_sessions();
    let output = session.run("true", b"");
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied (publickey)"));
}

#[test]
fn only_loopback_is_served() {
    let listen = "0.0.0.0".parse().unwrap();
    let refused = Plane::start(Options { listen, ..Options::default() });
    assert!(matches!(refused, Err(runcode_gateway::Error::NotLoopback(_))));
}

#[test]
fn certificate_mode_takes_no_plain_key() {
    let fixture = GatewayFixture::with(|options| options.credential = CredentialMode::Certificate);
    let key = key();
    let bundle = mint(&fixture.plane, 1, &key, 60).json()["bundle"].clone();
    assert_eq!(bundle["credential"]["type"], "certificate");
    let session = SshSession::from_bundle(bundle.clone(), &key);
    assert_eq!(session.output("echo in"), "in\n");
    let mut plain = bundle;
    plain["credential"]["certificate"] = Value::Null;
    let without = SshSession::from_bundle(plain, &key);
    assert_eq!(without.run("true", b"").status.code(), Some(255));
    fixture.plane.revoke_sessions();
    assert_eq!(session.run("true", b"").status.code(), Some(255));
}

#[test]
fn stopping_a_workspace_cuts_connections() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let mut client = session.program("ssh").args(["box", "touch on; sleep 60"]).spawn().unwrap();
    until("the command", || fixture.folder.path().join("on").exists());
    assert_eq!(get(&fixture.plane, "/workspace/stop?workspace_id=1").status, 200);
    until("the client to end", || client.try_wait().unwrap().is_some());
    assert_eq!(client.wait().unwrap().code(), Some(255));
    assert_eq!(session.run("true", b"").status.code(), Some(255));
}
