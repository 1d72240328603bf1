//! The switchboard of whoever started the plane: faults at run time, under a path that only they know.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::Site;
use super::answer::{failure, success};
use crate::fault::{FaultRule, Faults};
use crate::state::Whose;

/// What goes wrong, and where it is ordered.
pub struct Switchboard {
    /// The rules in force.
    pub faults: Arc<Faults>,
    /// The path that takes orders, without a slash: a random name.
    pub path: String,
}

/// What is to happen.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(super) enum Order {
    /// Put these rules in the place of all others.
    SetFaults { faults: Vec<FaultRule> },
    /// Show another host key from now on.
    ChangeHostKey,
    /// Cut every SSH connection.
    CutConnections,
    /// Forget every session and end its connections.
    RevokeSessions,
}

pub(super) async fn obey(
    State(site): State<Arc<Site>>,
    order: Result<Json<Order>, JsonRejection>,
) -> Response {
    match order {
        Ok(Json(Order::SetFaults { faults })) => site.switchboard.faults.set(faults),
        Ok(Json(Order::ChangeHostKey)) => {
            if !site.gateway.change_host_key() {
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "No key could be made.");
            }
        }
        Ok(Json(Order::CutConnections)) => site.gateway.cut_connections(),
        Ok(Json(Order::RevokeSessions)) => {
            site.state.revoke_grants().await;
            site.gateway.end(Whose::Everybody, "the session was revoked").await;
        }
        Err(e) => return failure(StatusCode::BAD_REQUEST, &e.body_text()),
    }
    success(json!({}))
}
