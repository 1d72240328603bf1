//! The API calls, over HTTP to the base's origin alone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use runcode_wire::{API_PREFIX, SessionRequest};

use crate::error::{Code, Error, Result};
use crate::http::{Call, Failure, Http, Trust};
use crate::origin::hosted::answer::{
    Answer as _, BundleAnswer, Listing, MAX_ROWS, Plain, Unanswered, parse, words,
};
use crate::origin::hosted::workspace::from_row;
use crate::origin::hosted::{BaseUrl, Token};
use crate::origin::{SessionKey, Ungranted, Workspace};
use crate::output::foreign::Name;
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

/// What to do when an answer was cut off.
const AGAIN: &str = "try again, or run `runcode doctor`";

/// The facts from a list that a session remembers about its workspace.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Whether somebody else shares it.
    pub(super) shared: bool,
    /// Its custom title.
    pub(super) custom_title: Option<Name>,
}

/// The answer to a login code.
#[derive(serde::Deserialize)]
struct Login {
    token: String,
    email: Option<String>,
}

/// The control plane at one base, spoken to with one token. Nothing is set up before the first call.
pub struct Client {
    http: Http,
    token: Option<Token>,
    is_sandboxed: bool,
    ahead: Cell<Option<SignedDuration>>,
    /// The workspaces of the last list.
    listed: RefCell<BTreeMap<u64, Listed>>,
}

impl Client {
    /// A client; no I/O.
    pub fn new(base: BaseUrl, token: Token) -> Client {
        Client { token: Some(token), ..Client::without_token(base) }
    }

    /// One for a login that is under way.
    pub fn without_token(base: BaseUrl) -> Client {
        let http = Http::new(base, Trust::System, MAX_BODY, MAX_REDIRECTS);
        Client { http, token: None, is_sandboxed: false, ahead: Cell::new(None), listed: RefCell::default() }
    }

    /// The same client, which knows that a sandbox may be why nothing can be reached.
    #[must_use]
    pub fn in_sandbox(self, is_sandboxed: bool) -> Client {
        Client { is_sandboxed, ..self }
    }

