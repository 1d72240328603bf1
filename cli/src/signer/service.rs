//! A signer that is asked over HTTP. All of its answers count as hostile: a bounded body, one deadline for all calls, no redirects.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::http::{Answer, BaseUrl, Call, Failure, Http, Trust};
use crate::output::foreign;
use crate::signer::failed;
use crate::sys::clock::Deadline;
use crate::sys::secret::Secret;

/// How long all calls for one certificate may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// How large an answer may be, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The headers and the fields that carry a credential.
const CREDENTIALS: [&str; 4] = ["x-vault-token", "secret_id", "jwt", "ott"];

/// Headers of a call, beside those that every call has.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// A signer's service, for the calls of one certificate.
pub(super) struct Service {
    http: Http,
    deadline: Deadline,
    /// The credentials that it was sent, which its words may repeat.
    sent: Mutex<Vec<Zeroizing<String>>>,
}

impl Service {
    /// The service at this base. Starts the time for all calls.
    pub(super) fn new(base: &BaseUrl, trust: Trust) -> Service {
        let http = Http::new(base.clone(), trust, MAX_BODY, 0);
        Service { http, deadline: Deadline::after(DEADLINE), sent: Mutex::default() }
    }

    /// The same, with other authorities. The time continues.
    pub(super) fn trusting(self, trust: Trust) -> Service {
        Service { http: Http::new(self.http.base().clone(), trust, MAX_BODY, 0), ..self }
    }

    /// Fetches `path`, with or without a query.
    pub(super) fn fetch(&self, path: &str, query: &[(&str, &str)], headers: Headers) -> Result<Answer> {
        self.send(Method::GET, path, query, headers, None)
    }

    /// Sends JSON to `path`.
    pub(super) fn post(&self, path: &str, headers: Headers, body: &Value) -> Result<Answer> {
        for name in CREDENTIALS {
            self.remember(body.get(name).and_then(Value::as_str));
        }
        let body = serde_json::to_vec(body).map_err(|error| Error::new(Code::Error, error.to_string()))?;
        self.send(Method::POST, path, &[], headers, Some(body))
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        mut headers: Headers,
        body: Option<Vec<u8>>,
    ) -> Result<Answer> {
        for name in CREDENTIALS {
            let sent = headers.iter().find(|(header, _)| header == name);
            self.remember(sent.and_then(|(_, value)| value.to_str().ok()));
        }
        let mut url = self.http.base().join(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let json = HeaderValue::from_static("application/json");
        headers.push((ACCEPT, json.clone()));
        headers.extend(body.is_some().then_some((CONTENT_TYPE, json)));
        let sent = self.http.send(Call { method, url, headers, body }, self.deadline);
        sent.map_err(|failure| self.unanswered(failure))
    }

    fn remember(&self, credential: Option<&str>) {
        let Some(credential) = credential.filter(|it| !it.is_empty()) else { return };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !sent.iter().any(|it| **it == *credential) {
            sent.push(Zeroizing::new(credential.to_owned()));
            sent.sort_by_key(|it| std::cmp::Reverse(it.len())); // one may be part of another
        }
    }

    /// What the signer says, without the credentials that it was sent.
    fn without_credentials(&self, words: String) -> String {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().fold(words, |words, credential| words.replace(&**credential, "[credential]"))
    }

    fn unanswered(&self, failure: Failure) -> Error {
        let base = self.http.base();
        match failure {
            Failure::NotSent(error) => failed(error.message().to_owned())
                .hint("unset it, or name the authorities with `ca` or `root` in servers.toml"),
            Failure::SetUp(why) => failed(format!("cannot set up https for the signer: {why}")),
            Failure::Unreachable { why, is_out_of_time } => {
                failed(format!("the signer at {base} cannot be reached: {why}")).hint(if is_out_of_time {
                    "check this machine's clock (`date`): by it, the signer's certificate is not valid now"
                } else {
                    "check its address and its certificate authority in servers.toml, and the network"
                })
            }
            Failure::Cut(source) => failed(format!("the answer from the signer at {base} broke off"))
                .source(source)
                .hint("try again"),
            Failure::Late => {
                failed(format!("the signer at {base} did not answer within {} s", DEADLINE.as_secs()))
                    .hint("try again, or have whoever runs the signer look at it")
            }
            Failure::TooLarge => {
                failed(format!("the answer from the signer at {base} is larger than {} KiB", MAX_BODY / 1024))
            }
            Failure::Redirected(target) => {
                let target = self.without_credentials(target.to_string());
                failed(format!("the signer at {base} redirects to {target}, which was not followed"))
                    .hint("name the active node itself in servers.toml")
            }
            Failure::BadRedirect => failed(format!("the signer at {base} redirects, which was not followed"))
                .hint("name the active node itself in servers.toml"),
        }
    }

    /// The error for a refusal, in the signer's words.
    pub(super) fn refused(&self, answer: &Answer) -> Error {
        let (base, status) = (self.http.base(), answer.status);
        failed(match self.words(&answer.body) {
            Some(words) => format!("the signer at {base} refuses: {words}"),
            None => format!("the signer at {base} answers {status}"),
        })
    }

    fn words(&self, body: &[u8]) -> Option<String> {
        // Before they are cut to a length, and after whatever they hide is taken out of them.
        let words = self.without_credentials(said(body)?.join("; "));
        shown(&words).map(|words| self.without_credentials(words))
    }

    /// The error for an answer that is none.
    pub(super) fn odd(&self) -> Error {
        let base = self.http.base();
        failed(format!("the answer from the signer at {base} does not follow its protocol"))
            .hint("check `kind` and the address in servers.toml")
    }
}

/// A signer's own words in a refusal, made safe to show.
pub fn words(body: &[u8]) -> Option<String> {
    shown(&said(body)?.join("; "))
}

fn shown(words: &str) -> Option<String> {
    (!words.trim().is_empty()).then(|| foreign::message(words).to_string())
}

/// What a refusal says: a message (step-ca), or a list of errors (Vault).
pub(super) fn said(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        errors: Vec<String>,
    }
    let Refusal { message, errors } = parse(body)?;
    Some(message.into_iter().chain(errors.into_iter().take(10)).collect())
}

/// An answer as JSON; serde would also take an array in an object's place.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok()).flatten()
}

/// A secret of these bytes.
pub(super) fn secret(what: &str, bytes: &[u8], max: usize) -> Result<Secret> {
    let text = std::str::from_utf8(bytes).unwrap_or("\0");
    Secret::parse(text, max).map_err(|why| failed(format!("{what} {why}")))
}

/// A header value that no log shows.
pub(super) fn sensitive(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| failed("a credential contains an invalid character".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
