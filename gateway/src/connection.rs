//! One client's connection: its login and its channels.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portable_pty::PtySize;
use runcode_plane::{Grant, Workspace};
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use serde_json::json;
use ssh_key::Certificate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::channel::Line;
use crate::forward::Listeners;
use crate::gate::Gate;
use crate::open_channel::OpenChannel;
use crate::ssh_gateway::SshGateway;
use crate::workspace::{Login, TerminalRequest};
use crate::{login, relay, sftp};

/// How many channels a client may have open at once.
const MAX_CHANNELS: usize = 1000;
/// How long a connection to where a channel shall lead may take.
const CONNECT_TIME: Duration = Duration::from_secs(60);

pub(crate) struct Connection {
    gateway: Arc<SshGateway>,
    id: u64,
    peer: SocketAddr,
    gate: Arc<Gate>,
    login: Option<(Workspace, Grant)>,
    handle: Option<Handle>,
    channels: HashMap<ChannelId, OpenChannel>,
    listeners: Option<Listeners>,
}

impl Connection {
    pub(crate) fn new(gateway: Arc<SshGateway>, id: u64, peer: SocketAddr, gate: Arc<Gate>) -> Self {
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
        self.channels.insert(id, OpenChannel::new(line.clone()));
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
        let login = Login { dir: workspace.dir.clone(), client: self.peer, gateway: self.gateway.address };
        let started = open.start(login, command, workspace.id, &self.gateway.processes);
        self.gateway.log.write(
            "ssh-start",
            json!({
                "connection": self.id,
                "workspace": workspace.title,
                "terminal": open.has_terminal(),
                "failed": started.as_ref().err().map(ToString::to_string),
            }),
        );
        started.is_ok()
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
        let known = login::is_known(&self.gateway.state, user, offer.public_key.key_data()).await;
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let login = login::by_key(&self.gateway.state, user, key.public_key.key_data()).await;
        Ok(self.decide(login))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        let login =
            login::by_certificate(&self.gateway.state, &self.gateway.authority, user, certificate).await;
        Ok(self.decide(login))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        let handle = session.handle();
        if let Some((workspace, grant)) = &self.login {
            self.gateway.logged_in(self.id, grant, handle.clone()).await;
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
        let open = self.channels.get_mut(&channel);
        answer(session, channel, open.is_some_and(|open| open.set_variable(name, value)))
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
        let terminal = TerminalRequest {
            term: term.to_owned(),
            size: size(columns, rows, width, height),
            modes: modes.iter().map(|(mode, value)| (*mode as u8, *value)).collect(),
        };
        let open = self.channels.get_mut(&channel);
        answer(session, channel, open.is_some_and(|open| open.set_terminal(terminal)))
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
        let size = size(columns, rows, width, height);
        let open = self.channels.get(&channel);
        answer(session, channel, open.is_some_and(|open| open.resize(size)))
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
        if let Some(open) = self.channels.get(&channel) {
            open.signal(&signal_name(&signal));
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let open = self.channels.get(&channel).filter(|open| name == "sftp" && open.is_free());
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
