//! Every failure that the contract names: its code, its exit status, its JSON, its text; and what it leaves alone.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::fake_plane::{FakePlane, respond};
use crate::support::{CommandOutput, World};

#[test]
fn every_http_status_has_its_code() {
    let world = World::new();
    for (status, code) in [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (429, "rate_limited"),
        (503, "unavailable"),
        (418, "http_error"),
        (500, "http_error"),
        (502, "http_error"),
    ] {
        let plane = FakePlane::answering(status, r#"{"message":"said \u001b[31mred\u202e"}"#);
        let json = world.run_at(&plane.base(), &["list", "--json"]).fails_as(code, 2).json();
        assert!(json["message"].as_str().unwrap().contains("said \u{fffd}[31mred\u{fffd}"), "{json}");
        let text = world.run_at(&plane.base(), &["list"]).ends_with(2);
        assert!(
            text.stdout.is_empty() && text.stderr.starts_with("runcode: ") && !text.stderr.contains('\u{1b}'),
            "{text:?}"
        );
    }
    let detail = FakePlane::answering(400, r#"{"detail":"the detail"}"#);
    assert_eq!(
        world.run_at(&detail.base(), &["list", "--json"]).json()["message"],
        "the control plane says: \"the detail\""
    );
    let error = FakePlane::answering(400, r#"{"error":"the error"}"#);
    assert_eq!(
        world.run_at(&error.base(), &["list", "--json"]).json()["message"],
        "the control plane says: \"the error\""
    );
}

#[test]
fn off_contract_answers_are_bad_responses() {
    let world = World::new();
    for body in [
        "",
        "<html>",
        "[1]",
        "{\"data\":",
        "{\"data\":7}",
        "{\"data\":{\"workspaces\":7}}",
        "\u{fffd}",
        "null",
    ] {
        let plane = FakePlane::answering(200, body);
        world.run_at(&plane.base(), &["list", "--json"]).fails_as("bad_response", 1);
    }
    let deep = format!("{{\"data\":{}", "[".repeat(10_000));
    world.run_at(&FakePlane::answering(200, deep).base(), &["list", "--json"]).fails_as("bad_response", 1);
    let large = format!("{{\"error\":false,\"pad\":\"{}\"}}", "x".repeat(2 << 20));
    world.run_at(&FakePlane::answering(200, large).base(), &["list", "--json"]).fails_as("bad_response", 1);
    world
        .run_at(&FakePlane::answering(200, [0xff, 0xfe]).base(), &["list", "--json"])
        .fails_as("bad_response", 1);
    let odd = r#"{"error":false,"data":{"workspaces":[{"id":-1,"title":"a"},{"id":true,"title":"b"},{"id":"7","title":"c"},7,null,
        {"id":9007199254740993,"title":"d","provider":"aws"},{"id":5,"title":"ok","provider":"aws","current_state":"running"}]}}"#;
    let rows = world.run_at(&FakePlane::answering(200, odd).base(), &["list", "--json"]).succeeds().json();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["id"]), (1, &5.into()));
}

#[test]
fn refused_starts_and_twin_names_have_codes() {
    let world = World::new();
    let refuses = FakePlane::start(|request, stream| {
        let body = if request.line.contains("/workspaces") {
            json!({"error": false, "data": {"workspaces": [
                {"id": 1, "title": "a", "custom_title": "same", "provider": "aws", "current_state": "stopped"},
                {"id": 2, "title": "b", "custom_title": "Same", "provider": "aws", "current_state": "stopped"}]}})
        } else {
            json!({"error": true, "message": "insufficient balance"})
        };
        respond(stream, 200, body.to_string().as_bytes());
    });
    let refused =
        world.run_at(&refuses.base(), &["connect", "a", "--start", "--json"]).fails_as("start_failed", 2);
    assert_eq!(refused.json()["message"], "the control plane says: \"insufficient balance\"");
    world.run_at(&refuses.base(), &["stop", "b", "--json"]).fails_as("stop_failed", 2);
    let ambiguous =
        world.run_at(&refuses.base(), &["connect", "SAME", "--json"]).fails_as("ambiguous", 2).json();
    assert!(
        ambiguous["message"].as_str().unwrap().contains("1 (a)")
            && ambiguous["message"].as_str().unwrap().contains("2 (b)")
    );
    let long = "x".repeat(10_000);
    assert!(world.run_at(&refuses.base(), &["connect", &long]).ends_with(2).stderr.len() < 500);
    let missing =
        world.run_at(&refuses.base(), &["connect", "nope", "--json"]).fails_as("not_found", 2).json();
    assert!(missing["hint"].as_str().unwrap().contains("a (1), b (2)"));
}

