//! The control plane's HTTP side: the API and the pages.

mod addresses;
mod answer;
mod api;
mod bundle;
#[cfg(feature = "faults")]
mod control;
#[cfg(feature = "faults")]
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
use runcode_wire::{API_PREFIX, CLI_LOGIN_PATH, CLI_LOGIN_STARTED_PATH};
use tokio::net::TcpListener;

use crate::access_log::AccessLog;
use crate::authority::Authority;
use crate::gateway::Gateway;
use crate::power::Power;
use crate::state::State;

pub use addresses::Addresses;
#[cfg(feature = "faults")]
pub use control::Switchboard;
pub use page::Page;
use socket::{Link, Socket};
pub use started::Started;
pub use tickets::Tickets;

/// What the handlers share.
pub struct Site {
    /// What the plane knows.
    pub state: Arc<State>,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Where sessions lead.
    pub gateway: Arc<dyn Gateway>,
    /// What starts and stops workspaces.
    pub power: Arc<dyn Power>,
    /// Where requests are noted.
    pub log: Arc<AccessLog>,
    /// Where the pages are.
    pub addresses: Addresses,
    /// `http://127.0.0.1:PORT`
    pub base: String,
    /// Whether the login page answers without asking.
    pub auto_authorize: bool,
    /// Whether tokens outlive the plane.
    pub keeps_state: bool,
    /// The login pages that are open.
    pub tickets: Tickets,
    /// The logins that `runcode login` has started.
    pub started: Started,
    /// What goes wrong on request.
    #[cfg(feature = "faults")]
    pub switchboard: Switchboard,
}

/// Answers requests until it is dropped.
pub async fn serve(site: Arc<Site>, listener: TcpListener) {
    let router = router(site).into_make_service_with_connect_info::<Link>();
    let _ = axum::serve(Socket::new(listener), router).await;
}

/// All routes.
fn router(site: Arc<Site>) -> Router {
    let Addresses { login, workspaces } = &site.addresses;
    let api = Router::new()
        .route("/workspaces", get(api::workspaces))
        .route("/workspace/start", get(api::start))
        .route("/workspace/stop", get(api::stop))
        .route("/workspace/{id}/ssh-session", post(api::ssh_session))
        .route("/logout", post(api::logout));
    let router = Router::new()
        .nest(API_PREFIX, api)
        .route(&format!("{login}{CLI_LOGIN_PATH}"), get(login_page::show).post(login_page::decide))
        .route(&format!("{login}{CLI_LOGIN_STARTED_PATH}"), post(login_page::started))
        .route(CLI_LOGIN_PATH, any(login_page::without_secret))
        .route(&format!("{workspaces}/w/{{title}}"), get(workspace_page::show));
    #[cfg(feature = "faults")]
    let router = router.route(&format!("/{}", site.switchboard.path), post(control::obey));
    router.fallback(answer::not_found).layer(from_fn_with_state(site.clone(), guard::guard)).with_state(site)
}
