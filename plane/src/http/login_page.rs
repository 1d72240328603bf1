//! The page on which a person lets a `runcode login` in.

use std::sync::Arc;

use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use runcode_peer::Owner;
use serde::Deserialize;
use serde_json::json;

use super::answer::{failure, refusal, success};
use super::page::Page;
use super::{Link, Site};
use crate::state::token;
use runcode_wire::CLI_LOGIN_PATH;

const PAGE: &str = include_str!("consent.html");
const COOKIE: &str = "runcode_login";
/// The longest state that is carried back.
const STATE_LIMIT: usize = 512;

/// What `runcode login` asks with.
#[derive(Deserialize, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) port: u16,
    pub(super) state: String,
}

impl Ask {
    fn is_plain(&self) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        self.port != 0 && (1..=STATE_LIMIT).contains(&self.state.len()) && self.state.bytes().all(plain)
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

/// Shows the page, or answers at once where nobody needs to be asked.
pub(super) async fn show(
    State(site): State<Arc<Site>>,
    ConnectInfo(link): ConnectInfo<Link>,
    headers: HeaderMap,
    query: Result<Query<Ask>, QueryRejection>,
) -> Response {
    let ask = match query {
        Ok(Query(ask)) if ask.is_plain() => ask,
        _ => return failure(StatusCode::BAD_REQUEST, "`port` or `state` is missing or not valid."),
    };
    if let Some(refusal) = refuse_others(&link) {
        return refusal;
    }
    // Any other login is asked about: somebody else may have sent the browser here.
    if site.auto_authorize && site.started.take(&ask) {
        return authorize(&site, &ask).await;
    }
    let user = match site.state.first_user().await {
        Ok(user) => user,
        Err(error) => return refusal(error.into()),
    };
    // Pages on other ports of this machine can set cookies for this one too: theirs are not taken.
    let made_here = browser(&headers).filter(|browser| site.tickets.is_known(browser));
    let browser = made_here.unwrap_or_else(token::nonce);
    let port = ask.port;
    let ticket = site.tickets.issue(&browser, ask);
    let values = [
        ("machine", machine()),
        ("port", port.to_string()),
        ("user", user),
        ("session", minutes(site.state.rules().max_ttl)),
        (
            "lifetime",
            if site.keeps_state { "Until you log out." } else { "Until you log out or this server ends." }
                .to_owned(),
        ),
        ("ticket", ticket),
    ];
    let cookie = format!(
        "{COOKIE}={browser}; Path={}{CLI_LOGIN_PATH}; HttpOnly; SameSite=Strict",
        site.addresses.login
    );
    let page = Page {
        template: PAGE,
        values: &values.each_ref().map(|(name, value)| (*name, value.as_str())),
        // Browsers hold the redirect that follows the form to this as well.
        forms: &format!("'self' http://127.0.0.1:{port}"),
    };
    page.answer(StatusCode::OK, &[(header::SET_COOKIE, &cookie)])
}

/// Takes note of a login that a `runcode login` of this user has started.
pub(super) async fn started(
    State(site): State<Arc<Site>>,
    ConnectInfo(link): ConnectInfo<Link>,
    headers: HeaderMap,
    ask: Result<Json<Ask>, JsonRejection>,
) -> Response {
    if let Some(refusal) = refuse_others(&link) {
        return refusal;
    }
    // What a browser sends has an origin (Fetch, 3.2), and no page has anything to say here.
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return failure(
            StatusCode::FORBIDDEN,
            "Only `runcode login` itself can say that it has started a login.",
        );
    }
    match ask {
        Ok(Json(ask)) if ask.is_plain() => {
            site.started.remember(ask);
            success(json!({}))
        }
        _ => failure(StatusCode::BAD_REQUEST, "`port` or `state` is missing or not valid."),
    }
}

/// Says what is missing in an address without its secret.
pub(super) async fn without_secret() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "This address lacks its secret part. Use RUNCODE_WEB_BASE as `runcode dev` printed it.",
    )
}

/// The click.
#[derive(Deserialize)]
pub(super) struct Click {
    ticket: String,
    decision: String,
}

/// Takes the answer of the page.
pub(super) async fn decide(
    State(site): State<Arc<Site>>,
    ConnectInfo(link): ConnectInfo<Link>,
    headers: HeaderMap,
    form: Result<Form<Click>, FormRejection>,
) -> Response {
    if let Some(refusal) = refuse_others(&link) {
        return refusal;
    }
    let ask = form.ok().and_then(|Form(click)| {
        let ask = site.tickets.redeem(&click.ticket, &browser(&headers)?)?;
        Some((ask, click.decision))
    });
    match ask {
        Some((ask, decision)) if decision == "authorize" => authorize(&site, &ask).await,
        Some((ask, _)) => see_other(&ask.callback(&[("error", "access_denied")])),
        None => {
            failure(StatusCode::FORBIDDEN, "This page is no longer valid. Please run `runcode login` again.")
        }
    }
}

/// Hands a token to the program that waits for it, if it is this user's.
async fn authorize(site: &Site, ask: &Ask) -> Response {
    match runcode_peer::owner_of_listener(ask.port) {
        owner if owner.may_be_ours() => {}
        Owner::Nobody => {
            return failure(
                StatusCode::CONFLICT,
                "Nothing waits on that port any more; run `runcode login` again.",
            );
        }
        Owner::Unknown => {
            return failure(
                StatusCode::FORBIDDEN,
                "This system does not say whose program waits on that port. Use `runcode login --paste`.",
            );
        }
        Owner::Ours | Owner::Other(_) => {
            return failure(
                StatusCode::FORBIDDEN,
                "Another user's program waits on that port. Please run `runcode login` again.",
            );
        }
    }
    let issued = async {
        let user = site.state.first_user().await?;
        site.state.issue_token(&user).await.map(|token| (user, token))
    };
    let (user, token) = match issued.await {
        Ok(issued) => issued,
        Err(error) => return refusal(error.into()),
    };
    site.log.write("authorize", json!({ "user": user, "port": ask.port }));
    see_other(&ask.callback(&[("token", &token), ("email", &user)]))
}

/// The refusal for a browser that is not known to be this user's.
pub(super) fn refuse_others(link: &Link) -> Option<Response> {
    let message = match link.visit.owner() {
        owner if owner.may_be_ours() => return None,
        Owner::Unknown => {
            "This system does not say whose browser this is, and the page is for one user alone. Use `runcode login --paste`."
        }
        _ => "This server shows its pages to the user who started it, nobody else.",
    };
    Some(failure(StatusCode::FORBIDDEN, message))
}

/// The browser's cookie, when it is one of ours.
fn browser(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    (value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit())).then(|| value.to_owned())
}

fn minutes(time: std::time::Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 60 == 0 && seconds != 60 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(unix)]
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn machine() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this machine".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_loopback_and_the_asked_port() {
        let ask = Ask { port: 4711, state: "s-1".into() };
        assert_eq!(
            ask.callback(&[("email", "a+b@x & y")]),
            "http://127.0.0.1:4711/callback?state=s-1&email=a%2Bb%40x%20%26%20y"
        );
        for state in ["", "a b", "x&token=evil", "x\r\nLocation: y", "x#", &"x".repeat(513)] {
            assert!(!Ask { port: 1, state: state.into() }.is_plain(), "{state}");
        }
        assert!(!Ask { port: 0, state: "x".into() }.is_plain());
    }
}
