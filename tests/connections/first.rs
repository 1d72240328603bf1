//! Connections that are not made at once.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::support::CommandOutput;
use crate::support::rough::{From, Rough};

#[test]
fn a_dropped_greeting_is_tried_again() {
    for rough in Rough::each("") {
        rough.relay.drop_next(2);
        assert_eq!(rough.world.run(&["run", rough.name, "--", "echo ok"]).succeeds().text(), "ok\n");
        assert!(rough.asked() <= 1, "{}", rough.name);
        // The same when a connection that was up has to be made anew.
        rough.kill_master();
        let asked = rough.asked();
        rough.relay.drop_next(1);
        rough.world.run(&["run", rough.name, "--", "echo ok"]).succeeds();
        assert!(rough.asked() <= asked + 1, "{}", rough.name);
    }
}

#[test]
fn a_key_may_arrive_late() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    rough.grants(|grants| grants.key_delay = Duration::from_millis(1200));
    for arguments in [&["run", "1", "--", "echo ok"][..], &["connect", "1", "--force", "--wait"]] {
        let asked = rough.asked();
        rough.world.run(arguments).succeeds();
        assert_eq!(rough.asked(), asked + 1, "{arguments:?}");
    }
    // One that was revoked has served before: there is nothing to wait for.
    rough.grants(|grants| grants.key_delay = Duration::ZERO);
    rough.kill_master();
    std::fs::write(rough.world.home().join("sshd/keys"), "").unwrap();
    let (asked, began) = (rough.asked(), Instant::now());
    rough.world.run(&["run", "1", "--", "echo ok"]).succeeds();
    assert_eq!(rough.asked(), asked + 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn failures_ask_for_no_session_each() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let world = &rough.world;
    let ssh = world.home().join("bin/ssh");
    std::fs::create_dir(ssh.parent().unwrap()).unwrap();
    for script in ["echo 'OpenSSL version mismatch' >&2; exit 255", "exit 1", "kill -9 $$"] {
        std::fs::write(&ssh, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let asked = rough.asked();
        for _ in 0..3 {
            let mut run = world.command(&["run", "1", "--", "true"]);
            let said = CommandOutput::of(run.env("RUNCODE_SSH", &ssh).output().unwrap()).ends_with(255);
            assert!(!script.contains("echo") || said.stderr.contains("OpenSSL version mismatch"), "{said:?}");
        }
        assert!(rough.asked() <= asked + 1, "{script}: {}", rough.asked() - asked);
    }
}
