//! The API calls. One sender: it goes to the base's origin only, over a capped body and a total deadline.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::blocking::{Request, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, redirect};
use serde_json::value::RawValue;

use runcode_wire::{API_PREFIX, SessionRequest};

use crate::error::{Code, Error, Result};
use crate::origin::hosted::answer::{Answer as _, BundleAnswer, Listing, MAX_ROWS, Plain, parse, words};
use crate::origin::hosted::workspace::from_row;
use crate::origin::hosted::{BaseUrl, Token};
use crate::origin::{Ungranted, Workspace};
use crate::output::foreign;
use crate::output::progress::note;
use crate::sys::clock::{self, Deadline};

/// How long one call may take in all.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How large an answer may be, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// What to do where a sandbox forbids sockets.
const SANDBOXED: &str = "Codex's sandbox forbids network access: set `network_access = true` under \
    [sandbox_workspace_write] in ~/.codex/config.toml, or let the command run outside the sandbox";

/// Clocks that differ by less are not told apart: a `Date` has whole seconds, and an answer takes its time.
const APART: SignedDuration = SignedDuration::from_secs(30);

/// How many redirects within the origin are followed.
const MAX_REDIRECTS: usize = 3;

/// Port 0 stands for the URL's own.
const LOCALHOST: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// Why a call has no answer to read.
#[derive(Debug)]
enum Unanswered {
    /// The control plane could not be reached, or its answer broke off.
    Unreachable(Error),
    /// It answered with a status that says no.
    Refused(StatusCode, Error),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered::Failed(error)
    }
}

impl From<Unanswered> for Error {
    fn from(failure: Unanswered) -> Error {
        match failure {
            Unanswered::Unreachable(error) | Unanswered::Refused(_, error) | Unanswered::Failed(error) => {
                error
            }
        }
    }
}

impl From<Unanswered> for Ungranted {
    fn from(failure: Unanswered) -> Ungranted {
        match failure {
            Unanswered::Unreachable(error) => Ungranted::Unreachable(error),
            Unanswered::Refused(StatusCode::CONFLICT, error) => Ungranted::NotRunning(error),
            Unanswered::Refused(StatusCode::NOT_FOUND, error) => Ungranted::Gone(error),
            Unanswered::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, error) => {
                Ungranted::Refused(error)
            }
            Unanswered::Refused(_, error) | Unanswered::Failed(error) => Ungranted::Failed(error),
        }
    }
}

/// The control plane at one base, spoken to with one token. Nothing is set up before the first call.
pub struct Client {
    base: BaseUrl,
    token: Token,
    is_sandboxed: bool,
    http: OnceCell<reqwest::blocking::Client>,
    ahead: Cell<Option<SignedDuration>>,
}

impl Client {
    /// A client; no I/O.
    pub fn new(base: BaseUrl, token: Token) -> Client {
        Client { base, token, is_sandboxed: false, http: OnceCell::new(), ahead: Cell::new(None) }
    }

    /// The same client, which knows that a sandbox may be why nothing can be reached.
    #[must_use]
    pub fn in_sandbox(self, is_sandboxed: bool) -> Client {
        Client { is_sandboxed, ..self }
    }

    /// Where it talks to.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// How far its clock was ahead of this machine's when it last answered; zero when it did not tell, or where the difference
    /// is no more than what an answer takes.
    pub(super) fn ahead(&self) -> SignedDuration {
        self.ahead.get().filter(|ahead| ahead.abs() >= APART).unwrap_or_default()
    }

