//! Flow control: slow ends, in either direction, cost neither memory nor order; long transfers change keys.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use crate::support::gateway_fixture::GatewayFixture;

const PIECE: usize = 1 << 20;

/// Sends so many MiB through a command and takes what comes back, after a pause; returns how much came.
fn through(fixture: &GatewayFixture, arguments: &[&str], mebibytes: usize, pause: Duration) -> usize {
    let session = fixture.session();
    let mut ssh = session.program("ssh");
    let mut child = ssh.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sender = std::thread::spawn(move || {
        let piece: Vec<u8> = (0..PIECE).map(|i| (i % 251) as u8).collect();
        for _ in 0..mebibytes {
            to.write_all(&piece).unwrap();
        }
    });
    std::thread::sleep(pause);
    let (mut piece, mut total) = (vec![0; PIECE], 0);
    loop {
        let read = from.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        for byte in &piece[..read] {
            assert_eq!(*byte, (total % PIECE % 251) as u8);
            total += 1;
        }
    }
    sender.join().unwrap();
    assert!(child.wait().unwrap().success());
    total
}

/// This process's resident memory, in MiB; the plane is part of it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn a_slow_reader_fills_no_memory() {
    let fixture = GatewayFixture::new();
    let before = resident();
    assert_eq!(through(&fixture, &["box", "cat"], 300, Duration::from_secs(2)), 300 * PIECE);
    assert_eq!(through(&fixture, &["box", "sleep 2; cat"], 300, Duration::ZERO), 300 * PIECE);
    assert!(resident() < before + 100, "{} MiB after {before}", resident());
}

#[test]
fn rekeying_keeps_every_stream() {
    let fixture = GatewayFixture::new();
    let arguments = ["-o", "RekeyLimit=500K", "box", "cat"];
    assert_eq!(through(&fixture, &arguments, 20, Duration::ZERO), 20 * PIECE);
}
