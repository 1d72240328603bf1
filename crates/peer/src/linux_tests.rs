#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

use super::*;
use crate::{owner_of_listener, owner_of_peer};

fn mapped() -> IpAddr {
    IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())
}

/// A connection to `listener` from a socket of `to`'s family.
fn connect(listener: &TcpListener, to: IpAddr) -> (TcpStream, TcpStream, SocketAddr) {
    let client = TcpStream::connect((to, listener.local_addr().unwrap().port())).unwrap();
    let (server, peer) = listener.accept().unwrap();
    (client, server, peer)
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
        let (client, server, peer) = connect(&listener, to);
        assert_eq!(owner_of_peer(peer, server.local_addr().unwrap()), Owner::Ours, "{bound} {to}");
        drop(client);
    }
}

#[test]
fn a_closed_socket_is_nobodys() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server, peer) = connect(&listener, Ipv4Addr::LOCALHOST.into());
    drop(client);
    // It waits for our end, and the kernel shows it as root's.
    assert_eq!(owner_of_peer(peer, server.local_addr().unwrap()), Owner::Nobody);
    drop(server);
    let none = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    assert_eq!(owner_of_peer(none, listener.local_addr().unwrap()), Owner::Nobody);
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
    let owner = |user, inode| Found { user, inode }.owner();
    assert_eq!(owner(own, 1), Owner::Ours);
    assert_eq!(owner(0, 1), Owner::Ours);
    assert_eq!(owner(own + 1, 1), Owner::Other(own + 1));
    assert_eq!(owner(own, 0), Owner::Nobody);
    assert!(!stands_for_others(own + 1));
}

#[test]
fn odd_answers_are_errors() {
    let (_, id) = identity("127.0.0.1:80".parse().unwrap(), "127.0.0.1:81".parse().unwrap()).unwrap();
    let mut whole = request(INET, &id);
    whole.resize(HEADER + 72, 7);
    assert!(parse(&whole, &id).is_err(), "a question is no answer: its ports stand elsewhere");
    whole[HEADER + 4..HEADER + 6].copy_from_slice(&80_u16.to_be_bytes());
    assert!(parse(&whole, &id).is_ok());
    for length in 0..whole.len() {
        assert!(parse(&whole[..length], &id).is_err(), "{length}");
    }
    let mut error = vec![0; HEADER];
    error[4] = 2;
    error.extend((-13_i32).to_ne_bytes());
    assert_eq!(parse(&error, &id).err().unwrap().kind(), io::ErrorKind::PermissionDenied);
    assert!(identity("127.0.0.1:80".parse().unwrap(), "[::1]:81".parse().unwrap()).is_none());
}
