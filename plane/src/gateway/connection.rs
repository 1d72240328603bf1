//! One client's connection: its login and its channels.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portable_pty::PtySize;
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use serde_json::json;
use ssh_key::Certificate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::channel::Line;
use super::forward::Listeners;
use super::gate::Gate;
use super::listener::Gateway;
use super::{login, relay, run, sftp};
use crate::state::{Grant, Workspace};
use crate::workspace::{self, Invocation, Login, Terminal, TerminalRequest};

/// How many channels a client may have open at once.
const MAX_CHANNELS: usize = 1000;
/// How long a connection to where a channel shall lead may take.
const CONNECT_TIME: Duration = Duration::from_secs(60);
/// How many variables a client may set for one command.
const MAX_VARIABLES: usize = 64;

pub(super) struct Connection {
    gateway: Arc<Gateway>,
    id: u64,
    peer: SocketAddr,
    gate: Arc<Gate>,
    login: Option<(Workspace, Grant)>,
    handle: Option<Handle>,
    channels: HashMap<ChannelId, Open>,
    listeners: Option<Listeners>,
}

/// A channel, and on a session channel what the client prepared and runs there.
struct Open {
    line: Line,
    variables: Vec<(String, String)>,
    terminal: Option<TerminalRequest>,
    running: Option<Running>,
}

struct Running {
    session: workspace::Session,
    terminal: Option<Arc<Terminal>>,
}

impl Connection {
    pub(super) fn new(gateway: Arc<Gateway>, id: u64, peer: SocketAddr, gate: Arc<Gate>) -> Self {
        Connection {
            gateway,
            id,
            peer,
            gate,
            login: None,
            handle: None,
            channels: HashMap::new(),
            listeners: None,
        }
    }

    fn decide(&mut self, login: Option<(Workspace, Grant)>) -> Auth {
        match login {
            Some(login) => {
                self.login = Some(login);
                Auth::Accept
            }
            None => Auth::reject(),
        }
    }

    /// Takes a channel in; `None` when there are too many.
    fn open(&mut self, channel: Channel<Msg>) -> Option<Line> {
        self.channels.retain(|_, open| !open.line.is_closed());
        if self.channels.len() >= MAX_CHANNELS {
            return None;
        }
        let id = channel.id();
        let line = Line::new(channel, self.handle.clone()?, self.gate.clone());
        let open = Open { line: line.clone(), variables: Vec::new(), terminal: None, running: None };
        self.channels.insert(id, open);
        Some(line)
    }

    /// Accepts a channel once what it shall lead to is there, and relays.
    async fn forward<S>(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        connect: impl Future<Output = std::io::Result<S>> + Send + 'static,
    ) where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Some(line) = self.open(channel) else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        tokio::spawn(async move {
            match tokio::time::timeout(CONNECT_TIME, connect).await {
                Ok(Ok(socket)) => {
                    reply.accept().await;
                    relay::relay(line, socket).await;
                }
                _ => {
                    reply.reject(ChannelOpenFailure::ConnectFailed).await;
                    line.forget();
                }
            }
        });
    }

    /// Starts a command or a shell; false when the channel cannot have one.
    fn start(&mut self, channel: ChannelId, command: Option<Vec<u8>>) -> bool {
        let (Some((workspace, _)), Some(open)) = (&self.login, self.channels.get_mut(&channel)) else {
            return false;
        };
        if open.running.is_some() || command.as_ref().is_some_and(|command| command.contains(&0)) {
            return false;
        }
        let login = Login { dir: workspace.dir.clone(), client: self.peer, gateway: self.gateway.address };
        let invocation = Invocation { login, variables: std::mem::take(&mut open.variables), command };
        let processes = self.gateway.processes.clone();
        let line = open.line.clone();
        let started = match &open.terminal {
            None => workspace::spawn(&invocation).map(|child| {
                let session = processes.started(child.id().unwrap_or_default(), workspace.id);
                tokio::spawn(run::piped(line, child, session, processes));
                Running { session, terminal: None }
            }),
            Some(request) => workspace::spawn_in_terminal(&invocation, request).map(|(terminal, ends)| {
                let session = processes.started(terminal.leader, workspace.id);
                let terminal = Arc::new(terminal);
                tokio::spawn(run::in_terminal(line, terminal.clone(), ends, session, processes));
                Running { session, terminal: Some(terminal) }
            }),
        };
        self.gateway.log.write(
            "ssh-start",
            json!({
                "connection": self.id,
                "workspace": workspace.title,
                "terminal": open.terminal.is_some(),
                "failed": started.as_ref().err().map(|e| e.to_string()),
            }),
        );
        open.running = started.ok();
        open.running.is_some()
    }
}

