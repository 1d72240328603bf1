//! The page on which a person lets a `runcode login` in.

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::guard::Sender;
use super::off;
use super::pages::{self, page, signed_in};
use crate::clock;
use crate::core::page_sessions::{self, Login};
use crate::failure::{Failure, Kind, Result};
use crate::site::Site;

/// The longest state that is carried back.
const STATE_LIMIT: usize = 512;

/// What `runcode login` asks with.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ask {
    port: u16,
    state: String,
    challenge: Option<String>,
}

impl Ask {
    fn check(self, site: &Site) -> Result<Ask> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let is_state = (1..=STATE_LIMIT).contains(&self.state.len()) && self.state.bytes().all(plain);
        let is_challenge = self.challenge.as_ref().is_none_or(|text| crate::random::is_link(text));
        if self.port == 0 || !is_state || !is_challenge {
            return Err(Failure::bad(
                "`port`, `state` or `challenge` is missing or not valid. Run `runcode login` again.",
            ));
        }
        if self.challenge.is_none() && !site.config.login_legacy {
            return Err(Failure::bad("This runcode is too old for this server; install a newer one."));
        }
        Ok(self)
    }

    /// Where the browser goes with the answer: its own machine, whatever was asked.
    fn callback(&self, answer: &[(&str, &str)]) -> String {
        let mut url = format!("http://127.0.0.1:{}/callback?state={}", self.port, self.state);
        for (name, value) in answer {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            url.push_str(&format!("&{name}={value}"));
        }
        url
    }
}

/// Shows the page to somebody who is signed in.
pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    query: Result<Query<Ask>, QueryRejection>,
) -> Response {
    let ask = match query.map_err(|_| Failure::bad("`port` or `state` is missing or not valid.")) {
        Ok(Query(ask)) => ask.check(&site),
        Err(why) => Err(why),
    };
    let ask = match ask {
        Ok(ask) => ask,
        Err(why) => return pages::failure(&why),
    };
    let who = match signed_in(&site, &headers).await {
        Ok(Some(who)) => who,
        Ok(None) => return pages::sign_in_first(),
        Err(why) => return pages::failure(&why),
    };
    let until = clock::now() + site.config.login_max_age.as_secs().cast_signed();
    let values = [
        ("address", sender.address),
        ("port", ask.port.to_string()),
        ("email", who.person.email),
        ("name", who.person.name),
        ("session", clock::shown_duration(site.config.session_ttl)),
        ("until", clock::shown(until)),
        ("form", who.form),
        ("state", ask.state),
        ("challenge", ask.challenge.unwrap_or_default()),
    ];
    // Browsers hold the redirect that follows the form to this as well.
    let forms = format!("'self' http://127.0.0.1:{}", ask.port);
    page(pages::CONSENT, &values, &forms, StatusCode::OK, None)
}

#[derive(Deserialize)]
pub(super) struct Decision {
    port: u16,
    state: String,
    challenge: String,
    form: String,
    decision: String,
}

/// Hands the login to the program that waits, or tells it that it was denied.
pub(super) async fn decide(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: Result<Form<Decision>, FormRejection>,
) -> Response {
    let decided = async {
        let Form(decision) = body.map_err(|_| Failure::bad("The form is not complete."))?;
        let who = pages::form_sender(&site, &headers, &decision.form).await?;
        let challenge = Some(decision.challenge).filter(|text| !text.is_empty());
        let ask = Ask { port: decision.port, state: decision.state, challenge }.check(&site)?;
        if decision.decision != "authorize" {
            return Ok(ask.callback(&[("error", "access_denied")]));
        }
        let actor = sender.acts(who.person.email.clone(), "page");
        off(&site, move |site| {
            let challenge = ask.challenge.as_deref();
            let lifetime = site.config.login_max_age;
            let login = page_sessions::authorize(&*site.store, &actor, &who.person, challenge, lifetime)?;
            Ok(match login {
                Login::Code(code) => ask.callback(&[("code", &code)]),
                Login::Token(token) => ask.callback(&[("token", &token), ("email", &who.person.email)]),
            })
        })
        .await
    };
    match decided.await {
        Ok(location) => {
            let headers = [
                (header::LOCATION, location.as_str()),
                (header::CACHE_CONTROL, "no-store"),
                (header::REFERRER_POLICY, "no-referrer"),
            ];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(why) if why.kind == Kind::Form => pages::failure(&Failure::new(
            Kind::Form,
            "This page is no longer valid. Please run `runcode login` again.",
        )),
        Err(why) => pages::failure(&why),
    }
}
