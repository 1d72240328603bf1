//! A probe connection to one of the user's own hosts: which host keys it shows, and whether it lets the user in. It has no
//! master and no session, and leaves nothing behind.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::grant::{SIGNING, ServerPin, pinned_type};
use crate::openssh::SshBinary;
use crate::openssh::external::{self, OwnHost, Purpose};
use crate::openssh::log::{Log, Through};
use crate::openssh::login::{self, Refusal};
use crate::openssh::question::Resolved;
use crate::sys::atomic_file;
use crate::sys::env::{Env, Var};
use crate::sys::interrupt::{Cancel, Interrupt};
use crate::sys::subprocess::{self, Finished, Outcome};
use crate::transport::server_error::failure_of;
use crate::transport::{OpenedHop, asks_nobody, login_error, second_look, without_our_variables};

/// How long one may take: `ConnectTimeout` is 15 s, and keys are exchanged after that.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of what the host's shell prints is kept, in bytes.
const MAX_NOISE: usize = 4096;

/// A host, ready to be contacted.
#[derive(Debug)]
pub struct Contact {
    host: OwnHost,
    program: PathBuf,
    user: Resolved,
    is_sandboxed: bool,
    /// The way through others, if there are any.
    through: Option<OnTheWay>,
}

/// The way to a host through others.
#[derive(Debug)]
pub struct OnTheWay {
    /// The `ProxyCommand`.
    pub command: OsString,
    /// The hops.
    pub hops: Vec<OpenedHop>,
}

/// How a connection ended, and what ssh wrote of it.
struct Ended {
    finished: Finished,
    log: String,
}

impl Contact {
    /// Asks ssh what the user's config says about the host, without connecting.
    pub fn new(host: OwnHost, env: &Env) -> Result<Contact> {
        let program = SshBinary::from_env(env).find()?;
        let user = Resolved::at(&program, &host.place(), &host.destination)?;
        let is_sandboxed = env.var(Var::CodexSandboxNetworkDisabled).is_some();
        Ok(Contact { host, program, user, is_sandboxed, through: None })
    }

    /// The same host, reached through others.
    #[must_use]
    pub fn through(self, way: OnTheWay) -> Contact {
        Contact { through: Some(way), ..self }
    }

    /// What the user's config says about the host.
    pub fn user(&self) -> &Resolved {
        &self.user
    }

