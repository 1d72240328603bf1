//! Whose browser it is: on a machine with several users, others may reach loopback too.

use std::net::SocketAddr;

/// Whether the process at the other end of a loopback connection runs as another user. Known on Linux only;
/// elsewhere, and when it cannot be found, the answer is no.
#[cfg(target_os = "linux")]
pub(super) fn is_someone_else(peer: SocketAddr, local: SocketAddr) -> bool {
    let table = if peer.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let Ok(table) = std::fs::read_to_string(table) else { return false };
    let own = rustix::process::geteuid().as_raw();
    owner_in(&table, peer, local).is_some_and(|owner| owner != own && owner != 0)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_someone_else(_peer: SocketAddr, _local: SocketAddr) -> bool {
    false
}

/// The user of the socket that goes from `from` to `to`, in a table of proc(5).
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
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(owner_in(&table, peer, server.local_addr().unwrap()), Some(own));
        assert!(!is_someone_else(peer, server.local_addr().unwrap()));
        drop(client);
    }
}
