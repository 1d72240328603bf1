//! Whose browser it is, and who waits for its answer: on a machine with several users, others may use loopback too.

use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::net::{Ipv4Addr, Ipv6Addr};

/// Who listens on a port of 127.0.0.1.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))] // elsewhere, everybody is trusted
pub(super) enum Listener {
    /// This user or root; also when it cannot be found out, as anywhere but on Linux.
    Trusted,
    /// Another user.
    SomeoneElse,
    Nobody,
}

/// Who would get what is sent to a port of 127.0.0.1 now.
#[cfg(target_os = "linux")]
pub(super) fn listener_on(port: u16) -> Listener {
    let read = std::fs::read_to_string;
    let Ok(table) = read("/proc/net/tcp") else { return Listener::Trusted };
    // A socket of IPv6 takes IPv4 too, where no other does; the table is absent where there is no IPv6.
    listener_in(&table, &read("/proc/net/tcp6").unwrap_or_default(), port, own_user())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn listener_on(_port: u16) -> Listener {
    Listener::Trusted
}

#[cfg(target_os = "linux")]
fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(target_os = "linux")]
fn listener_in(table: &str, table6: &str, port: u16, own: u32) -> Listener {
    let (ip, any) = (Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
    let v4 = [ip, any].map(|ip| (SocketAddr::from((ip, port)), SocketAddr::from((any, 0)), table));
    let any6 = Ipv6Addr::UNSPECIFIED;
    let v6 = [ip.to_ipv6_mapped(), any6]
        .map(|ip| (SocketAddr::from((ip, port)), SocketAddr::from((any6, 0)), table6));
    let mut owners = v4.into_iter().chain(v6).filter_map(|(to, from, table)| owner_in(table, to, from));
    match owners.next() {
        Some(owner) if owner == own || owner == 0 => Listener::Trusted,
        Some(_) => Listener::SomeoneElse,
        None => Listener::Nobody,
    }
}

/// Whether the process at the other end of a loopback connection runs as another user. Known on Linux only;
/// elsewhere, and when it cannot be found, the answer is no.
#[cfg(target_os = "linux")]
pub(super) fn is_someone_else(peer: SocketAddr, local: SocketAddr) -> bool {
    let table = if peer.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let Ok(table) = std::fs::read_to_string(table) else { return false };
    owner_in(&table, peer, local).is_some_and(|owner| owner != own_user() && owner != 0)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_someone_else(_peer: SocketAddr, _local: SocketAddr) -> bool {
    false
}

/// The user of the socket that goes from `from` to `to`, in a table of proc(5). One that listens goes to port 0 of
/// the unspecified address.
#[cfg(target_os = "linux")]
fn owner_in(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let (from, to) = (encoded(from), encoded(to));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ends = (fields.next()?, fields.next()?);
        // Then state, queues, timer and retransmits.
        (ends == (from.as_str(), to.as_str())).then(|| fields.nth(4)?.parse().ok())?
    })
}

/// An address as the kernel prints it: each 32 bits in the machine's byte order, in hexadecimal.
#[cfg(target_os = "linux")]
fn encoded(address: SocketAddr) -> String {
    let octets = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_ne_bytes);
    let words: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{words}:{:04X}", address.port())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[test]
    fn finds_the_owner_of_our_own_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let owner = owner_in(&table, peer, server.local_addr().unwrap());
        assert_eq!(owner, Some(own_user()));
        assert!(!is_someone_else(peer, server.local_addr().unwrap()));
        drop(client);
    }

    #[test]
    fn our_own_listener_is_known_until_it_is_gone() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = std::net::TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert_eq!(listener_on(port), Listener::Trusted, "{address}");
            drop(listener);
            assert_eq!(listener_on(port), Listener::Nobody, "{address}");
        }
    }

    #[test]
    fn a_listener_of_another_user_is_told_from_ours_and_from_root() {
        const HEAD: &str =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
        let line = |local: &str, to: &str, user: u32| {
            format!(
                "{HEAD}   0: {local} {to} 0A 00000000:00000000 00:00000000 00000000  {user}        0 1 1\n"
            )
        };
        let local = |ip: Ipv4Addr| encoded((ip, 4711).into());
        let any = encoded((Ipv4Addr::UNSPECIFIED, 0).into());
        let (any6, here6) =
            (encoded((Ipv6Addr::UNSPECIFIED, 0).into()), encoded((Ipv6Addr::UNSPECIFIED, 4711).into()));
        for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            for (user, who) in
                [(1000, Listener::Trusted), (0, Listener::Trusted), (1001, Listener::SomeoneElse)]
            {
                assert_eq!(listener_in(&line(&local(ip), &any, user), "", 4711, 1000), who);
            }
        }
        assert_eq!(listener_in(HEAD, &line(&here6, &any6, 1001), 4711, 1000), Listener::SomeoneElse);
        let elsewhere = line(&local(Ipv4Addr::new(127, 0, 0, 2)), &any, 1000);
        assert_eq!(listener_in(&elsewhere, "", 4711, 1000), Listener::Nobody);
        let other = encoded((Ipv4Addr::LOCALHOST, 80).into());
        let connected = line(&local(Ipv4Addr::LOCALHOST), &other, 1000);
        assert_eq!(listener_in(&connected, "", 4711, 1000), Listener::Nobody);
    }
}
