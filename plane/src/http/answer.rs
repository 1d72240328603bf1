//! Answers, as the wire contract has them.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::state::Refusal;

/// A successful answer: `fields` beside `"error": false`.
pub(super) fn success(fields: Value) -> Response {
    let mut body = json!({ "error": false });
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    reply(StatusCode::OK, body)
}

/// An answer with a status of its own and a message for people.
pub(super) fn failure(status: StatusCode, message: &str) -> Response {
    reply(status, json!({ "error": true, "message": message }))
}

/// What a refusal looks like on the wire.
pub(super) fn refusal(refusal: Refusal) -> Response {
    match refusal {
        Refusal::LoggedOut => logged_out(),
        Refusal::NotFound => failure(StatusCode::NOT_FOUND, "There is no such workspace."),
        Refusal::Forbidden => failure(StatusCode::FORBIDDEN, "This workspace has no SSH."),
        Refusal::NotRunning => failure(StatusCode::CONFLICT, "The workspace is not running."),
        Refusal::TooMany => {
            let mut answer =
                failure(StatusCode::TOO_MANY_REQUESTS, "Too many sessions, try again in a minute.");
            answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("60"));
            answer
        }
        Refusal::Unavailable => {
            failure(StatusCode::SERVICE_UNAVAILABLE, "SSH is not enabled on this server.")
        }
        Refusal::Store(_) => {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "The server could not read or write its state.")
        }
        Refusal::Said(message) => failure(StatusCode::OK, &message),
    }
}

/// 401 for a token that is none.
pub(super) fn logged_out() -> Response {
    failure(StatusCode::UNAUTHORIZED, "The token is missing or not valid. Please log in.")
}

/// 404 for a path that nothing serves.
pub(super) async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "There is nothing here.")
}

fn reply(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
