//! How commands reach the workspace: one connection per session, kept by a master in the background, and two ways to use it.
//!
//! - `mux`: this process speaks OpenSSH's multiplexing protocol to the master itself. No `ssh` is started.
//! - `openssh`: the system's `ssh` does, one process per command. This is the way on Windows, where there are no masters
//!   and every command makes a connection of its own, and everywhere with `RUNCODE_TRANSPORT=openssh`.
//!
//! Both do the same as far as anybody can see. Control calls (alive, exit, forwards) speak the protocol either way.

#[cfg(unix)]
mod beside;
pub mod command;
mod connect_error;
pub mod contact;
#[cfg(unix)]
mod descriptors;
pub mod dial;
pub mod env_name;
#[cfg(unix)]
pub mod forward;
#[cfg(unix)]
mod full;
#[cfg(target_os = "linux")]
pub mod helper;
pub mod http_proxy;
mod late;
mod login_error;
mod lost;
#[cfg(unix)]
mod master;
#[cfg(unix)]
mod mux;
#[cfg(unix)]
mod mux_socket;
#[cfg(unix)]
pub mod mux_wire;
mod openssh;
mod outcome;
#[cfg(unix)]
mod pump;
pub mod quote;
pub mod relay;
pub mod remote_end;
#[cfg(unix)]
mod retired;
mod route;
mod running;
pub mod script;
mod second_look;
mod server_error;
mod snippet;
#[cfg(unix)]
pub mod spare;
mod start;
mod stream;

use std::path::Path;
use std::process::Command;
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::grant::Endpoint;
use crate::openssh::SshBinary;
#[cfg(unix)]
use crate::openssh::askpass::Askpass;
use crate::openssh::config::PRIVATE;
#[cfg(unix)]
use crate::openssh::external::OwnHost;
use crate::openssh::external::{self, Purpose};
use crate::openssh::question::Resolved;
use crate::sys::env::{Env, Var};
use crate::sys::interrupt::{Cancel, Interrupt};
use crate::transport::http_proxy::Proxy;
#[cfg(unix)]
use crate::transport::spare::Visit;

#[cfg(unix)]
pub use beside::Settled;
pub use command::{RemoteCommand, Secret, Variables};
pub use connect_error::SANDBOX_HINT;
pub use env_name::EnvName;
#[cfg(unix)]
pub use forward::{Forward, Open, Side};
pub use late::Late;
pub use login_error::login_required;
pub use openssh::own_connection;
pub use outcome::{Cause, Ended, Failure, Limits, TRIES, Unconnected, Unended, Unforwarded};
pub use route::{Bound, Route, Way};
pub use running::{Running, Signaller};
pub use server_error::{OpenedHop, OpenedServer, Opener};
pub use stream::{Stream, Streams};

/// What ssh writes when its `ProxyCommand` has ended. The command says why, but perhaps to a stderr that nobody reads.
const PROXY_ENDED: [&str; 2] = ["kex_exchange_identification: ", " by UNKNOWN port 65535"];

/// How long it may take to find out why.
const REDIAL: Duration = Duration::from_secs(5);

/// How long [`Transport::is_warm`] waits for an answer.
#[cfg(unix)]
const WARM: Duration = Duration::from_secs(2);

/// The longest that [`Transport::start_master`] takes: whoever holds a lock meanwhile is waited for so long.
pub const SLOWEST_START: Duration = SLOWEST[0];

/// The longest that [`Transport::end_master`] and [`Transport::retire_master`] take.
pub const SLOWEST_END: Duration = SLOWEST[1];

#[cfg(unix)]
const SLOWEST: [Duration; 2] = [master::SLOWEST_START, master::SLOWEST_END];
#[cfg(windows)]
const SLOWEST: [Duration; 2] = [Duration::ZERO; 2]; // there are no masters

/// Whether a transport has spare channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spares {
    /// No client uses spares for this session.
    #[default]
    Never,
    /// This client does not use spares (`RUNCODE_SPARE=off`), but others may.
    Off,
    /// This client uses spares.
    On,
}

