//! The listening socket and every connection behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "faults")]
use runcode_plane::Fault;
use runcode_plane::{Entrance, Visit};
use russh::server::run_stream;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::gate::{Gate, Gated};
use crate::ssh_gateway::SshGateway;

/// How long a client has to log in: sshd_config(5), LoginGraceTime. Nobody is asked for anything meanwhile.
const LOGIN_GRACE: Duration = Duration::from_secs(60);
/// How many clients of this user may be logging in at once: sshd_config(5), MaxStartups.
const MAX_STARTUPS: usize = 100;

/// Accepts connections until it is dropped; they go with it.
pub(crate) async fn serve(gateway: Arc<SshGateway>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let entrance = Entrance::new(MAX_STARTUPS, LOGIN_GRACE);
    loop {
        tokio::select! {
            (socket, peer, visit) = entrance.next(&listener) => {
                connections.spawn(connection(gateway.clone(), socket, peer, visit));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(gateway: Arc<SshGateway>, socket: TcpStream, peer: SocketAddr, visit: Arc<Visit>) {
    let id = gateway.enter(visit.clone());
    gateway.log.write("ssh-open", json!({ "connection": id, "peer": peer.to_string() }));
    let ended = session(&gateway, socket, peer, id, visit.clone()).await;
    visit.cut();
    gateway.leave(id);
    gateway.log.write("ssh-close", json!({ "connection": id, "reason": ended.err().map(|e| e.to_string()) }));
}

async fn session(
    gateway: &Arc<SshGateway>,
    socket: TcpStream,
    peer: SocketAddr,
    id: u64,
    visit: Arc<Visit>,
) -> Result<(), russh::Error> {
    #[cfg(feature = "faults")]
    match gateway.faults.on_ssh() {
        Some(Fault::Drop) => return Ok(()),
        Some(Fault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(Fault::Hang) => std::future::pending().await,
        _ => {}
    }
    let gate = Arc::new(Gate::new(visit));
    let handler = Connection::new(gateway.clone(), id, peer, gate.clone());
    run_stream(gateway.config(), Gated::new(socket, gate), handler).await?.await
}
