//! HTTP to one origin: a bounded answer within a deadline, over this machine's proxies and certificate authorities.

mod authorities;
mod base_url;

use std::cell::OnceCell;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use jiff::Timestamp;
use reqwest::blocking::{Client, Response};
use reqwest::header::{DATE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, redirect};
use url::Url;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::output::foreign::{self, Quoted};
use crate::sys::clock::Deadline;

pub use authorities::refuse_authorities_of;
pub use base_url::BaseUrl;

/// Port 0 means the URL's own port.
const LOCALHOST: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// Who vouches for a server's identity.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The authorities of this machine.
    System,
    /// Only these authorities' certificates.
    Only(Vec<reqwest::Certificate>),
    /// Nobody: nothing secret is sent, and the answer is verified by other means.
    Nobody,
}

/// A request to an origin.
#[derive(Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The URL, within the origin.
    pub url: Url,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub body: Option<Vec<u8>>,
}

/// An origin's answer, whatever its status.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The time by its clock, if it says so.
    pub date: Option<Timestamp>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nothing can be sent from here.
    NotSent(Error),
    /// HTTPS cannot be set up.
    SetUp(String),
    /// No connection, or an answer that cannot be understood.
    Unreachable {
        /// What the library or the system says.
        why: String,
        /// Whether the server's certificate is refused for the time on this machine's clock.
        is_out_of_time: bool,
    },
    /// The answer broke off.
    Cut(std::io::Error),
    /// The answer took too long.
    Late,
    /// The answer is too large.
    TooLarge,
    /// It redirects to this other origin.
    Redirected(Quoted),
    /// It redirects nowhere, or too many times.
    BadRedirect,
}

/// A client for one origin. Nothing is set up before the first call.
pub struct Http {
    base: BaseUrl,
    trust: Trust,
    max_body: usize,
    redirects: usize,
    client: OnceCell<Client>,
}

impl Http {
    /// For the origin of `base`, whose answers have at most `max_body` bytes, and which may redirect within itself this many times.
    pub fn new(base: BaseUrl, trust: Trust, max_body: usize, redirects: usize) -> Http {
        Http { base, trust, max_body, redirects, client: OnceCell::new() }
    }

    /// The base.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends the call; returns what arrived before the deadline.
    pub fn send(&self, call: Call, deadline: Deadline) -> Result<Answer, Failure> {
        let client = self.client()?;
        let mut request = client.request(call.method, call.url).timeout(deadline.remaining());
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let response = request
            .send()
            .map_err(|error| if deadline.is_past() { Failure::Late } else { unreachable(&error) })?;
        let status = response.status();
        if status.is_redirection() {
            return Err(self.redirected(&response));
        }
        let date = response.headers().get(DATE).and_then(told_time);
        Ok(Answer { status, date, body: self.body(response, deadline)? })
    }

    /// Reads piece by piece, so that a body that trickles in for ever also ends with the deadline.
    fn body(&self, mut response: Response, deadline: Deadline) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // A small buffer is never moved, so no part of a secret is left behind.
        let mut body = Zeroizing::new(Vec::with_capacity(self.max_body.min(64 * 1024)));
        let mut piece = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            let read = response
                .read(&mut piece)
                .map_err(|error| if deadline.is_past() { Failure::Late } else { Failure::Cut(error) })?;
            if body.len() + read > self.max_body {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(piece.get(..read).unwrap_or_default());
            if read == 0 {
                return Ok(body);
            }
            if deadline.is_past() {
                return Err(Failure::Late);
            }
        }
    }

    fn redirected(&self, response: &Response) -> Failure {
        let target = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        match target.and_then(|target| response.url().join(target).ok()) {
            Some(target) if !self.base.is_origin_of(&target) => {
                Failure::Redirected(foreign::path(&target.origin().ascii_serialization()))
            }
            _ => Failure::BadRedirect,
        }
    }

    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (base, most) = (self.base.clone(), self.redirects);
        let within_origin = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() <= most && base.is_origin_of(attempt.url()) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let mut builder = Client::builder()
            .redirect(within_origin)
            .user_agent(concat!("runcode/", env!("CARGO_PKG_VERSION")));
        if self.base.is_loopback() {
            builder = builder.no_proxy();
        }
        if self.base.is_plain() {
            // No redirect leaves the origin, so there will be no TLS, and no need to read some 200 certificate files of the system.
            builder = builder.tls_certs_only([]);
            // No name server decides where a secret goes (RFC 6761, 6.3).
            builder = builder.resolve_to_addrs("localhost", &LOCALHOST);
        } else {
            builder = match &self.trust {
                Trust::System => {
                    authorities::refuse_the_projects().map_err(Failure::NotSent)?;
                    builder
                }
                Trust::Only(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
                Trust::Nobody => builder.tls_danger_accept_invalid_certs(true),
            };
        }
        let client = builder.build().map_err(|error| Failure::SetUp(error.to_string()))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// The failure to send a request, or to get the head of its answer.
fn unreachable(error: &reqwest::Error) -> Failure {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let why = match deepest.downcast_ref::<std::io::Error>() {
        _ if error.is_timeout() => return Failure::Late,
        Some(io) if io.raw_os_error().is_some() => crate::error::reason(io),
        // These may include the certificate's own words.
        _ => foreign::message(&deepest.to_string()).to_string(),
    };
    Failure::Unreachable { why, is_out_of_time: is_out_of_time(deepest) }
}

/// The time in a `Date` header (RFC 9110, 6.6.1).
fn told_time(date: &HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok().map(|time| time.timestamp())
}

/// Whether the server's certificate is refused for the time on this machine's clock.
fn is_out_of_time(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let refused = match error.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(refused)) => refused,
        _ => return false,
    };
    matches!(refused, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_tells_the_time() {
        let told = |text| told_time(&HeaderValue::from_static(text)).map(|time| time.as_second());
        assert_eq!(told("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for bad in ["", "yesterday", "Sun, 31 Feb 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }
}
