//! Commands over the gateway: bytes, streams, statuses, and what is left behind.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::until;

#[test]
fn status_streams_and_boundaries_are_exact() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let output = session.run("echo out; echo err >&2; exit 42", b"");
    assert_eq!(output.status.code(), Some(42));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(session.run("exit 255", b"").status.code(), Some(255));
}

#[test]
fn three_megabytes_and_eof_come_back() {
    let fixture = GatewayFixture::new();
    let bytes: Vec<u8> = (0..3 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let output = fixture.session().run("cat; echo end >&2", &bytes);
    assert!(output.stdout == bytes);
    assert_eq!(output.stderr, b"end\n");
}

#[test]
fn death_by_signal_is_reported_as_one() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let output = crate::support::feed(
        session.program("ssh").args(["-o", "LogLevel=DEBUG1", "box", "kill -TERM $$"]),
        b"",
    );
    assert_eq!(output.status.code(), Some(255));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("rtype exit-signal"), "{log}");
}

#[test]
fn commands_get_a_login_environment() {
    let fixture = GatewayFixture::new();
    let output = fixture.session().output("pwd; env");
    let folder = fixture.folder.path().canonicalize().unwrap();
    assert_eq!(output.lines().next(), folder.to_str());
    assert!(output.contains(&format!("HOME={}\n", folder.display())));
    assert!(output.contains("SSH_CONNECTION=127.0.0.1 "));
    let names: Vec<&str> = output.lines().skip(1).filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let known = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TZ",
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
}

#[test]
fn late_background_output_still_arrives() {
    let fixture = GatewayFixture::new();
    let output = fixture.session().run("(sleep 0.3; echo late) & exit 3", b"");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, b"late\n");
}

#[test]
fn detached_processes_end_with_the_plane() {
    let fixture = GatewayFixture::new();
    let began = Instant::now();
    let session = fixture.session();
    // The second leaves its session, as a daemon does.
    let pids = session.output(
        "sleep 60 </dev/null >/dev/null 2>&1 & echo $!; \
         setsid sh -c 'echo $$ > daemon; exec sleep 60' </dev/null >/dev/null 2>&1 & \
         until [ -s daemon ]; do sleep 0.02; done; cat daemon",
    );
    assert!(began.elapsed() < Duration::from_secs(30));
    let pids: Vec<Pid> = pids.lines().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| test_kill_process(*pid).is_ok()));
    fixture.plane.stop();
    until("the processes to end", || pids.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn a_lost_client_ends_its_command() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let mut client = session
        .program("ssh")
        .args(["box", "echo $$ > pid; trap '' HUP TERM; sleep 60 & sleep 60; wait"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let file = fixture.folder.path().join("pid");
    until("the command", || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
    let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    until("the command to end", || is_gone(Pid::from_raw(pid).unwrap()));
}

#[test]
fn a_terminal_has_its_name_size_and_status() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let output = session
        .program("ssh")
        .args(["-tt", "box", "test -t 0 && test -t 1 && echo $TERM && stty -echo && exit 7"])
        .env("TERM", "screen")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"screen\r\n");
}

/// Not a test: what the next one runs with descriptors and ignored signals that it did not ask for.
#[test]
#[ignore = "run by the_planes_environment_stays_private"]
fn shows_what_commands_inherit() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let ask = "ls -m /proc/self/fd; grep -h '^SigIgn' /proc/self/status";
    let output = session.program("ssh").args(["-tt", "box", ask]).output().unwrap();
    for said in [session.output(ask), String::from_utf8_lossy(&output.stdout).replace('\r', "")] {
        let (descriptors, ignored) = said.trim().split_once("\nSigIgn:\t").unwrap();
        assert_eq!(descriptors, "0, 1, 2, 3");
        // The C library's own signals, from 32 on, are nobody's to change.
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff, 0, "{ignored}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_planes_environment_stays_private() {
    let script = "trap '' HUP INT QUIT TERM ALRM; exec 7</dev/null 9>/dev/null
        exec \"$0\" exec::shows_what_commands_inherit --exact --ignored";
    let output =
        std::process::Command::new("sh").arg("-c").arg(script).arg(std::env::current_exe().unwrap()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Gone, or a zombie that nobody has collected yet.
fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}
