//! What hosts ask: to enrol, and once a minute what is new. Answers are lines or bytes, which a shell can use.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::failure;
use super::api::{counted, token_of};
use super::guard::Sender;
use super::off;
use crate::clock;
use crate::core::audit::Actor;
use crate::core::hosts::{self, Host, Report};
use crate::failure::{Failure, Kind, Result};
use crate::krl;
use crate::site::Site;
use crate::store::within;

const SCRIPT: &str = include_str!("../enroll.sh");
const SYNC: &str = include_str!("../host-sync.sh");

/// The enrolment script: the same for everybody, with this server's address in it.
pub(crate) fn enrol_script(base: &str) -> String {
    SCRIPT.replace("@PLANE@", base).replace("@SYNC_SHA256@", &crate::random::hash(SYNC))
}

/// What a host runs once a minute.
pub(super) async fn sync_script() -> Response {
    text(SYNC.to_owned())
}

pub(super) async fn script(State(site): State<Arc<Site>>) -> Response {
    text(enrol_script(&site.base))
}

fn text(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

#[derive(Deserialize)]
pub(super) struct Enrolment {
    code: String,
    host_keys: String,
    #[serde(default)]
    sshd_version: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    home: String,
    port: u16,
    #[serde(default)]
    trial_key: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    dry_run: bool,
}

/// Enrols a host. Wrong codes are counted over all replicas.
pub(super) async fn enrol(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    body: Result<Json<Enrolment>, JsonRejection>,
) -> Response {
    let done = off(&site, move |site| {
        let Json(sent) = body.map_err(|_| Failure::bad("The body is not an enrolment."))?;
        let report = Report {
            code: sent.code,
            host_keys: sent.host_keys,
            sshd_version: sent.sshd_version,
            account: sent.account,
            home: sent.home,
            port: sent.port,
            trial_key: sent.trial_key,
            token: sent.token,
            dry_run: sent.dry_run,
        };
        let actor = sender.acts("-", "api");
        let enrolled = hosts::enrol(&*site.store, &site.mint, &actor, &report);
        let enrolled = site.mint.limits.guessed(&*site.store, &actor, "host.enrol", enrolled)?;
        let workspace = enrolled.workspace;
        Ok(format!(
            "title {}\naccount {}\nprincipal {}\nca {}\ntoken {}\ntrial {}\n",
            workspace.title,
            workspace.account,
            workspace.principal,
            site.authority_line()?,
            enrolled.token,
            enrolled.trial
        ))
    });
    match done.await {
        Ok(lines) => text(lines),
        Err(why) => failure(&why),
    }
}

/// Does `work` for the host that a token belongs to.
async fn of_host<T: Send + 'static>(
    site: &Arc<Site>,
    sender: Sender,
    headers: &HeaderMap,
    work: impl FnOnce(&Site, &Actor, &Host) -> Result<T> + Send + 'static,
) -> Result<T> {
    let token = token_of(headers);
    off(site, move |site| {
        let found = within(&*site.store, |step| hosts::of_token(step, &token));
        let host = counted(site, &sender.address, found)?;
        let actor = sender.acts(format!("host:{}", host.title), "api");
        work(site, &actor, &host)
    })
    .await
}

fn done(done: Result<()>) -> Response {
    match done {
        Ok(()) => text("ok\n".to_owned()),
        Err(why) => failure(&why),
    }
}

pub(super) async fn ready(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
) -> Response {
    done(of_host(&site, sender, &headers, |site, actor, host| hosts::ready(&*site.store, actor, host)).await)
}

pub(super) async fn leave(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let is_failed = body.trim() == "failed";
    done(
        of_host(&site, sender, &headers, move |site, actor, host| {
            hosts::leave(&*site.store, actor, host, is_failed)
        })
        .await,
    )
}

/// The keys that the host shows now.
pub(super) async fn keys(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: String,
) -> Response {
    done(
        of_host(&site, sender, &headers, move |site, actor, host| {
            hosts::synced(&*site.store, actor, host, &body)
        })
        .await,
    )
}

pub(super) async fn ca(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
) -> Response {
    match of_host(&site, sender, &headers, |site, _, _| site.authority_line()).await {
        Ok(line) => text(format!("{line}\n")),
        Err(why) => failure(&why),
    }
}

pub(super) async fn krl(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
) -> Response {
    let made = of_host(&site, sender, &headers, |site, _, host| {
        let serials = within(&*site.store, |step| hosts::revoked(step, host))?;
        let (version, now) = (clock::millis().cast_unsigned(), clock::now().cast_unsigned());
        krl::list(site.mint.authority.public_key(), &serials, version, now)
            .map_err(|_| Failure::new(Kind::Signer, "The revocation list could not be made."))
    });
    match made.await {
        Ok(bytes) => {
            let headers =
                [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
            (headers, bytes).into_response()
        }
        Err(why) => failure(&why),
    }
}

/// The serial numbers whose standing connections are to end, one a line.
pub(super) async fn revoked(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
) -> Response {
    let listed = of_host(&site, sender, &headers, |site, _, host| {
        within(&*site.store, |step| hosts::revoked(step, host))
    });
    match listed.await {
        Ok(serials) => text(serials.iter().map(|serial| format!("{serial}\n")).collect()),
        Err(why) => failure(&why),
    }
}
