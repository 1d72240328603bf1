#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

use super::*;
use crate::{owner_of_listener, owner_of_peer};

fn mapped() -> IpAddr {
    IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())
}

/// A connection to `listener` from a socket of `to`'s family.
fn connect(listener: &TcpListener, to: IpAddr) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect((to, listener.local_addr().unwrap().port())).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A connection from the address `from`.
fn connect_from(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    rustix::net::bind(&socket, &from).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    socket.into()
}

#[test]
fn every_family_of_socket_is_ours() {
    for (bound, to) in [
        (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv4Addr::LOCALHOST)),
        (Ipv4Addr::LOCALHOST.into(), mapped()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
        (Ipv6Addr::UNSPECIFIED.into(), mapped()),
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
    ] {
        let listener = TcpListener::bind((bound, 0)).unwrap();
        let (client, server) = connect(&listener, to);
        assert_eq!(owner_of_peer(&server), Owner::Ours, "{bound} {to}");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(owner_of_peer(&server), Owner::Ours, "{bound} {to}: it has said all, and listens");
    }
}

#[test]
fn a_closed_socket_is_nobodys() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) = connect(&listener, Ipv4Addr::LOCALHOST.into());
    drop(client);
    // It waits for our end, and the kernel shows it as root's.
    assert_eq!(owner_of_peer(&server), Owner::Nobody);
}

/// Whoever has reset a connection is not whoever has its port by the time that it is looked at.
#[test]
fn a_port_that_changed_hands_is_nobodys() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    // An address that no other process uses: somebody would take the port in between.
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = SocketAddr::from(([127, 200, high, low], 0));
    let reset = |client: TcpStream| sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    let first = connect_from(own, to);
    let freed = first.local_addr().unwrap();
    reset(first);
    let second = connect_from(freed, to);
    assert_eq!(owner_of_peer(listener.accept().unwrap().0), Owner::Nobody, "the first one");
    assert_eq!(owner_of_peer(listener.accept().unwrap().0), Owner::Ours, "the second one");
    // What listens on the port of a peer that is gone is not the peer.
    let client = connect_from(own, to);
    let server = listener.accept().unwrap().0;
    let (peer, local) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
    reset(client);
    let other = TcpListener::bind(peer).unwrap();
    assert!(ask(peer, local).unwrap().is_some_and(|found| found.state == LISTEN), "the kernel's answer");
    assert_eq!(owner(peer, local, |found| found.is_connected(peer, local)), Owner::Nobody);
    assert_eq!(owner_of_peer(&server), Owner::Nobody);
    drop((second, other));
}

#[test]
fn a_listener_is_ours_until_it_is_gone() {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(owner_of_listener(port), Owner::Ours, "{address}");
        drop(listener);
        assert_eq!(owner_of_listener(port), Owner::Nobody, "{address}");
    }
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    assert_eq!(owner_of_listener(elsewhere.local_addr().unwrap().port()), Owner::Nobody);
}

#[test]
fn users_are_told_apart() {
    let own = rustix::process::geteuid().as_raw();
    let owner = |user, inode| Found { user, inode, ..found() }.owner();
    assert_eq!(owner(own, 1), Owner::Ours);
    assert_eq!(owner(0, 1), Owner::Ours);
    assert_eq!(owner(own + 1, 1), Owner::Other(own + 1));
    assert_eq!(owner(own, 0), Owner::Nobody);
    assert!(!stands_for_others(own + 1));
}

fn found() -> Found {
    let (local, remote) = ("127.0.0.1:80".parse().unwrap(), "127.0.0.1:81".parse().unwrap());
    Found { state: ESTABLISHED, local, remote, user: 1, inode: 1 }
}

#[test]
fn only_the_very_socket_counts() {
    let (local, remote) = (found().local, found().remote);
    assert!(found().is_connected(local, remote));
    for state in (0..=12).filter(|state| ![1, 4, 5].contains(state)) {
        assert!(!Found { state, ..found() }.is_connected(local, remote), "{state}");
    }
    for other in ["127.0.0.1:82", "127.0.0.2:80", "[::1]:80", "0.0.0.0:80"] {
        let other = other.parse().unwrap();
        assert!(!Found { local: other, ..found() }.is_connected(local, remote), "{other}");
        assert!(!found().is_connected(local, other), "{other}");
    }
    let mapped = Found { local: "[::ffff:127.0.0.1]:80".parse().unwrap(), ..found() };
    assert!(mapped.is_connected(local, remote));
    let listens = |state, at: &str| Found { state, local: at.parse().unwrap(), ..found() }.listens_for(local);
    for (state, at, is) in [
        (LISTEN, "127.0.0.1:80", true),
        (LISTEN, "0.0.0.0:80", true),
        (LISTEN, "[::]:80", true),
        (LISTEN, "127.0.0.1:81", false),
        (LISTEN, "127.0.0.2:80", false),
        (LISTEN, "[::1]:80", false),
        (ESTABLISHED, "127.0.0.1:80", false),
    ] {
        assert_eq!(listens(state, at), is, "{state} {at}");
    }
}

#[test]
fn odd_answers_are_errors() {
    let mut whole = vec![0; HEADER + 72];
    whole[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    assert!(parse(&whole).is_err(), "no family has the number 0");
    whole[HEADER..HEADER + 2].copy_from_slice(&[INET, LISTEN]);
    whole[HEADER + 4..HEADER + 6].copy_from_slice(&80_u16.to_be_bytes());
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
    let remote = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    assert_eq!(parse(&whole).unwrap(), Some(Found { state: LISTEN, local, remote, user: 0, inode: 0 }));
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "{length}");
    }
    let mut error = vec![0; HEADER];
    error[4] = 2;
    error.extend((-13_i32).to_ne_bytes());
    assert_eq!(parse(&error).err().unwrap().kind(), io::ErrorKind::PermissionDenied);
    assert!(identity("127.0.0.1:80".parse().unwrap(), "[::1]:81".parse().unwrap()).is_none());
}
