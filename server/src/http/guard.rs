//! What every request passes: who sent it, the host it was addressed to, its id, the log.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

use super::answer;
use crate::config::is_loopback_url;
use crate::core::audit::Actor;
use crate::failure::{Failure, Kind};
use crate::random;
use crate::site::Site;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Whoever sent a request, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    /// Their address.
    pub(super) address: String,
    /// The request's id.
    pub(super) request: String,
}

impl Sender {
    /// The one that acts, by a name and a way.
    pub(super) fn acts(&self, name: impl Into<String>, way: &'static str) -> Actor {
        Actor { name: name.into(), way, address: self.address.clone(), request: self.request.clone() }
    }
}

pub(super) async fn guard(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let peer = request.extensions().get::<Peer>().map(|peer| canonical(peer.0.ip()));
    let id = random::id();
    let health = matches!(request.uri().path(), "/healthz" | "/readyz");
    let is_proxied = peer.is_some_and(|peer| site.config.trusted_proxies.contains(&peer));
    let address = sender(peer, is_proxied, request.headers(), &site.config.trusted_proxies);
    let (method, route) = (request.method().as_str().len().min(7), shown(request.uri().path()));
    let method = request.method().as_str().get(..method).unwrap_or_default().to_owned();
    let is_plain = site.config.tls_cert.is_none();
    let is_direct = is_plain && !site.config.listen.ip().is_loopback() && !is_proxied;
    let mut answer = if !health && is_direct {
        // Without TLS nobody but the proxy that ends it is spoken to.
        answer::failure(&Failure::new(Kind::Misdirected, "This address is for the proxy alone."))
    } else if health || is_ours(&site, request.headers()) {
        request.extensions_mut().insert(Sender { address: address.clone(), request: id.clone() });
        next.run(request).await
    } else {
        let message = format!("This server is at {}; use that address.", site.base);
        answer::failure(&Failure::new(Kind::Misdirected, message))
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    if site.base.starts_with("https://") {
        let age = HeaderValue::from_static("max-age=31536000");
        answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, age);
    }
    if !health {
        crate::log::line(&json!({
            "at": crate::clock::shown(crate::clock::now()), "request": id, "address": address, "method": method,
            "path": route, "status": answer.status().as_u16(), "ms": began.elapsed().as_millis() as u64,
        }));
    }
    answer
}

/// A path as the log shows it: without the secret of a link, and no longer than it may be.
fn shown(path: &str) -> String {
    for secret in ["/setup/", "/link/"] {
        if path.starts_with(secret) {
            return format!("{secret}…");
        }
    }
    crate::core::words::remark(path)
}

/// An IPv4 address that came as IPv6 is still that address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Who sent a request: the last address in `X-Forwarded-For` that is no proxy of ours, if a proxy of ours sent it on.
fn sender(peer: Option<IpAddr>, is_proxied: bool, headers: &HeaderMap, proxies: &[IpAddr]) -> String {
    let shown = |address: Option<IpAddr>| address.map_or_else(String::new, |address| address.to_string());
    if !is_proxied {
        return shown(peer);
    }
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let all = values.flat_map(|value| value.split(',')).map(|text| text.trim().parse::<IpAddr>().ok());
    let all = all.collect::<Vec<_>>();
    for address in all.into_iter().rev() {
        match address.map(canonical) {
            Some(address) if proxies.contains(&address) => {}
            Some(address) => return address.to_string(),
            None => break, // what stands before is not believed
        }
    }
    shown(peer)
}

/// Whether a request is addressed to us. Another site's name may lead here too (DNS rebinding).
fn is_ours(site: &Site, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(Ok(host)), None) = (hosts.next().map(HeaderValue::to_str), hosts.next()) else { return false };
    let ours = site.base.split_once("://").map_or("", |(_, host)| host);
    if host.eq_ignore_ascii_case(ours) {
        return true;
    }
    // The machine's own name for itself.
    let port = ours.rsplit_once(':').map_or("80", |(_, port)| port);
    is_loopback_url(&site.base)
        && [format!("localhost:{port}"), format!("127.0.0.1:{port}")]
            .iter()
            .any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[test]
    fn only_trusted_proxies_name_the_sender() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 1.2.3.4, 10.0.0.2"));
        assert_eq!(sender(Some(ip("9.9.9.9")), false, &headers, &proxies), "9.9.9.9");
        assert_eq!(sender(Some(ip("10.0.0.1")), true, &headers, &proxies), "1.2.3.4");
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4, noise"));
        assert_eq!(sender(Some(ip("10.0.0.1")), true, &headers, &proxies), "10.0.0.1");
    }

    #[test]
    fn secrets_in_paths_are_not_logged() {
        assert_eq!(shown("/setup/abc"), "/setup/…");
        assert_eq!(shown("/link/abc/def"), "/link/…");
        assert_eq!(shown("/x\u{1b}[2J"), "/x?[2J");
    }
}
