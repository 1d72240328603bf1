//! The TCP connection to a gateway, made by this process.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{Code, Error, Result, reason};
use crate::grant::Endpoint;
use crate::output::foreign;
use crate::sys::clock::Deadline;
use crate::transport::http_proxy::Proxy;

/// How long to wait for a proxy's own message about a deadline: it says more than ours.
const GRACE: Duration = Duration::from_millis(200);

/// Connects to the first of the gateway's addresses that lets us, all of them together in `patience`, the resolver
/// included.
///
/// Every write goes out at once (`TCP_NODELAY`): while keys are exchanged, both sides write small pieces in a row, and
/// each would wait up to 40 ms for the other side's delayed acknowledgement (RFC 1122, 4.2.3.2 and 4.2.3.4).
///
/// Through `proxy` if there is one. A proxy for all programs may not let ssh through; then it connects without the proxy.
pub fn dial(gateway: &Endpoint, proxy: Option<&Proxy>, patience: Duration) -> Result<TcpStream> {
    let Some(proxy) = proxy else { return directly(gateway, patience) };
    let deadline = Deadline::after(patience);
    // The proxy's share of the time is generous, but leaves enough to connect without it.
    let share = if proxy.is_ours() { patience } else { patience / 2 };
    match through(proxy, gateway, share) {
        Err(_) if !proxy.is_ours() => directly(gateway, deadline.remaining()),
        connected => connected,
    }
}

fn through(proxy: &Proxy, gateway: &Endpoint, patience: Duration) -> Result<TcpStream> {
    let (proxy, gateway) = (proxy.clone(), gateway.clone());
    let (sender, receiver) = mpsc::channel();
    let deadline = Deadline::after(patience);
    let late = format!("the proxy {} did not connect in time", proxy.shown());
    let connecting =
        std::thread::Builder::new().spawn(move || sender.send(proxy.connect(&gateway, deadline)));
    connecting.map_err(|error| Error::io("start a thread", error))?;
    receiver.recv_timeout(patience + GRACE).unwrap_or_else(|_| Err(Error::new(Code::Transport, late)))
}

fn directly(gateway: &Endpoint, patience: Duration) -> Result<TcpStream> {
    let (name, port) = (gateway.host.as_str().to_owned(), gateway.port.number());
    let deadline = Deadline::after(patience);
    let (sender, receiver) = mpsc::channel();
    // A resolver knows no deadline: one that takes longer is left behind.
    let resolving = std::thread::Builder::new().spawn(move || {
        let resolved = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        sender.send(resolved.and_then(|addresses| first(&addresses, patience, deadline)))
    });
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let connected = resolving.and_then(|_| receiver.recv_timeout(patience).unwrap_or_else(late));
    connected.map_err(|error| {
        let why = reason(&error);
        Error::new(
            Code::Transport,
            format!("cannot reach the gateway {}:{port}: {why}", foreign::name(gateway.host.as_str())),
        )
        .source(error)
    })
}

pub(super) fn first(
    addresses: &[SocketAddr],
    patience: Duration,
    deadline: Deadline,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in addresses {
        if deadline.is_past() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // An address that swallows packets must leave time for the next one.
        let share = deadline.remaining().min(patience / 2).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                #[cfg(unix)]
                rustix::net::sockopt::set_socket_keepalive(&stream, true)?; // as ssh does for its own
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Acknowledges at once what has come and what comes next, where the system lets us ask for that (Linux: `TCP_QUICKACK`,
/// tcp(7)). After it has let somebody in, sshd writes small pieces in a row, and does not send its own at once before it
/// has started a session: what follows the first waits for the acknowledgement, 40 ms. What is no TCP connection stays
/// as it is.
#[cfg(unix)]
pub(super) fn acknowledge_at_once(gateway: impl std::os::fd::AsFd) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::net::sockopt::set_tcp_quickack(gateway, true);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = gateway;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::net::TcpListener;

    use super::*;

    fn gateway(host: &str, port: u16) -> Endpoint {
        serde_json::from_str(&format!(r#"{{"host":"{host}","port":{port},"user":"me"}}"#)).unwrap()
    }

    #[test]
    fn writes_go_out_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dial(&gateway("localhost", port), None, Duration::from_secs(20)).unwrap();
        assert!(stream.nodelay().unwrap());
        #[cfg(unix)]
        assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
    }

    #[test]
    fn nobody_there_is_told_with_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dial(&gateway("127.0.0.1", port), None, Duration::from_secs(20)).unwrap_err();
        assert!(error.message().contains(&format!("127.0.0.1:{port}: ")), "{}", error.message());
    }

    /// A listener with as many waiting as it takes lets nobody else in, and refuses nobody either.
    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_that_swallows_packets_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let brief = Duration::from_millis(100);
        let waiting: Vec<TcpStream> =
            std::iter::from_fn(|| TcpStream::connect_timeout(&address, brief).ok()).take(10_000).collect();
        let error = dial(&gateway("127.0.0.1", address.port()), None, brief).unwrap_err();
        assert!(error.message().contains("timed out"), "{} {}", waiting.len(), error.message());
    }
}