#[test]
fn unsafe_base_urls_receive_nothing() {
    let world = World::new();
    for base in [
        "http://127.evil.com",
        "http://127.0.0.1@evil.com",
        "http://localhost.evil.com",
        "http://example.com",
        "ftp://localhost",
        "nonsense",
    ] {
        world.run(&["--api-base", base, "list", "--json"]).fails_as("insecure_base", 1);
        world.run(&["login", "--json", "--web-base", base]).fails_as("insecure_base", 1);
    }
}

#[test]
fn cross_origin_redirects_get_no_token() {
    let world = World::new();
    let thief = FakePlane::answering(200, r#"{"error":false}"#);
    let target = thief.base();
    let plane = FakePlane::start(move |_, stream| {
        let _ = write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}/x\r\nContent-Length: 0\r\n\r\n");
    });
    world.run_at(&plane.base(), &["list", "--json"]).fails_as("insecure_base", 1);
    assert!(thief.seen().is_empty());
}

#[test]
fn loopback_requests_bypass_every_proxy() {
    let world = World::new();
    let plane = FakePlane::answering(200, r#"{"error":false,"data":{"workspaces":[]}}"#);
    let mut command = world.command(&["list"]);
    command
        .env("RUNCODE_API_BASE", plane.base())
        .env("http_proxy", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1");
    let said = CommandOutput::of(command.output().unwrap()).succeeds();
    assert!(said.text().starts_with("no workspaces yet"), "{said:?}");
    let seen = plane.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].text.to_lowercase().contains("authorization: token "), "{seen:?}");
    assert!(!seen[0].line.contains("token"));
}

#[test]
fn malformed_tokens_are_refused_unechoed() {
    let world = World::new();
    for token in ["a\nb", "a\rb", "tökén", "a b"] {
        let said = CommandOutput::of(
            world.command(&["list", "--json"]).env("RUNCODE_TOKEN", token).output().unwrap(),
        );
        assert!(!said.text().contains(token));
        said.fails_as("no_token", 1);
    }
    let given = world.run_with(&["list", "--token-stdin", "--json"], world.plane().token().as_bytes());
    given.succeeds();
    world.run_with(&["list", "--token-stdin", "--json"], b"wrong").fails_as("unauthorized", 2);
    for passing in [&["exec", "--", "cat"][..], &["run", "box", "cat"], &["write", "x"], &["shell"]] {
        let arguments = [passing, &["--token-stdin"]].concat();
        let arguments = if passing.len() > 2 { [&["--token-stdin"], passing].concat() } else { arguments };
        let said = world.run_with(&arguments, b"secret");
        assert!(said.stdout.is_empty() && said.stderr.contains("--token-stdin"), "{passing:?}: {said:?}");
    }
    assert!(!world.workspace().join("x").exists(), "a token is no content");
}

#[test]
fn an_unreachable_plane_is_a_network_error() {
    let world = World::new();
    world.run_at("http://127.0.0.1:1", &["list", "--json"]).fails_as("network", 1);
    world.run_at("https://127.0.0.1:1", &["list", "--json"]).fails_as("network", 1);
    let said = world.run_at("http://127.0.0.1:1", &["clean", "web", "--json"]).fails_as("network", 1).json();
    assert!(said["message"].as_str().unwrap().starts_with("no session here is called `web`: "), "{said}");
}