/// The way to one workspace.
#[derive(Debug, Clone)]
pub struct Transport {
    route: Route,
    binary: SshBinary,
    through_ssh: bool,
    is_sandboxed: bool,
    proxy: Option<Proxy>,
    #[cfg_attr(windows, expect(dead_code, reason = "there are no masters"))]
    is_lasting: bool,
    #[cfg(unix)]
    spares: Spares,
    #[cfg(unix)]
    password: Option<Arc<Askpass>>,
    cancel: Cancel,
}

impl Transport {
    /// The way along `route`; touches nothing yet.
    pub fn new(route: Route, env: &Env) -> Transport {
        let proxy = route.gateway().and_then(|gateway| Proxy::to(gateway, env).ok().flatten());
        Transport {
            route,
            proxy,
            binary: SshBinary::from_env(env),
            through_ssh: cfg!(windows)
                || env.var(Var::RuncodeTransport).is_some_and(|value| value == "openssh"),
            is_sandboxed: env.var(Var::CodexSandboxNetworkDisabled).is_some(),
            is_lasting: false,
            #[cfg(unix)]
            spares: Spares::Never,
            #[cfg(unix)]
            password: None,
            cancel: Cancel::default(),
        }
    }

    /// The same way, whose connection stays without use.
    #[cfg(unix)]
    #[must_use]
    fn lasting(self) -> Transport {
        Transport { is_lasting: true, ..self }
    }

    /// The same transport, of a session that may have a spare channel.
    #[must_use]
    pub fn with_spares(self, spares: Spares) -> Transport {
        #[cfg(windows)]
        let _ = spares; // there are no masters
        Transport {
            #[cfg(unix)]
            spares,
            ..self
        }
    }

    /// The state of the session's spare.
    #[cfg(unix)]
    pub fn spare_state(&self) -> spare::State {
        spare::state(&self.route.folder)
    }

    /// The same transport, but its login asks for a password there, and its connection ends soon after its last use.
    #[cfg(unix)]
    #[must_use]
    pub fn with_password(self, password: Askpass) -> Transport {
        let mut password_transport = Transport { password: Some(Arc::new(password)), ..self };
        if let Way::Config { server: Some(server), .. } = &mut password_transport.route.way {
            server.by = Opener::Password;
        }
        password_transport
    }

    /// Whether a new connection is to stay without use: for forwards that were asked for.
    #[cfg(unix)]
    fn is_lasting(&self) -> bool {
        self.route.bound.is_none() && (self.is_lasting || self.route.folder.join(forward::KEPT).exists())
    }

    /// The same way, for commands that `cancel` interrupts.
    #[must_use]
    pub fn cancelled_by(self, cancel: Cancel) -> Transport {
        Transport { cancel, ..self }
    }

    /// Whether an `ssh` runs each command, and has its streams.
    pub fn is_through_ssh(&self) -> bool {
        self.through_ssh || self.route.control_path.is_none()
    }

    /// The proxy on the way to the gateway, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Whether a master is up and answers.
    pub fn is_warm(&self) -> bool {
        self.master_pid().is_some()
    }

    /// The process id of the master that answers. Forwards are gone when it is another one.
    pub fn master_pid(&self) -> Option<u32> {
        #[cfg(unix)]
        return self.route.control_path.as_deref().and_then(|path| master::alive(path, WARM).ok());
        #[cfg(windows)]
        None
    }

    /// Brings a master up, unless one is; does nothing where there are none. The caller holds the session's lock.
    pub fn start_master(&self) -> Result<(), Unconnected> {
        #[cfg(unix)]
        if let Some(path) = &self.route.control_path {
            if let Some(folder) = path.parent() {
                crate::sys::atomic_file::private_dir(folder).map_err(master::other)?; // a short one may be gone since
            }
            return master::start(self, path);
        }
        Ok(())
    }

