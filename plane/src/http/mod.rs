//! The control plane's HTTP side: the API and the pages.

mod addresses;
mod answer;
mod api;
mod bundle;
mod control;
mod faulty;
mod guard;
mod login_page;
mod page;
mod socket;
mod started;
mod tickets;
mod workspace_page;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};

use crate::access_log::AccessLog;
use crate::gateway::Gateway;
use crate::state::State;
use runcode_wire::{API_PREFIX, CLI_LOGIN_PATH, CLI_LOGIN_STARTED_PATH};

pub(crate) use addresses::Addresses;
pub(crate) use socket::{Link, Socket};
pub(crate) use started::Started;
pub(crate) use tickets::Tickets;

/// What the handlers share.
pub(crate) struct Site {
    pub(crate) state: Arc<State>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) addresses: Addresses,
    /// `http://127.0.0.1:PORT`
    pub(crate) base: String,
    pub(crate) auto_authorize: bool,
    /// Whether tokens outlive the plane.
    pub(crate) keeps_state: bool,
    pub(crate) tickets: Tickets,
    pub(crate) started: Started,
    /// The random name of the switchboard's path.
    pub(crate) switchboard: String,
}

/// All routes.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let Addresses { login, workspaces } = &site.addresses;
    let api = Router::new()
        .route("/workspaces", get(api::workspaces))
        .route("/workspace/start", get(api::start))
        .route("/workspace/stop", get(api::stop))
        .route("/workspace/{id}/ssh-session", post(api::ssh_session))
        .route("/logout", post(api::logout));
    Router::new()
        .nest(API_PREFIX, api)
        .route(&format!("{login}{CLI_LOGIN_PATH}"), get(login_page::show).post(login_page::decide))
        .route(&format!("{login}{CLI_LOGIN_STARTED_PATH}"), post(login_page::started))
        .route(CLI_LOGIN_PATH, any(login_page::without_secret))
        .route(&format!("{workspaces}/w/{{title}}"), get(workspace_page::show))
        .route(&format!("/{}", site.switchboard), post(control::obey))
        .fallback(answer::not_found)
        .layer(from_fn_with_state(site.clone(), guard::guard))
        .with_state(site)
}