#[test]
fn a_slow_body_is_cut_by_the_deadline() {
    let world = World::new();
    let plane = FakePlane::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let start = Instant::now();
    world.run_at(&plane.base(), &["list", "--json"]).fails_as("network", 1);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn an_unreachable_gateway_is_not_ready() {
    let world = World::new();
    let plane = FakePlane::answering(200, json!({"error": false, "bundle": good_bundle()}).to_string());
    let said = world.run_at(&plane.base(), &["run", "1", "--", "true"]).ends_with(255);
    assert!(said.stderr.starts_with("runcode: ") && said.stdout.is_empty(), "{said:?}");
    world.run_at(&plane.base(), &["run", "1", "--json", "--", "true"]).fails_as("transport", 255);
    world
        .run_at(&plane.base(), &["connect", "1", "--wait", "--timeout", "1", "--json"])
        .fails_as("not_ready", 1);
}

#[test]
fn a_saved_token_is_not_sent_to_another_plane() {
    let world = World::new();
    let token = format!("{}\n", world.plane().token());
    world.run_with(&["login", "--paste"], token.as_bytes()).succeeds();
    let other = FakePlane::answering(200, "{}");
    let mut command = world.command(&["list", "--json"]);
    command.env_remove("RUNCODE_TOKEN").env("RUNCODE_API_BASE", other.base());
    let said = CommandOutput::of(command.output().unwrap()).fails_as("no_token", 1);
    assert!(said.json()["hint"].as_str().unwrap().contains("login --api-base"));
    assert!(other.seen().is_empty());
}

/// A bundle that works, for a key that is whatever was asked for.
fn good_bundle() -> Value {
    json!({
        "host": "127.0.0.1", "port": 1, "user": "box",
        "known_hosts": "[127.0.0.1]:1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK",
        "expires_at": "2999-01-01T00:00:00Z", "credential": {"type": "key", "certificate": null},
        "web_url": "https://box.example", "workdir": "/tmp", "ssh_config": "Host box\n  Port 1\n"
    })
}

/// Each line of the table changes a good bundle (`change`), removes fields of it (`remove`), or replaces the whole answer
/// (`body`), and gives the code and the word that the message must have. Adding a line adds a case.
#[test]
fn hostile_bundles_change_no_session() {
    let world = World::new().connected();
    let before = world.snapshot();
    let mut names = std::collections::BTreeSet::new();
    for line in include_str!("hostile/bundles.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let name = case["name"].as_str().unwrap().to_owned();
        let mut bundle = good_bundle();
        for (field, value) in case["change"].as_object().into_iter().flatten() {
            bundle[field] = value.clone();
        }
        for field in case["remove"].as_array().into_iter().flatten() {
            bundle.as_object_mut().unwrap().remove(field.as_str().unwrap());
        }
        let body = match case["body"].as_str() {
            Some(body) => body.to_owned(),
            None => json!({"error": false, "bundle": bundle}).to_string(),
        };
        let plane = FakePlane::answering(200, body);
        let said = world.run_at(&plane.base(), &["connect", "1", "--force", "--json"]);
        let document = said.json();
        assert_eq!(document["error"], case["expect"], "{name}: {document}");
        let word = case["says"].as_str().unwrap();
        assert!(document["message"].as_str().unwrap().contains(word), "{name}: {document}");
        assert_eq!(world.snapshot(), before, "{name}: the session changed");
        assert!(names.insert(name), "a name is used twice: {line}");
    }
    assert!(names.len() >= 101, "{}", names.len());
}

#[test]
fn the_planes_ssh_config_is_never_used() {
    let world = World::new();
    let plane = FakePlane::answering(200, json!({"error": false, "bundle": good_bundle()}).to_string());
    let report = world.run_at(&plane.base(), &["connect", "1", "--json"]).succeeds().json();
    assert_eq!(report["port"], 1);
    let config = std::fs::read_to_string(world.cache("ws-1/config")).unwrap();
    assert!(config.contains("StrictHostKeyChecking yes") && !config.contains("Host box"));
    let known_hosts = std::fs::read_to_string(world.cache("ws-1/known_hosts")).unwrap();
    assert!(known_hosts.starts_with("runcode-ws-1 ssh-ed25519 ") && known_hosts.lines().count() == 1);
    let left = report["expires_at"].as_str().unwrap();
    assert!(left < "2999", "{left} is capped");
}

#[test]
fn an_unsafe_workdir_becomes_the_default() {
    let world = World::new();
    for workdir in [
        json!("relative"),
        json!("/a/../b"),
        json!("/a;id"),
        json!("/$(id)"),
        json!("/a\nb"),
        json!(7),
        json!(format!("/{}", "a".repeat(5000))),
    ] {
        let mut bundle = good_bundle();
        bundle["workdir"] = workdir;
        let plane = FakePlane::answering(200, json!({"error": false, "bundle": bundle}).to_string());
        let report = world.run_at(&plane.base(), &["connect", "1", "--force", "--json"]).succeeds().json();
        assert_eq!(report["workdir"], "/home/ubuntu/workspace");
    }
}
