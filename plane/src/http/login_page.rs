//! The page on which a person lets a `runcode login` in.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Site;
use super::answer::failure;

/// The longest state that is carried back.
const STATE_LIMIT: usize = 512;

/// What `runcode login` asks with.
#[derive(Deserialize)]
pub(super) struct Ask {
    port: u16,
    state: String,
}

impl Ask {
    fn is_plain(&self) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        self.port != 0
            && !self.state.is_empty()
            && self.state.len() <= STATE_LIMIT
            && self.state.bytes().all(plain)
    }

    /// Where the browser goes with the answer: this machine, whatever was asked.
    fn callback(&self, answer: &[(&str, &str)]) -> String {
        let mut url = format!("http://127.0.0.1:{}/callback?state={}", self.port, self.state);
        for (name, value) in answer {
            url.push_str(&format!("&{name}={}", percent_encoded(value)));
        }
        url
    }
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    query: Result<Query<Ask>, QueryRejection>,
) -> Response {
    let Ok(Query(ask)) = query else {
        return failure(StatusCode::BAD_REQUEST, "`port` or `state` is missing or not valid.");
    };
    if !ask.is_plain() {
        return failure(StatusCode::BAD_REQUEST, "`port` or `state` is missing or not valid.");
    }
    if !site.auto_authorize {
        return failure(StatusCode::NOT_IMPLEMENTED, "The login page is not there yet.");
    }
    let user = site.state.first_user();
    let token = site.state.issue_token(&user);
    see_other(&ask.callback(&[("token", &token), ("email", &user)]))
}

fn see_other(location: &str) -> Response {
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