    /// The host keys, one of each type, that whoever answers there shows now. It does not log in, and accepts no key for the
    /// user.
    pub fn host_keys(&self) -> Result<Vec<ServerPin>> {
        let folder = atomic_file::temporary_dir("runcode-")?;
        let mut host = self.host.clone();
        if let Some(server) = &mut host.server {
            server.host_keys = None; // accept any
        }
        let mut left = algorithms(&self.user);
        let mut keys: Vec<ServerPin> = Vec::new();
        while !left.is_empty() {
            let known_hosts = folder.path().join(format!("known_hosts-{}", keys.len()));
            let options = external::taking_any_host_key(&self.user, &left, &known_hosts)?;
            let ended = self.connect(&host, &options, folder.path())?;
            let Some(key) = noted(&known_hosts)? else {
                if !keys.is_empty() && login::refusal(&ended.log) == Refusal::NoCommonAlgorithm {
                    break; // it has no more keys
                }
                return Err(self.refused(&ended.log, &host, &options, folder.path()));
            };
            let before = left.len();
            left.retain(|algorithm| pinned_type(algorithm) != Some(key.key_type()));
            if left.len() == before {
                return Err(Error::new(
                    Code::Error,
                    "ssh accepted a host key of a type that it was told to refuse",
                ));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => {
                let error =
                    format!("your ssh accepts no host key from `{}` that can be pinned", self.host.name());
                Err(Error::new(Code::Unavailable, error)
                    .hint("check `HostKeyAlgorithms` in its config; to pin an authority, write \"@cert-authority KEY\""))
            }
            _ => Ok(keys),
        }
    }

    /// Logs in as a command would, runs a command that does nothing, and returns what the host's shell prints unasked.
    pub fn log_in(&self) -> Result<String> {
        let folder = atomic_file::temporary_dir("runcode-")?;
        let mut host = self.host.clone();
        host.known_hosts = folder.path().join("known_hosts");
        if let Some(pins) = host.server.as_ref().and_then(|server| server.host_keys.as_ref()) {
            let text = pins.known_hosts(host.destination.host());
            atomic_file::write_unsynced(&host.known_hosts, text.as_bytes(), 0o600)?;
        }
        let ended = self.connect(&host, &[], folder.path())?;
        match ended.finished.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&ended.finished.stdout).trim().to_owned()),
            Some(255) | None => Err(self.refused(&ended.log, &host, &[], folder.path())),
            Some(_) => {
                let name = self.host.name();
                let error = format!("`{name}` accepts the login, but its shell runs no commands");
                Err(Error::new(Code::Transport, error)
                    .hint(format!("see what `ssh {} true` says", self.host.shown())))
            }
        }
    }

    /// Why the login failed, from ssh's log or, if that is unclear, from a second look.
    fn refused(&self, log: &str, host: &OwnHost, first: &[OsString], folder: &Path) -> Error {
        let on_the_way =
            self.through.as_ref().and_then(|it| failure_of(&it.hops, self.host.name(), self.is_sandboxed));
        if let Some(failed) = on_the_way {
            return failed.error;
        }
        let second = second_look::is_needed(log).then(|| {
            let quiet = second_look::QUIET.map(OsString::from);
            let ssh = self.ssh(host, &[&quiet, first].concat()).ok()?;
            second_look::log(ssh, host.destination.as_str(), folder, PATIENCE, None)
        });
        login_error::of(log, second.flatten().as_deref(), &self.host, self.is_sandboxed).error
    }

    /// `ssh` with `first` before all other options, without its destination.
    fn ssh(&self, host: &OwnHost, first: &[OsString]) -> Result<Command> {
        let mut ssh = Command::new(&self.program);
        if let Some(way) = &self.through {
            let mut option = OsString::from("ProxyCommand=");
            option.push(&way.command);
            ssh.arg("-o").arg(option);
        }
        ssh.args(first).args(external::options(host, &self.user, Purpose::Command)?);
        asks_nobody(&mut ssh);
        without_our_variables(&mut ssh);
        Ok(ssh)
    }

    /// Runs ssh with `first` before all other options. Its log is separate from the messages of a jump host's ssh.
    fn connect(&self, host: &OwnHost, first: &[OsString], folder: &Path) -> Result<Ended> {
        let io = |error| Error::io("run ssh", error);
        let log = RefCell::new(Log::create(folder, Through::Master).map_err(io)?);
        let mut ssh = self.ssh(host, first)?;
        ssh.args(["-T", "-v", "-E"]).arg(log.borrow().path());
        ssh.arg("--").arg(host.destination.as_str()).arg("exit 0");
        let interrupt = Interrupt::of_command(&Cancel::default())?;
        let is_cancelled = || {
            let _ = log.borrow_mut().read(); // so that it stays small
            interrupt.has_any()
        };
        let outcome = subprocess::run_unless(&mut ssh, PATIENCE, MAX_NOISE, &is_cancelled).map_err(io)?;
        let finished = match outcome {
            Outcome::Finished(finished) => {
                interrupt.let_pass();
                finished
            }
            Outcome::Cancelled => {
                interrupt.take();
                return Err(Error::interrupted());
            }
            Outcome::TimedOut => {
                interrupt.let_pass();
                let error = format!("`{}` has not answered for {} s", host.name(), PATIENCE.as_secs());
                return Err(
                    Error::new(Code::Transport, error).hint(format!("see what `ssh {}` says", host.shown()))
                );
            }
        };
        let mut log = log.into_inner();
        log.read().map_err(io)?;
        Ok(Ended { finished, log: log.reasons().to_owned() })
    }
}

/// The algorithms of the host keys that the user's ssh accepts and that can be pinned, preferred ones first.
fn algorithms(user: &Resolved) -> Vec<String> {
    let usual = SIGNING.join(",");
    let listed = user.value("hostkeyalgorithms").unwrap_or(&usual);
    listed.split(',').filter(|name| pinned_type(name).is_some()).map(str::to_owned).collect()
}

/// The host key that ssh wrote there, if it got that far.
fn noted(known_hosts: &Path) -> Result<Option<ServerPin>> {
    let Some(bytes) = atomic_file::read(known_hosts, 64 * 1024)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let Some((_, key)) = text.lines().next().and_then(|line| line.split_once(' ')) else { return Ok(None) };
    let key = ServerPin::parse(key)
        .map_err(|why| Error::new(Code::Error, format!("the host key that ssh has noted {why}")))?;
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_by_the_users_algorithms() {
        let user = |line: &str| Resolved::from_lines(vec![line.to_owned()]);
        let listed = "hostkeyalgorithms ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256,sk-ssh-ed25519@openssh.com,ssh-dss,rsa-sha2-512,ssh-rsa";
        assert_eq!(algorithms(&user(listed)), ["ecdsa-sha2-nistp256", "rsa-sha2-512", "ssh-rsa"]);
        assert_eq!(algorithms(&user("port 22")), SIGNING);
        assert_eq!(pinned_type("rsa-sha2-256"), Some("ssh-rsa"));
    }
}
