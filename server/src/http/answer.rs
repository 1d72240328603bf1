//! Answers, as the contract has them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::off;
use crate::failure::{Failure, Kind};
use crate::site::Site;
use crate::store::within;

/// `fields` beside `"error": false`.
pub(super) fn success(fields: Value) -> Response {
    let mut body = json!({ "error": false });
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    reply(StatusCode::OK, &body)
}

/// What a failure looks like on the wire.
pub(super) fn failure(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "error": true, "message": failure.message, "code": failure.kind.code() });
    let mut answer = reply(status, &body);
    if let Some(seconds) = retry_after(failure.kind) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    answer
}

/// When to come again.
pub(super) fn retry_after(kind: Kind) -> Option<&'static str> {
    match kind.status() {
        429 => Some("60"),
        503 => Some("2"),
        _ => None,
    }
}

/// A refusal in the words of the contract's power calls, whose HTTP status is 200.
pub(super) fn refusal(message: &str) -> Response {
    reply(StatusCode::OK, &json!({ "error": true, "message": message }))
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, Json(body)).into_response()
}

/// Whether it can do its work, with the name of what it lacks.
pub(super) async fn readiness(State(site): State<Arc<Site>>) -> Response {
    if site.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    let asked = off(&site, |site| within(&*site.store, |step| step.row("SELECT 1", &[])));
    match tokio::time::timeout(std::time::Duration::from_secs(1), asked).await {
        Ok(Ok(_)) => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "database\n").into_response(),
    }
}
