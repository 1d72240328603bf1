//! Connections: how many, how long their headers may take, how they end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::guard::Peer;
use super::{Tls, router};
use crate::core::{blocks, links};
use crate::site::Site;
use crate::store::within;

/// How many connections there may be.
const CONNECTIONS: u32 = 4096;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);
/// How large a request's head may be.
const MAX_HEAD: usize = 16 * 1024;
/// How long new requests are still served after the first signal.
const LATE: Duration = Duration::from_secs(5);
/// How long those in flight are waited for.
const IN_FLIGHT: Duration = Duration::from_secs(20);
/// How often the audit is sealed.
const SEAL: Duration = Duration::from_secs(1);
/// How often what has ended is forgotten.
const PURGE: u64 = 600;

/// Serves until SIGTERM or SIGINT, and then what is in flight.
///
/// # Errors
/// When signals cannot be waited for.
pub(crate) async fn serve(site: Arc<Site>, listener: TcpListener, tls: Option<Tls>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let router = router(&site);
    let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let (end, ending) = watch::channel(false);
    let tls = tls.map(Arc::new);
    let housekeeping = tokio::spawn(keep_house(site.clone(), tls.clone()));
    let mut last_call: Option<Instant> = None;
    loop {
        let deadline = last_call.unwrap_or_else(|| Instant::now() + Duration::from_secs(86400));
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // One too many is closed at once: waiting would only hide it.
                    if let Ok(place) = places.clone().try_acquire_owned() {
                        let (router, ending) = (router.clone(), ending.clone());
                        let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.current()));
                        tokio::spawn(async move {
                            let _ = stream.set_nodelay(true);
                            match tls {
                                None => connection(stream, Peer(peer), router, ending).await,
                                Some(tls) => {
                                    if let Ok(Ok(stream)) = timeout(HEAD, tls.accept(stream)).await {
                                        connection(stream, Peer(peer), router, ending).await;
                                    }
                                }
                            }
                            drop(place);
                        });
                    }
                }
                // Out of descriptors, most likely.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = terminated.recv() => {
                if last_call.is_some() {
                    break;
                }
                site.draining.store(true, Ordering::Relaxed);
                last_call = Some(Instant::now() + LATE);
            }
            // Somebody at a terminal does not wait.
            _ = interrupted.recv() => break,
            () = tokio::time::sleep_until(deadline) => if last_call.is_some() { break },
        }
    }
    drop(listener);
    let _ = end.send(true);
    tokio::select! {
        _ = timeout(IN_FLIGHT, places.acquire_many(CONNECTIONS)) => {}
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    housekeeping.abort();
    let last = site.clone();
    let _ =
        tokio::task::spawn_blocking(move || within(&*last.store, |step| blocks::seal(step, &last.audit_key)))
            .await;
    Ok(())
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    router: Router,
    mut ending: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer =
            TowerToHyperService::new(router.clone()).call(request.map(axum::body::Body::new) as Request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD).max_headers(100);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = ending.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Seals the audit, forgets what has ended, and looks for a new certificate.
async fn keep_house(site: Arc<Site>, tls: Option<Arc<Tls>>) {
    let mut rounds = 0;
    loop {
        tokio::time::sleep(SEAL).await;
        let (site, tls) = (site.clone(), tls.clone());
        let is_purge = rounds % PURGE == 0;
        rounds += 1;
        let _ = tokio::task::spawn_blocking(move || {
            if let Some(tls) = &tls {
                tls.refresh();
            }
            within(&*site.store, |step| {
                if is_purge {
                    links::purge(step)?;
                }
                blocks::seal(step, &site.audit_key)
            })
        })
        .await;
    }
}
