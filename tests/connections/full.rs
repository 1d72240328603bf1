//! Connections that have as many sessions as the server allows.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::rough::{From, Rough};
use crate::support::{processes_with, until};

#[test]
fn a_full_connection_gets_another_beside() {
    for rough in Rough::each("MaxSessions 1\n") {
        let rough = rough.connected();
        for transport in ["mux", "openssh"] {
            let mark = rough.world.home().join(format!("up-{transport}"));
            let command = |line: &str| {
                let mut command = rough.world.command(&["exec", "--", line]);
                command.env("RUNCODE_TRANSPORT", transport);
                command
            };
            let busy = format!("echo > {0}; while [ -e {0} ]; do sleep 0.1; done", mark.display());
            let mut busy = command(&busy).stdout(Stdio::null()).spawn().unwrap();
            until("the connection is full", || mark.exists());
            let (master, accepted) = (rough.master(), rough.relay.accepted());
            let said = command("echo x; echo y >&2; exit 7").output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
            let outputs = (text(&said.stdout), text(&said.stderr)); // without the server's banner
            assert_eq!((said.status.code(), outputs), (Some(7), ("x\n".to_owned(), "y\n".to_owned())));
            assert_eq!((rough.master(), rough.relay.accepted()), (master, accepted + 1), "{transport}");
            assert!(busy.try_wait().unwrap().is_none(), "what ran goes on");
            std::fs::remove_file(&mark).unwrap();
            assert!(busy.wait().unwrap().success());
        }
        rough.world.run(&["clean", "--all"]).succeeds();
        assert_eq!(processes_with(rough.world.cache("").to_str().unwrap()), [""; 0]);
    }
}

#[test]
fn a_server_without_sessions_is_told_soon() {
    let Some(rough) = Rough::new(From::Plane, "MaxSessions 0\n") else { return };
    for transport in ["mux", "openssh"] {
        let began = Instant::now();
        let mut run = rough.world.command(&["run", "1", "--", "true"]);
        let said = run.env("RUNCODE_TRANSPORT", transport).output().unwrap();
        let words = String::from_utf8(said.stderr).unwrap();
        assert!(said.status.code() == Some(255) && words.contains("MaxSessions"), "{words}");
        assert!(began.elapsed() < Duration::from_secs(10), "{transport}: {:?}", began.elapsed());
    }
}