fn answer(session: &mut Session, channel: ChannelId, granted: bool) -> Result<(), russh::Error> {
    if granted { session.channel_success(channel) } else { session.channel_failure(channel) }
}

fn size(columns: u32, rows: u32, width: u32, height: u32) -> PtySize {
    let short = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    PtySize {
        cols: short(columns),
        rows: short(rows),
        pixel_width: short(width),
        pixel_height: short(height),
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let known = login::is_known(&self.gateway.state, user, offer.public_key.key_data());
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let login = login::by_key(&self.gateway.state, user, key.public_key.key_data());
        Ok(self.decide(login))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        let login = login::by_certificate(&self.gateway.state, &self.gateway.authority, user, certificate);
        Ok(self.decide(login))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        let handle = session.handle();
        if let Some((workspace, grant)) = &self.login {
            self.gateway.logged_in(self.id, grant.serial, workspace.id, handle.clone());
            self.gateway.log.write(
                "ssh-login",
                json!({
                    "connection": self.id,
                    "workspace": workspace.title,
                    "user": grant.user,
                    "client": grant.client,
                    "serial": grant.serial,
                }),
            );
        }
        self.listeners = Some(Listeners::new(handle.clone(), self.gate.clone()));
        self.handle = Some(handle);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.open(channel) {
            Some(_) => reply.accept().await,
            None => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let open = self.channels.get_mut(&channel).filter(|open| open.variables.len() < MAX_VARIABLES);
        let accepted = open.filter(|_| workspace::accepts_variable(name, value));
        let granted = accepted.map(|open| open.variables.push((name.to_owned(), value.to_owned()))).is_some();
        answer(session, channel, granted)
    }

    #[allow(clippy::too_many_arguments)] // the library's signature
    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let open = self.channels.get_mut(&channel).filter(|open| open.running.is_none());
        let granted = open.map(|open| {
            open.terminal = Some(TerminalRequest {
                term: term.to_owned(),
                size: size(columns, rows, width, height),
                modes: modes.iter().map(|(mode, value)| (*mode as u8, *value)).collect(),
            });
        });
        answer(session, channel, granted.is_some())
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let running = self.channels.get(&channel).and_then(|open| open.running.as_ref());
        let terminal = running.and_then(|running| running.terminal.as_ref());
        answer(session, channel, terminal.map(|t| t.resize(size(columns, rows, width, height))).is_some())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let started = self.start(channel, Some(command.to_vec()));
        answer(session, channel, started)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let started = self.start(channel, None);
        answer(session, channel, started)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(running) = self.channels.get(&channel).and_then(|open| open.running.as_ref()) {
            running.session.signal(&signal_name(&signal));
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let open = self.channels.get(&channel).filter(|open| name == "sftp" && open.running.is_none());
        let served = open.zip(self.login.as_ref()).is_some_and(|(open, (workspace, _))| {
            sftp::serve(open.line.clone(), workspace.dir.clone()).is_ok()
        });
        answer(session, channel, served)
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (host, port) = (host.to_owned(), u16::try_from(port).unwrap_or_default());
        let connect = async move {
            let socket = TcpStream::connect((host, port)).await?;
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        self.forward(channel, reply, connect).await;
        Ok(())
    }

    #[cfg(unix)]
    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let connect = tokio::net::UnixStream::connect(path.to_owned());
        self.forward(channel, reply, connect).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let Some(listeners) = &mut self.listeners else { return Ok(false) };
        let opened = listeners.open_port(address, *port).await;
        *port = opened.as_ref().copied().unwrap_or_default();
        Ok(opened.is_ok())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.listeners.as_mut().is_some_and(|listeners| listeners.close_port(address, port)))
    }

    #[cfg(unix)]
    async fn streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.listeners.as_mut().is_some_and(|listeners| listeners.open_socket(path).is_ok()))
    }

    #[cfg(unix)]
    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.listeners.as_mut().is_some_and(|listeners| listeners.close_socket(path)))
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}

fn signal_name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
