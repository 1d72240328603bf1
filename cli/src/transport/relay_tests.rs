#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

use rustix::pipe::pipe;

use super::*;

/// A relay at work: the ends that ssh would hold, and the gateway's.
struct Rig {
    to: Option<File>,
    from: Option<File>,
    gateway: TcpStream,
    relay: JoinHandle<io::Result<()>>,
}

fn rig() -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let gateway = listener.accept().unwrap().0;
    let ((input, to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    let relay = spawn(move || between(input, output, ours, Parent::of_process()));
    Rig { to: Some(to.into()), from: Some(from.into()), gateway, relay }
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_go_both_ways_and_end_separately() {
    let Rig { to, from, gateway, relay } = rig();
    let sent = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect::<Vec<_>>();
    let (up, down) = (sent.clone(), sent.iter().rev().copied().collect::<Vec<_>>());
    let expected = down.clone();
    let mut to = to.unwrap();
    let writer = spawn(move || to.write_all(&up)); // drops `to`: the end of the input
    let mut peer = gateway.try_clone().unwrap();
    assert!(read_all(&mut peer) == sent, "what went up differs");
    writer.join().unwrap().unwrap();
    // The input has ended; the gateway may still answer, and its end arrives too.
    let writer = spawn(move || {
        gateway.try_clone().unwrap().write_all(&down).and_then(|()| gateway.shutdown(Shutdown::Write))
    });
    assert!(read_all(from.unwrap()) == expected, "what came down differs");
    writer.join().unwrap().unwrap();
    relay.join().unwrap().unwrap();
}

#[test]
fn a_half_closed_gateway_is_still_sent_to() {
    let Rig { to, from, mut gateway, relay } = rig();
    gateway.write_all(b"bye").unwrap();
    gateway.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(from.unwrap()), b"bye");
    let mut to = to.unwrap();
    to.write_all(b"more").unwrap();
    drop(to);
    assert_eq!(read_all(gateway), b"more");
    relay.join().unwrap().unwrap();
}

#[test]
fn pipes_stay_usable_while_the_gateway_is_silent() {
    let Rig { to, from, mut gateway, relay } = rig();
    gateway.write_all(b"abc").unwrap();
    let mut from = from.unwrap();
    // Byte by byte, as ssh reads the banner: the relay waits on the socket meanwhile.
    for expected in b"abc" {
        let mut byte = [0];
        from.read_exact(&mut byte).unwrap();
        assert_eq!(byte[0], *expected);
    }
    drop((to, from));
    relay.join().unwrap().unwrap();
}

#[test]
fn it_ends_when_nobody_reads() {
    let Rig { to, from, mut gateway, relay } = rig();
    let mut from = from.unwrap();
    gateway.write_all(b"x").unwrap();
    from.read_exact(&mut [0]).unwrap(); // from here on it waits for the gateway
    drop(from);
    relay.join().unwrap().unwrap();
    drop((to, gateway));
}

#[test]
fn a_connection_that_is_broken_off_is_an_error() {
    let Rig { to, from, gateway, relay } = rig();
    // Data that is left unread makes the close a reset (RFC 1122 4.2.2.13).
    to.as_ref().unwrap().write_all(b"unread").unwrap();
    gateway.peek(&mut [0]).unwrap();
    drop(gateway);
    assert_eq!(relay.join().unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    drop((to, from));
}

#[test]
fn non_blocking_ends_and_sockets_will_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let gateway = listener.accept().unwrap().0;
    let (stdio, mut peer) = UnixStream::pair().unwrap();
    stdio.set_nonblocking(true).unwrap();
    ours.set_nonblocking(true).unwrap();
    let (input, output) = (OwnedFd::from(stdio.try_clone().unwrap()), OwnedFd::from(stdio));
    let relay = spawn(move || between(input, output, ours, Parent::of_process()));
    let echo = spawn(move || {
        let mut from = gateway.try_clone().unwrap();
        io::copy(&mut from, &mut &gateway).and_then(|_| gateway.shutdown(Shutdown::Write))
    });
    let sent = vec![7; 2_000_000];
    let (mut writer, bytes) = (peer.try_clone().unwrap(), sent.clone());
    let writer = spawn(move || writer.write_all(&bytes).and_then(|()| writer.shutdown(Shutdown::Write)));
    assert!(read_all(&mut peer) == sent, "the echo differs");
    writer.join().unwrap().unwrap();
    echo.join().unwrap().unwrap();
    relay.join().unwrap().unwrap();
}
