//! The API calls of the wire contract.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::answer::{failure, logged_out, refusal, success};
use super::{Site, bundle};
use crate::state::{Refusal, Whose};
use runcode_wire::{MAX_WORKSPACE_ID, SessionRequest};

/// The user that a request's token belongs to.
pub(super) struct Caller {
    user: String,
    token: String,
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let token = token_of(&parts.headers);
        match site.state.user_of(token).await {
            Ok(Some(user)) => Ok(Caller { user, token: token.to_owned() }),
            Ok(None) => Err(logged_out()),
            Err(error) => Err(refusal(error.into())),
        }
    }
}

/// The token of a request; empty when there is none, or more than one.
pub(super) fn token_of(headers: &HeaderMap) -> &str {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => value.strip_prefix("Token ").unwrap_or_default().trim(),
        _ => "",
    }
}

#[derive(Deserialize)]
pub(super) struct Category {
    category: Option<String>,
}

pub(super) async fn workspaces(
    caller: Caller,
    State(site): State<Arc<Site>>,
    query: Result<Query<Category>, QueryRejection>,
) -> Response {
    let category = query.ok().and_then(|Query(query)| query.category).unwrap_or_else(|| "active".to_owned());
    let shared = match category.as_str() {
        "active" => false,
        "shared" => true,
        _ => return failure(StatusCode::BAD_REQUEST, "The category is neither `active` nor `shared`."),
    };
    match site.state.list(&caller.user, shared).await {
        Ok(workspaces) => success(json!({ "data": { "workspaces": workspaces } })),
        Err(error) => refusal(error.into()),
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    workspace_id: u64,
}

/// The id of a query, or the answer that it is none.
fn which(query: Result<Query<Which>, QueryRejection>) -> Result<u64, Box<Response>> {
    match query {
        Ok(Query(Which { workspace_id })) if workspace_id <= MAX_WORKSPACE_ID => Ok(workspace_id),
        _ => Err(Box::new(failure(
            StatusCode::BAD_REQUEST,
            "`workspace_id` is missing or not a workspace's id.",
        ))),
    }
}

pub(super) async fn start(
    caller: Caller,
    State(site): State<Arc<Site>>,
    query: Result<Query<Which>, QueryRejection>,
) -> Response {
    let id = match which(query) {
        Ok(id) => id,
        Err(answer) => return *answer,
    };
    let started = carried_through(async move {
        let workspace = site.state.workspace(&caller.user, id).await?;
        let delay = site.power.start(&workspace).await?;
        site.state.start(&caller.user, id, delay).await
    });
    answer(started.await)
}

pub(super) async fn stop(
    caller: Caller,
    State(site): State<Arc<Site>>,
    query: Result<Query<Which>, QueryRejection>,
) -> Response {
    let id = match which(query) {
        Ok(id) => id,
        Err(answer) => return *answer,
    };
    let stopped = carried_through(async move {
        let workspace = site.state.workspace(&caller.user, id).await?;
        let delay = site.power.stop(&workspace).await?;
        site.state.stop(&caller.user, id, delay).await?;
        site.gateway.end(Whose::Workspace(id), "the workspace was stopped").await;
        site.power.end_processes(&workspace).await;
        Ok(())
    });
    answer(stopped.await)
}

pub(super) async fn ssh_session(
    caller: Caller,
    State(site): State<Arc<Site>>,
    id: Result<Path<u64>, PathRejection>,
    body: Result<Json<SessionRequest>, JsonRejection>,
) -> Response {
    let Ok(Path(id)) = id else {
        return failure(StatusCode::NOT_FOUND, "There is no such workspace.");
    };
    let Ok(Json(request)) = body else {
        return failure(StatusCode::BAD_REQUEST, "The body is not a session request.");
    };
    let Ok(key) = ssh_key::PublicKey::from_openssh(request.public_key.trim()) else {
        return failure(StatusCode::BAD_REQUEST, "`public_key` is not an OpenSSH public key.");
    };
    if key.algorithm() != ssh_key::Algorithm::Ed25519 {
        return failure(StatusCode::BAD_REQUEST, "`public_key` is not an ssh-ed25519 key.");
    }
    if request.ttl == 0 {
        return failure(StatusCode::BAD_REQUEST, "`ttl` is zero.");
    }
    let ttl = Duration::from_secs(request.ttl);
    match site.state.grant(&caller.token, id, key.key_data().clone(), ttl, &request.client).await {
        Ok((workspace, grant)) => {
            site.log.write(
                "session",
                json!({ "workspace": workspace.title, "user": grant.user, "client": grant.client, "serial": grant.serial }),
            );
            match bundle::bundle(&site, &workspace, &grant) {
                Ok(bundle) => success(json!({ "bundle": bundle })),
                Err(_) => failure(StatusCode::BAD_REQUEST, "A certificate cannot express what was asked."),
            }
        }
        Err(reason) => refusal(reason),
    }
}

/// Beyond the contract: forgets the token and ends the sessions of its user.
pub(super) async fn logout(caller: Caller, State(site): State<Arc<Site>>) -> Response {
    let ended = carried_through(async move {
        site.state.revoke_token(&caller.token).await;
        site.gateway.end(Whose::User(caller.user), "logged out").await;
        Ok(())
    });
    answer(ended.await)
}

fn answer(done: Result<(), Refusal>) -> Response {
    match done {
        Ok(()) => success(json!({})),
        Err(reason) => refusal(reason),
    }
}

/// Does what was begun, also when whoever asked for it hangs up: that drops the request's own future.
async fn carried_through(
    work: impl Future<Output = Result<(), Refusal>> + Send + 'static,
) -> Result<(), Refusal> {
    tokio::spawn(work).await.unwrap_or(Ok(()))
}
