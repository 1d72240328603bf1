//! Connections that died without a word, and those that only seem so.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::rough::{From, Rough};
use crate::support::{CommandOutput, until};

/// How long a command may take that finds its connection dead.
const SOON: Duration = Duration::from_secs(15);

fn over(rough: &Rough, transport: &str, arguments: &[&str]) -> Command {
    let mut command = rough.world.command(arguments);
    command.env("RUNCODE_TRANSPORT", transport);
    command
}

/// A command that leaves a mark.
fn mark(rough: &Rough) -> String {
    format!("echo mark >> {}/marks", rough.world.workspace().display())
}

/// How often it ran.
fn marks(rough: &Rough) -> usize {
    let text = std::fs::read_to_string(rough.world.workspace().join("marks")).unwrap_or_default();
    text.lines().count()
}

#[test]
fn a_dead_connection_is_replaced() {
    for rough in Rough::each("") {
        let rough = rough.connected();
        for (number, transport) in ["mux", "openssh"].into_iter().enumerate() {
            let (old, asked) = (rough.master(), rough.asked());
            rough.relay.silence();
            let began = Instant::now();
            let exec = ["exec", "--timeout", "3", "--", &mark(&rough)];
            CommandOutput::of(over(&rough, transport, &exec).output().unwrap()).succeeds();
            assert_eq!(marks(&rough), number + 1, "{} {transport}", rough.name);
            assert!(began.elapsed() < SOON, "{} {transport}: {:?}", rough.name, began.elapsed());
            assert_ne!(rough.master(), old);
            assert_eq!(rough.asked(), asked, "the session is as good as it was");
        }
        rough.relay.silence();
        rough.world.run(&["context"]).succeeds();
        rough.world.run(&["clean", "--all"]).succeeds();
        assert_eq!(crate::support::processes_with(rough.world.cache("").to_str().unwrap()), [""; 0]);
    }
}

#[test]
fn a_dead_connection_is_not_called_up() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    let is_up = || {
        let status = rough.world.run(&["status", "--json"]).succeeds().text().to_owned();
        status.contains("\"connected\": true") || status.contains("\"connected\":true")
    };
    assert!(is_up());
    rough.relay.silence();
    assert!(!is_up());
    let old = rough.master();
    rough.world.run(&["connect", rough.name]).succeeds();
    assert_ne!(rough.master(), old);
    assert!(is_up());
}

#[test]
fn six_at_once_find_it_dead() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    rough.relay.silence();
    let accepted = rough.relay.accepted();
    let run = |_| over(&rough, "mux", &["exec", "--", &mark(&rough)]).spawn().unwrap();
    let six = (0..6).map(run).collect::<Vec<_>>();
    for child in six {
        CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
    }
    assert_eq!((marks(&rough), rough.relay.accepted()), (6, accepted + 1));
}

/// What it was asked for comes through in the end, on the connection that it was asked for on: not on the new one, too.
#[test]
fn a_late_answer_starts_nothing_twice() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    for transport in ["mux", "openssh"] {
        let (old, accepted, before) = (rough.master(), rough.relay.accepted(), marks(&rough));
        rough.relay.set_stalled(true);
        let late = over(&rough, transport, &["exec", "--", &mark(&rough)]).spawn().unwrap();
        until("another connection is tried", || rough.relay.accepted() > accepted);
        rough.relay.set_stalled(false);
        CommandOutput::of(late.wait_with_output().unwrap()).succeeds();
        rough.world.run(&["exec", "--", "true"]).succeeds();
        assert_eq!((marks(&rough), rough.master()), (before + 1, old), "{transport}");
    }
}

/// The same once the new connection is up, and waits to see whether the old one is dead.
#[test]
fn an_answer_in_the_last_moment_counts_once() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    let is_beside = || {
        let folders = std::fs::read_dir(rough.world.cache("")).unwrap().flatten();
        folders.map(|folder| folder.path().join("maste+")).any(|socket| socket.exists())
    };
    for transport in ["mux", "openssh"] {
        let (old, before) = (rough.master(), marks(&rough));
        rough.relay.hold(true);
        let exec = ["exec", "--", &format!("{}; sleep 2; echo out; exit 7", mark(&rough))];
        let late = over(&rough, transport, &exec).stdout(Stdio::piped()).spawn().unwrap();
        until("another connection is up", is_beside);
        std::thread::sleep(Duration::from_millis(500)); // into the time that the old one still has
        rough.relay.hold(false);
        let said = CommandOutput::of(late.wait_with_output().unwrap()).ends_with(7);
        assert_eq!((said.text(), marks(&rough), rough.master()), ("out\n", before + 1, old), "{transport}");
    }
}

/// ssh tells in its log whether a command has started. A disk that is full takes none of it.
#[test]
fn an_unwritten_log_runs_nothing_twice() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    let ours = over(&rough, "openssh", &["exec", "-n", "--", &format!("{}; exit 3", mark(&rough))]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(ours.get_program())
        .args(ours.get_args());
    limited.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.current_dir(ours.get_current_dir().unwrap());
    let said = CommandOutput::of(limited.output().unwrap()).ends_with(255);
    assert!(said.stderr.contains("it may have run"), "{said:?}");
    assert_eq!(marks(&rough), 1);
}

/// While a download fills a slow connection, the workspace's answer waits behind it.
#[test]
#[cfg(target_os = "linux")]
fn a_busy_connection_is_not_dead() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    let (old, accepted) = (rough.master(), rough.relay.accepted());
    rough.relay.set_slow(true);
    let file = std::fs::File::create(rough.world.home().join("zeros")).unwrap();
    let zeros = || file.metadata().unwrap().len();
    let mut download = over(&rough, "mux", &["exec", "--", "head -c 20000000 /dev/zero"]);
    let mut download = download.stdout(file.try_clone().unwrap()).spawn().unwrap();
    until("the download has begun", || zeros() > 300_000);
    let late = over(&rough, "mux", &["exec", "--", &mark(&rough)]).spawn().unwrap();
    until("another connection is tried", || rough.relay.accepted() > accepted);
    let seen = zeros();
    until("the download has gone on", || zeros() > seen + 1_000_000);
    rough.relay.set_slow(false);
    CommandOutput::of(late.wait_with_output().unwrap()).succeeds();
    assert!(download.wait().unwrap().success());
    assert_eq!((zeros(), marks(&rough), rough.master()), (20_000_000, 1, old));
}

#[test]
fn a_session_that_died_with_it_is_renewed() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    let asked = rough.asked();
    std::fs::write(rough.world.home().join("sshd/keys"), "").unwrap();
    rough.relay.silence();
    rough.world.run(&["exec", "--", &mark(&rough)]).succeeds();
    assert_eq!((marks(&rough), rough.asked()), (1, asked + 1));
}
