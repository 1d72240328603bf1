//! A clock that was set back or forward, as libfaketime shows it to the process.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::skipped;
use crate::support::fake_plane::FakePlane;
use crate::support::{CommandOutput, World, until};

/// The library that `faketime` preloads; debian keeps it in a folder per architecture.
fn library() -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
    ];
    folders
        .iter()
        .map(|folder| PathBuf::from(folder).join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file())
}

fn at(mut command: Command, library: &PathBuf, shift: &str) -> CommandOutput {
    command.env("LD_PRELOAD", library).env("FAKETIME", shift).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    CommandOutput::of(command.output().unwrap())
}

#[test]
fn a_moved_clock_is_right_or_a_coded_error() {
    if cfg!(target_env = "musl") {
        return skipped("a clock that was moved", "nothing is loaded into a static program");
    }
    let Some(library) = library() else {
        return skipped("a clock that was moved", "there is no libfaketime");
    };
    let world = World::new();
    let probe = at(world.command(&["--version"]), &library, "+3600s");
    if probe.status != 0 || !probe.stderr.is_empty() {
        return skipped("a clock that was moved", "libfaketime does not load");
    }
    // An hour back: the session seems to last longer than it does; the gateway knows better, and it is renewed.
    let world = world.connected();
    assert_eq!(
        at(world.command(&["exec", "--", "echo back"]), &library, "-3600s").succeeds().text(),
        "back\n"
    );
    // An hour forward: what the plane grants seems to be over, but its answer tells the time.
    for shift in ["+3600s", "+3d"] {
        at(world.command(&["connect", "1", "--force"]), &library, shift).succeeds();
        let said = at(world.command(&["exec", "--", "echo ahead"]), &library, shift).succeeds();
        assert_eq!((said.text(), said.stderr.as_str()), ("ahead\n", ""), "{shift}");
    }
    // Where it does not tell, the clock is named, and nothing changes.
    let before = world.snapshot();
    let end = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(30)).to_string();
    let bundle = serde_json::json!({
        "host": "127.0.0.1", "port": 1, "user": "box", "workdir": "/tmp", "web_url": "https://box.example",
        "known_hosts": "[127.0.0.1]:1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK",
        "expires_at": end, "credential": {"type": "key", "certificate": null},
    });
    let body = serde_json::json!({"error": false, "bundle": bundle}).to_string();
    let plane = FakePlane::answering(200, body);
    let mut command = world.command(&["connect", "1", "--json"]);
    command.env("RUNCODE_API_BASE", plane.base());
    let ahead = at(command, &library, "+3600s").fails_as("unsafe_bundle", 1);
    assert!(ahead.json()["hint"].as_str().unwrap().contains("clock"), "{ahead:?}");
    assert_eq!(
        world.snapshot().get(&world.cache("ws-1/meta.json")),
        before.get(&world.cache("ws-1/meta.json"))
    );
    for shift in ["+3600s", "-3600s", "+700d", "-20000d", "@1960-01-01 00:00:00", "@2200-01-01 00:00:00"] {
        for arguments in [
            &["status", "--json"][..],
            &["current", "--json"],
            &["exec", "--json", "--", "true"],
            &["connect", "1", "--force", "--json"],
        ] {
            let said = at(world.command(arguments), &library, shift);
            assert!([0, 1, 2, 255].contains(&said.status), "{shift} {arguments:?}: {said:?}");
        }
    }
    assert_eq!(world.run(&["run", "1", "--", "echo now"]).succeeds().text(), "now\n");
}

/// Once the plane has refused to renew an expired session, nothing goes on over its connection.
#[test]
fn a_refused_expired_session_loses_its_master() {
    let world = World::with(|options| options.max_ttl = Duration::from_secs(2)).connected();
    world.run(&["exec", "--", "true"]).succeeds();
    let master = || crate::support::processes_with(&world.cache("ws-1").to_string_lossy());
    assert!(!master().is_empty(), "the master is up");
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.cache("ws-1/meta.json")).unwrap()).unwrap();
    let expires: jiff::Timestamp = meta["expires_at"].as_str().unwrap().parse().unwrap();
    until("it has expired", || jiff::Timestamp::now() > expires);
    let mut command = world.command(&["exec", "--", "true"]);
    command.env("RUNCODE_TOKEN", "revoked");
    CommandOutput::of(command.output().unwrap()).ends_with(255);
    until("the master is gone", || master().is_empty());
}
