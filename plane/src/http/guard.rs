//! What every request passes: the host it was addressed to, and the access log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

#[cfg(feature = "faults")]
use super::addresses::UNKNOWN;
#[cfg(feature = "faults")]
use super::faulty;
use super::{Link, Site, answer, api};

/// What is logged of a method: a client may send any word as one, a secret too.
fn method(sent: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| sent == *known).unwrap_or("…")
}

pub(super) async fn guard(
    State(site): State<Arc<Site>>,
    ConnectInfo(link): ConnectInfo<Link>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let (method, path) = (method(request.method()), shown(&site, request.uri().path()));
    if let Ok(Some(_)) = site.state.user_of(api::token_of(request.headers())).await {
        link.visit.recognize();
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // A name that someone else's DNS points here would let their page speak to us as our own (DNS rebinding).
    let answer = if host.is_some_and(is_loopback) {
        #[cfg(feature = "faults")]
        match site.switchboard.faults.on_path(&path) {
            Some(fault) => faulty::answer(fault, &link.visit, request, next).await,
            None => next.run(request).await,
        }
        #[cfg(not(feature = "faults"))]
        next.run(request).await
    } else {
        answer::failure(StatusCode::MISDIRECTED_REQUEST, "This server answers on loopback addresses alone.")
    };
    site.log.write(
        "http",
        json!({
            "peer": link.peer.to_string(),
            "method": method,
            "path": path,
            "status": answer.status().as_u16(),
            "ms": began.elapsed().as_millis() as u64,
        }),
    );
    answer
}

/// A path as the log shows it and a fault's rule sees it: without what is secret.
fn shown(site: &Site, path: &str) -> String {
    #[cfg(feature = "faults")]
    if path.strip_prefix('/') == Some(site.switchboard.path.as_str()) {
        return UNKNOWN.to_owned();
    }
    site.addresses.hide(path).to_owned()
}

fn is_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_literal_loopback_hosts_pass() {
        for host in ["127.0.0.1:80", "127.1.2.3", "localhost:1234", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:80", "", "localhost.evil.example:80"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