    /// Every workspace, own ones first; one that is listed twice is taken as first seen. Sorted by id.
    pub fn workspaces(&self) -> Result<Vec<Workspace>> {
        let mut found: BTreeMap<Option<u64>, Workspace> = BTreeMap::new();
        for (category, shared) in [("active", false), ("shared", true)] {
            let answer: Listing =
                parse(&self.call(Method::GET, "/workspaces", &[("category", category)], None)?)?;
            answer.check(Code::Error)?;
            let rows = answer.data.map(|data| data.workspaces).unwrap_or_default();
            if rows.has_more {
                let whose = if shared { " shared with you" } else { "" };
                note(format!(
                    "note: the control plane lists over {MAX_ROWS} workspaces{whose}; the others are left out"
                ));
            }
            for workspace in rows.first.iter().filter_map(|row| from_row(row, &self.base, shared)) {
                found.entry(workspace.key.workspace_id()).or_insert(workspace);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Boots a workspace; one that is up or on its way is fine.
    pub(super) fn boot(&self, id: u64) -> Result<()> {
        self.power("/workspace/start", id, Code::StartFailed)
    }

    /// Powers a workspace down; one that is down or on its way is fine.
    pub(super) fn power_down(&self, id: u64) -> Result<()> {
        self.power("/workspace/stop", id, Code::StopFailed)
    }

    fn power(&self, path: &str, id: u64, refused: Code) -> Result<()> {
        let answer: Plain =
            parse(&self.call(Method::GET, path, &[("workspace_id", &id.to_string())], None)?)?;
        answer.check(refused)
    }

    /// Asks for a connection bundle for `request`'s public key: its JSON, not yet looked into.
    pub(super) fn ssh_session(&self, id: u64, request: &SessionRequest) -> Result<Box<RawValue>, Ungranted> {
        let body = serde_json::to_vec(request).map_err(|error| Error::new(Code::Error, error.to_string()))?;
        let answer: BundleAnswer =
            parse(&self.call(Method::POST, &format!("/workspace/{id}/ssh-session"), &[], Some(body))?)?;
        answer.check(Code::Error)?;
        let none = || Error::new(Code::UnsafeBundle, "the control plane sent no connection bundle");
        answer.bundle.ok_or_else(|| Ungranted::Refused(none()))
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Unanswered> {
        let mut url = self.base.join(&format!("{API_PREFIX}{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let http = self.http()?;
        let mut request = http.request(method, url).header(ACCEPT, "application/json").timeout(DEADLINE);
        let mut secret = HeaderValue::from_str(&format!("Token {}", self.token.expose()))
            .map_err(|_| Error::new(Code::NoToken, "the token contains an invalid character"))?;
        secret.set_sensitive(true);
        request = request.header(AUTHORIZATION, secret);
        if let Some(body) = body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        self.send(http, request.build().map_err(|error| self.unreachable(&error))?)
    }

    fn send(&self, http: &reqwest::blocking::Client, request: Request) -> Result<Vec<u8>, Unanswered> {
        let deadline = Deadline::after(DEADLINE);
        let response = http.execute(request).map_err(|error| self.unreachable(&error))?;
        self.ahead.set(
            response.headers().get(DATE).and_then(told_time).map(|time| time.duration_since(clock::now())),
        );
        let status = response.status();
        if status.is_redirection() {
            return Err(self.redirected(&response).into());
        }
        let body = self.body(response, deadline)?;
        if status.is_success() { Ok(body) } else { Err(Unanswered::Refused(status, refused(status, &body))) }
    }

    /// Reads piece by piece, so that a body that drips for ever ends with the deadline too.
    fn body(&self, mut response: Response, deadline: Deadline) -> Result<Vec<u8>, Unanswered> {
        let (mut body, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let read = response.read(&mut piece).map_err(|error| self.cut("broke off", Some(error)))?;
            body.extend_from_slice(piece.get(..read).unwrap_or_default());
            if body.len() > MAX_BODY {
                return Err(Error::new(
                    Code::BadResponse,
                    format!("the answer from {} is larger than 1 MiB", self.base),
                )
                .into());
            }
            if read == 0 {
                return Ok(body);
            }
            if deadline.is_past() {
                return Err(self.cut(&format!("took over {} s", DEADLINE.as_secs()), None));
            }
        }
    }

    fn cut(&self, how: &str, source: Option<std::io::Error>) -> Unanswered {
        let error = Error::new(Code::Network, format!("the answer from {} {how}", self.base))
            .hint("try again, or run `runcode doctor`");
        Unanswered::Unreachable(match source {
            Some(source) => error.source(source),
            None => error,
        })
    }

    fn redirected(&self, response: &Response) -> Error {
        let target = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        match target.and_then(|target| response.url().join(target).ok()) {
            Some(target) if !self.base.is_origin_of(&target) => {
                let target = foreign::path(&target.origin().ascii_serialization());
                Error::new(
                    Code::InsecureBase,
                    format!("{} redirects to {target}, which was not followed", self.base),
                )
                .hint("check RUNCODE_API_BASE and --api-base")
            }
            _ => Error::new(Code::HttpError, format!("{} answered with an invalid redirect", self.base)),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Unanswered {
        let mut deepest: &dyn std::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let why = match deepest.downcast_ref::<std::io::Error>() {
            _ if error.is_timeout() => format!("no answer within {} s", DEADLINE.as_secs()),
            Some(io) if io.raw_os_error().is_some() => crate::error::reason(io),
            // A certificate's own words may be among these.
            _ => foreign::message(&deepest.to_string()).to_string(),
        };
        let what = format!("cannot reach the control plane at {}: {why}", self.base);
        Unanswered::Unreachable(Error::new(Code::Network, what).hint(if is_out_of_time(deepest) {
            "check this machine's clock (`date`): by it, the server's certificate is not valid now"
        } else if self.is_sandboxed {
            SANDBOXED
        } else {
            "check the network and RUNCODE_API_BASE, or run `runcode doctor`"
        }))
    }

    fn http(&self) -> Result<&reqwest::blocking::Client, Unanswered> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = self.base.clone();
        let within_origin = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() <= MAX_REDIRECTS && base.is_origin_of(attempt.url()) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let mut builder = reqwest::blocking::Client::builder()
            .timeout(DEADLINE)
            .redirect(within_origin)
            .user_agent(concat!("runcode/", env!("CARGO_PKG_VERSION")));
        if self.base.is_loopback() {
            builder = builder.no_proxy();
        }
        if self.base.is_plain() {
            // No redirect leaves the origin, so there will be no TLS: the system's certificates are some 200 files to read.
            builder = builder.tls_certs_only([]);
            // Nobody's name server says where the token goes (RFC 6761, 6.3).
            builder = builder.resolve_to_addrs("localhost", &LOCALHOST);
        }
        let http = builder.build().map_err(|error| {
            Unanswered::Unreachable(
                Error::new(Code::Network, format!("cannot set up https: {error}"))
                    .hint("check SSL_CERT_FILE and the proxy settings"),
            )
        })?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// The moment that a `Date` header tells (RFC 9110, 6.6.1).
fn told_time(date: &HeaderValue) -> Option<jiff::Timestamp> {
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

/// The code and words of an HTTP error status.
fn refused(status: StatusCode, body: &[u8]) -> Error {
    let code = match status.as_u16() {
        400 => Code::BadRequest,
        401 => Code::Unauthorized,
        403 => Code::Forbidden,
        404 => Code::NotFound,
        409 => Code::Conflict,
        429 => Code::RateLimited,
        503 => Code::Unavailable,
        _ => Code::HttpError,
    };
    let what = words(body).unwrap_or_else(|| format!("the control plane answered {status}"));
    match code {
        Code::Unauthorized => Error::new(code, format!("the control plane rejected the token ({what})"))
            .hint("run `runcode login`, or set RUNCODE_TOKEN to a valid token"),
        Code::Unavailable => Error::new(code, format!("{what} (SSH may not be enabled on the server yet)"))
            .hint("try again later, or ask the server's operator to enable SSH access"),
        Code::Conflict => Error::new(code, what).hint("boot it with `runcode connect <workspace> --start`"),
        Code::RateLimited => Error::new(code, what).hint("wait a minute, then try again"),
        Code::NotFound => Error::new(code, what).hint("run `runcode list` to see your workspaces"),
        _ => Error::new(code, what),
    }
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

    #[test]
    fn statuses_that_are_a_refusal() {
        let of = |status| {
            let error = refused(status, b"{}");
            Ungranted::from(Unanswered::Refused(status, error))
        };
        assert!(matches!(of(StatusCode::CONFLICT), Ungranted::NotRunning(_)));
        assert!(matches!(of(StatusCode::NOT_FOUND), Ungranted::Gone(_)));
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            assert!(matches!(of(status), Ungranted::Refused(_)), "{status}");
        }
        for status in
            [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY]
        {
            assert!(!of(status).is_refusal(), "{status}");
        }
        let unreachable = Unanswered::Unreachable(Error::new(Code::Network, "no answer"));
        assert!(matches!(Ungranted::from(unreachable), Ungranted::Unreachable(_)));
    }
}
