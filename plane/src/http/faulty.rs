//! Answers that are wrong on purpose.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_core::Stream;
use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::failure;
use crate::fault::{Fault, merge};
use crate::visit::Visit;

/// The largest answer of ours.
const LIMIT: usize = 64 << 20;

/// Answers a request as the fault has it; `visit` is the connection.
pub(super) async fn answer(fault: Fault, visit: &Visit, request: Request, next: Next) -> Response {
    match fault {
        Fault::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
        Fault::Hang => std::future::pending().await,
        Fault::Drop => {
            visit.cut();
            StatusCode::NO_CONTENT.into_response()
        }
        Fault::Redirect { location } => match HeaderValue::from_str(&location) {
            Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
            Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "The fault's location is not one."),
        },
        Fault::Status { status, message } => failure(code(status), &message),
        Fault::Body { status, content_type, body } => {
            (code(status), [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        Fault::Lie { patch } => lie(next.run(request).await, &patch).await,
        Fault::Endless => {
            let answer = next.run(request).await;
            in_pieces(answer, |body, to| async move {
                // White space may stand after any JSON value: only a limit ends this.
                let mut piece = Ok(body);
                while to.send(piece).await.is_ok() {
                    piece = Ok(Bytes::from_static(&[b' '; 4096]));
                }
            })
            .await
        }
        Fault::Drip { ms } => {
            let answer = next.run(request).await;
            in_pieces(answer, move |body, to| async move {
                for at in 0..body.len() {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    if to.send(Ok(body.slice(at..=at))).await.is_err() {
                        break;
                    }
                }
            })
            .await
        }
        Fault::Truncate => {
            let answer = next.run(request).await;
            in_pieces(answer, |body, to| async move {
                let _ = to.send(Ok(body.slice(..body.len() / 2))).await;
                let _ = to.send(Err(io::ErrorKind::ConnectionAborted.into())).await;
            })
            .await
        }
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn lie(answer: Response, patch: &Value) -> Response {
    let (mut head, body) = answer.into_parts();
    let body = to_bytes(body, LIMIT).await.unwrap_or_default();
    let mut value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    merge(&mut value, patch);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(value.to_string()))
}

/// The same answer with a body that `send` gives piece by piece.
async fn in_pieces<F>(
    answer: Response,
    send: impl FnOnce(Bytes, mpsc::Sender<io::Result<Bytes>>) -> F,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let (mut head, body) = answer.into_parts();
    let body = to_bytes(body, LIMIT).await.unwrap_or_default();
    head.headers.remove(header::CONTENT_LENGTH);
    let (to, pieces) = mpsc::channel(1);
    tokio::spawn(send(body, to));
    Response::from_parts(head, Body::from_stream(Pieces(pieces)))
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
