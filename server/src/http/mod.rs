//! The HTTP side: the API that clients speak, what hosts ask, and the pages.

mod answer;
mod api;
mod consent;
mod guard;
mod host;
mod listener;
mod login;
mod pages;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use runcode_wire::{API_PREFIX, CLI_LOGIN_PATH};

use crate::failure::{Failure, Kind, Result};
use crate::site::Site;

pub(crate) use host::enrol_script;
pub(crate) use listener::serve;
pub(crate) use tls::Tls;

/// The largest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// All routes.
fn router(site: &Arc<Site>) -> Router {
    let api = Router::new()
        .route("/workspaces", get(api::workspaces))
        .route("/workspace/start", get(api::start))
        .route("/workspace/stop", get(api::stop))
        .route("/workspace/{id}/ssh-session", post(api::ssh_session))
        .route("/login/token", post(login::token))
        .route("/logout", post(login::logout));
    let hosts = Router::new()
        .route("/enroll", post(host::enrol))
        .route("/ready", post(host::ready))
        .route("/leave", post(host::leave))
        .route("/keys", post(host::keys))
        .route("/ca", get(host::ca))
        .route("/krl", get(host::krl))
        .route("/revoked", get(host::revoked));
    Router::new()
        .nest(API_PREFIX, api)
        .nest("/api/host", hosts)
        .route("/", get(pages::home))
        .route("/setup/{link}", get(pages::show_link).post(pages::spend_link))
        .route("/link/{link}", get(pages::show_link).post(pages::spend_link))
        .route("/sign-out", post(pages::sign_out))
        .route("/account/tokens", get(pages::tokens).post(pages::new_token))
        .route("/w/{title}", get(pages::workspace))
        .route(CLI_LOGIN_PATH, get(consent::show).post(consent::decide))
        .route("/enroll.sh", get(host::script))
        .route("/host-sync.sh", get(host::sync_script))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(answer::readiness))
        .fallback(|| async { answer::failure(&Failure::new(Kind::NotFound, "There is nothing here.")) })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(site.clone(), guard::guard))
        .with_state(site.clone())
}

/// Does what waits for the disk where it holds up nobody.
async fn off<T: Send + 'static>(
    site: &Arc<Site>,
    work: impl FnOnce(&Site) -> Result<T> + Send + 'static,
) -> Result<T> {
    let site = site.clone();
    let done = tokio::task::spawn_blocking(move || work(&site)).await;
    done.unwrap_or_else(|_| {
        Err(Failure::new(Kind::System, "The server failed at this; its log may say more."))
    })
}
