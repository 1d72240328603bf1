//! How a terminal gets its token, and gives it back.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::answer::{failure, success};
use super::api::{counted, token_of};
use super::guard::Sender;
use super::off;
use crate::clock;
use crate::core::{page_sessions, tokens};
use crate::failure::{Failure, Result};
use crate::random;
use crate::site::Site;
use crate::store::within;

#[derive(Deserialize)]
pub(super) struct Exchange {
    code: String,
    verifier: String,
}

/// A code of the consent page for a token. Wrong ones are counted over all replicas.
pub(super) async fn token(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    body: Result<Json<Exchange>, JsonRejection>,
) -> Response {
    let issued = off(&site, move |site| {
        let Json(Exchange { code, verifier }) =
            body.map_err(|_| Failure::bad("The body is not a login code."))?;
        if !random::is_link(&code) || !(43..=128).contains(&verifier.len()) {
            return Err(Failure::bad("`code` or `verifier` is not valid."));
        }
        let actor = sender.acts("-", "api");
        let issued = page_sessions::redeem(&*site.store, &actor, &code, &verifier, site.config.login_max_age);
        site.mint.limits.guessed(&*site.store, &actor, "login", issued)
    });
    match issued.await {
        Ok(issued) => success(json!({
            "token": issued.token, "email": issued.email, "expires_at": clock::shown(issued.expires),
        })),
        Err(why) => failure(&why),
    }
}

/// Removes the calling token. Sessions that it opened stay until they end or are revoked.
pub(super) async fn logout(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
) -> Response {
    let token = token_of(&headers);
    let done = off(&site, move |site| {
        let caller = counted(site, &sender.address, within(&*site.store, |step| tokens::find(step, &token)))?;
        let actor = sender.acts(caller.person.email.clone(), "api");
        tokens::remove(&*site.store, &actor, &caller.token, Some(caller.person.id))
    });
    match done.await {
        Ok(()) => success(json!({})),
        Err(why) => failure(&why),
    }
}