    /// Has the person at this terminal log in, and so brings up a master that stays for `keep` seconds after its last use. One
    /// that is up takes nothing new. The caller holds the session's lock.
    #[cfg(unix)]
    pub fn log_in(&self, host: &OwnHost, keep: u32) -> Result<()> {
        let path = self.control_path()?;
        if let Some(folder) = path.parent() {
            crate::sys::atomic_file::private_dir(folder)?;
        }
        master::log_in(self, path, host, keep)
    }

    /// Ends the master, also one that no longer answers; returns when its process and socket are gone. None is fine.
    pub fn end_master(&self) -> Result<(), Unended> {
        #[cfg(unix)]
        if let Some(path) = &self.route.control_path {
            return master::end(self, path);
        }
        Ok(())
    }

    /// Lets the master finish what runs over it and take nothing new, so that the next one is made with what is valid now.
    /// None is fine.
    pub fn retire_master(&self) -> Result<()> {
        #[cfg(unix)]
        if let Some(path) = &self.route.control_path {
            return master::retire(self, path);
        }
        Ok(())
    }

    /// Whether the connection stays without use.
    #[cfg(unix)]
    pub fn lasts(&self) -> bool {
        self.route.control_path.as_deref().is_some_and(|path| master::lasts(self, path))
    }

    /// Puts a connection that stays without use in the place of this one, once `release` has ended what only one of the two
    /// can have. The caller holds the session's lock.
    #[cfg(unix)]
    pub fn let_last(&self, release: impl FnOnce()) -> Result<()> {
        full::replace_by_lasting(self, self.control_path()?, release)
    }

    /// Opens a forward, for as long as the master lives. One that is open already is fine. The protocol has no way to ask
    /// which are open.
    #[cfg(unix)]
    pub fn add_forward(&self, forward: &Forward) -> Result<forward::Open, Unforwarded> {
        forward::open(self.control_path()?, forward)
    }

    /// Closes a forward; whether there was one.
    #[cfg(unix)]
    pub fn cancel_forward(&self, forward: &Forward) -> Result<bool> {
        forward::close(self.control_path()?, forward)
    }

    #[cfg(unix)]
    fn control_path(&self) -> Result<&Path> {
        self.route.control_path.as_deref().ok_or_else(openssh::no_master)
    }

    /// Hands the terminal to `ssh`, for a login shell or for `command`; its exit status.
    pub fn exec_ssh(&self, command: Option<&RemoteCommand>) -> Result<u8> {
        let _claim = command
            .filter(|_| self.route.bound.is_some())
            .map(|it| lost::Claim::of(&self.route.folder, it.token()));
        #[cfg(unix)]
        let mut visit = Visit::of_terminal(self, command);
        let status = openssh::terminal(self, command);
        #[cfg(unix)]
        {
            visit.iter_mut().for_each(Visit::is_ending);
            visit.into_iter().for_each(Visit::finish);
        }
        status
    }

    /// Whether a command of a client on this machine runs over it, except one that ends at once.
    #[cfg(unix)]
    pub fn is_used(&self) -> bool {
        lost::is_used(&self.route.folder)
    }

    /// Ends every command of a client on this machine, for as long as `patience` lasts.
    #[cfg(unix)]
    pub fn end_commands(&self, patience: Duration) {
        lost::end_all(self, patience);
    }

    /// Why the login failed, from ssh's log or, if that is unclear, from a second look that takes at most `patience`.
    fn refusal(&self, log: &str, patience: Duration, interrupt: Option<&Interrupt>) -> Unconnected {
        if let (Some(proxy), Some(gateway)) = (&self.proxy, self.route.gateway())
            && PROXY_ENDED.iter().any(|said| log.contains(said))
            && let Err(error) = dial::dial(gateway, Some(proxy), patience.min(REDIAL))
        {
            return Unconnected { cause: Cause::Unreachable, error };
        }
        if let Way::Config { server: Some(server), .. } = &self.route.way {
            return server_error::of(log, server, self.is_sandboxed);
        }
        let quiet = second_look::is_needed(log).then(|| self.ssh_with(&second_look::QUIET, Purpose::Command));
        let second = quiet.and_then(Result::ok).and_then(|ssh| {
            second_look::log(ssh, self.route.destination(), &self.route.folder, patience, interrupt)
        });
        match &self.route.way {
            Way::Config { .. } => connect_error::of(second.as_deref().unwrap_or(log), self.is_sandboxed),
            Way::External(host) => login_error::of(log, second.as_deref(), host, self.is_sandboxed),
        }
    }