    /// Where it talks to.
    pub fn base(&self) -> &BaseUrl {
        self.http.base()
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
            for workspace in rows.first.iter().filter_map(|row| from_row(row, self.base(), shared)) {
                found.entry(workspace.key.workspace_id()).or_insert(workspace);
            }
        }
        let listed = found.values().filter_map(|found| {
            let Workspace { shared, custom_title, .. } = found.clone();
            Some((found.key.workspace_id()?, Listed { shared, custom_title }))
        });
        *self.listed.borrow_mut() = listed.collect();
        Ok(found.into_values().collect())
    }

    /// What the last list says about it, if that list contains it. Sends no request.
    pub(super) fn listed(&self, key: &SessionKey) -> Option<Listed> {
        self.listed.borrow().get(&key.workspace_id()?).cloned()
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

    /// Has the control plane accept the token no more; whether it can. One that it does not accept already is fine.
    pub fn log_out(&self) -> Result<bool> {
        match self.call(Method::POST, "/logout", &[], None) {
            Ok(body) => parse::<Plain>(&body)?.check(Code::Error).map(|()| true),
            Err(Unanswered::Refused(StatusCode::UNAUTHORIZED, _)) => Ok(true),
            Err(Unanswered::Refused(
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED,
                _,
            )) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Exchanges a code of the consent page for the token, and the account if the answer names it.
    pub fn exchange(&self, code: &str, verifier: &str) -> Result<(Token, Option<Name>)> {
        let body = serde_json::json!({ "code": code, "verifier": verifier }).to_string().into_bytes();
        let answer = Zeroizing::new(self.call(Method::POST, "/login/token", &[], Some(body))?);
        let Login { token, email } = parse(&answer)?;
        let token = Token::parse(&Zeroizing::new(token))
            .map_err(|why| Error::new(Code::BadResponse, format!("the control plane's token {why}")))?;
        let email = email.filter(|email| !email.is_empty() && email.len() <= 320).map(Name::from);
        Ok((token, email))
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
        let mut url = self.base().join(&format!("{API_PREFIX}{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let json = HeaderValue::from_static("application/json");
        let mut headers = vec![(ACCEPT, json.clone())];
        if let Some(token) = &self.token {
            let mut secret = HeaderValue::from_str(&format!("Token {}", token.expose()))
                .map_err(|_| Error::new(Code::NoToken, "the token contains an invalid character"))?;
            secret.set_sensitive(true);
            headers.push((AUTHORIZATION, secret));
        }
        headers.extend(body.is_some().then_some((CONTENT_TYPE, json)));
        let sent = self.http.send(Call { method, url, headers, body }, Deadline::after(DEADLINE));
        let mut answer = sent.map_err(|failure| self.unanswered(failure))?;
        self.ahead.set(answer.date.map(|time| time.duration_since(clock::now())));
        let body = std::mem::take(&mut *answer.body);
        if answer.status.is_success() {
            Ok(body)
        } else {
            Err(Unanswered::Refused(answer.status, refused(answer.status, &body)))
        }
    }

    fn unanswered(&self, failure: Failure) -> Unanswered {
        let base = self.base();
        let unreachable = |what: String| Error::new(Code::Network, what);
        let seconds = DEADLINE.as_secs();
        match failure {
            Failure::NotSent(error) => error.into(),
            Failure::SetUp(why) => Unanswered::Unreachable(
                unreachable(format!("cannot set up https: {why}"))
                    .hint("check SSL_CERT_FILE and the proxy settings"),
            ),
            Failure::Unreachable { why, is_out_of_time } => {
                let what = format!("cannot reach the control plane at {base}: {why}");
                Unanswered::Unreachable(unreachable(what).hint(if is_out_of_time {
                    "check this machine's clock (`date`): by it, the server's certificate is not valid now"
                } else if self.is_sandboxed {
                    SANDBOXED
                } else if base.is_loopback() {
                    "nothing listens there: if that was `runcode dev`, it has ended; unset RUNCODE_API_BASE, RUNCODE_TOKEN and RUNCODE_WEB_BASE"
                } else {
                    "check the network and RUNCODE_API_BASE, or run `runcode doctor`"
                }))
            }
            Failure::Cut(source) => Unanswered::Unreachable(
                unreachable(format!("the answer from {base} broke off")).source(source).hint(AGAIN),
            ),
            Failure::Late => Unanswered::Unreachable(
                unreachable(format!("the control plane at {base} did not answer within {seconds} s"))
                    .hint(if self.is_sandboxed { SANDBOXED } else { AGAIN }),
            ),
            Failure::TooLarge => {
                Error::new(Code::BadResponse, format!("the answer from {base} is larger than 1 MiB")).into()
            }
            Failure::Redirected(target) => Error::new(
                Code::InsecureBase,
                format!("{base} redirects to {target}, which was not followed"),
            )
            .hint("check RUNCODE_API_BASE and --api-base")
            .into(),
            Failure::BadRedirect => {
                Error::new(Code::HttpError, format!("{base} answered with an invalid redirect")).into()
            }
        }
    }
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
            .hint("run `runcode login`, or set RUNCODE_TOKEN to a valid token")
            .for_tools("ask the user to run `runcode login`"),
        Code::Unavailable => Error::new(code, format!("{what} (SSH may not be enabled on the server yet)"))
            .hint("try again later, or ask the server's operator to enable SSH access"),
        Code::Conflict => Error::new(code, what)
            .hint("boot it with `runcode connect <workspace> --start`")
            .for_tools("ask the user; then call `connect` with `start` true, or have them boot it if this server is read-only"),
        Code::RateLimited => Error::new(code, what).hint("wait a minute, then try again"),
        Code::NotFound => Error::new(code, what)
            .hint("run `runcode list` to see your workspaces")
            .for_tools("`list` says which workspaces there are"),
        _ => Error::new(code, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