    /// Forgets the errors of an earlier ssh to a hop.
    fn forget_hops(&self) {
        if let Way::Config { server: Some(server), .. } = &self.route.way {
            server.hops.iter().for_each(OpenedHop::forget);
        }
    }

    /// `ssh`, set up for `purpose` on this route.
    fn ssh(&self, purpose: Purpose<'_>) -> Result<Command> {
        self.ssh_with(&[], purpose)
    }

    /// As [`Transport::ssh`], with `first` before all other arguments.
    fn ssh_with(&self, first: &[&str], purpose: Purpose<'_>) -> Result<Command> {
        self.ssh_at(&self.binary.find()?, first, purpose)
    }

    /// As [`Transport::ssh_with`], for the client at `program`.
    fn ssh_at(&self, program: &Path, first: &[&str], purpose: Purpose<'_>) -> Result<Command> {
        let mut ssh = Command::new(program);
        ssh.args(first);
        match (&self.route.way, purpose) {
            (Way::Config { config, .. }, _) => {
                ssh.arg("-F").arg(config);
                if let (Some(_), Some(gateway)) = (&self.proxy, self.route.gateway()) {
                    ssh.arg("-o").arg(format!("ProxyCommand={}", over_proxy(gateway)?));
                }
            }
            (Way::External(_), Purpose::Client { control_path }) => {
                ssh.args(external::over_master(control_path)?);
            }
            (Way::External(host), _) => {
                let user = Resolved::at(program, &host.place(), &host.destination)?;
                ssh.args(external::options(host, &user, purpose)?);
                if matches!(purpose, Purpose::Master { .. } | Purpose::Command) {
                    asks_nobody(&mut ssh);
                }
                without_our_variables(&mut ssh);
            }
        }
        ssh.env_remove(Var::RuncodeToken.name()); // a master lives long, and has no use for it
        Ok(ssh)
    }
}

/// The `ProxyCommand` for an ssh of ours to reach `gateway` through a proxy, if `env` names one for it.
pub fn proxy_command(gateway: &Endpoint, env: &Env) -> Result<Option<Vec<u8>>> {
    let proxy = Proxy::to(gateway, env).ok().flatten();
    proxy.map(|_| over_proxy(gateway).map(String::into_bytes)).transpose()
}

/// What ssh must run so that its connection takes the same way as ours.
fn over_proxy(gateway: &Endpoint) -> Result<String> {
    let own = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
    let own = own.to_str().ok_or_else(|| Error::new(Code::Io, "this program's path is not text"))?;
    let mut command = String::new(); // ssh puts `exec` before it
    if cfg!(windows) {
        command = format!("\"{own}\"");
    } else {
        runcode_text::sh_word(&mut command, own);
    }
    let (command, host, port) = (command.replace('%', "%%"), gateway.host.as_str(), gateway.port.number());
    Ok(format!("{command} proxy --to {host} --port {port}"))
}

/// Stops every ssh from asking. `BatchMode` does not reach the ssh of a `ProxyJump`, which would ask at the terminal; this makes
/// it put every question to a program that fails (ssh(1), since 8.4).
fn asks_nobody(ssh: &mut Command) {
    ssh.envs([("SSH_ASKPASS_REQUIRE", "force"), ("SSH_ASKPASS", "false")]);
}

/// The user's own config may send any variable (`SendEnv`), but the host must not receive ours.
fn without_our_variables(ssh: &mut Command) {
    let ours = Var::ALL.iter().map(|var| var.name()).filter(|name| name.starts_with("RUNCODE_"));
    for name in ours.chain([PRIVATE]) {
        ssh.env_remove(name);
    }
}
