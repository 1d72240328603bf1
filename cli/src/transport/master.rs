//! The master: the `ssh` in the background whose connection every command shares.
//!
//! It is started without a terminal, in a process group of its own, with nothing of the caller's open; `ControlPersist`
//! sends it to the background once the connection stands, and ends it some time after its last use. Its process id is
//! kept in the session folder, so that one that no longer answers can be ended too.

mod ending;

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::openssh::config::{PERSIST_SECONDS, quoted};
use crate::openssh::external::{OwnHost, Purpose};
use crate::output::foreign::FileName as _;
use crate::sys::atomic_file;
use crate::sys::clock::Deadline;
use crate::transport::dial::{acknowledge_at_once, dial};
use crate::transport::http_proxy::Proxy;
use crate::transport::mux_socket::{Connection, Listener, Trouble};
use crate::transport::mux_wire::{self, Reply};
use crate::transport::openssh;
use crate::transport::outcome::{Cause, Unconnected};
use crate::transport::{Transport, Way, retired, spare};

pub(super) use ending::{SLOWEST_END, arguments, end, is_visible, outlast, remove_socket, retire};

/// How long a healthy master takes to answer, on a machine that is busy.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// How long this process tries to reach the gateway: more than the 5 s that a resolver waits for a nameserver that is dead.
/// Where it takes longer, ssh tries by itself.
const DIAL: Duration = Duration::from_secs(7);

/// How long a connection that a password opened stays open without use, in seconds: only as long as its one command needs to start.
const BRIEF_SECONDS: u32 = 5;

/// How long making a connection may take, with [`DIAL`]: `ConnectTimeout` is 15 s, and keys are exchanged after that.
const START: Duration = Duration::from_secs(30);

/// The longest log of a login. A host may have ssh write without end before it lets anybody in.
pub(super) const MAX_LOG: u64 = 1024 * 1024;

/// How long a process takes to be gone once it is killed.
pub(super) const KILL: Duration = Duration::from_secs(1);

/// The longest that starting one takes: asked for before and at the very end, the old one ended, its start seen off.
pub(super) const SLOWEST_START: Duration =
    Duration::from_secs(2 * ANSWER.as_secs() + SLOWEST_END.as_secs() + START.as_secs() + KILL.as_secs());

/// The process id of a master that answers in time.
pub(super) fn alive(control_path: &Path, patience: Duration) -> Result<u32, Trouble> {
    answers(control_path, patience).map(|(pid, _)| pid)
}

/// As [`alive`], and who its clients know it as.
pub(super) fn answers(control_path: &Path, patience: Duration) -> Result<(u32, Listener), Trouble> {
    let deadline = Deadline::after(patience);
    let mut connection = Connection::open(control_path, deadline)?;
    match connection.ask(&mux_wire::alive_check(), deadline)? {
        Reply::Alive(pid) => Ok((pid, connection.listener())),
        _ => Err(Trouble::Nonsense),
    }
}

/// Whether a command that has ended over the master known as `listener` has all of its output: a master that was killed,
/// told to end, or lost its connection takes along what it had not delivered, and closes nothing differently.
///
/// Only one that lives says hello: while it dies, the system closes its sockets in no order to rely on. A master that was
/// retired has done its work when it ends.
pub(super) fn has_delivered(transport: &Transport, control_path: &Path, listener: Listener) -> bool {
    let answering = Connection::open(control_path, Deadline::after(ANSWER));
    answering.is_ok_and(|connection| connection.listener() == listener)
        || retired::has(&transport.route.folder, listener)
}

/// Starts a master and waits until it answers; one that already does is left alone, one that does not is ended.
pub(super) fn start(transport: &Transport, control_path: &Path) -> Result<(), Unconnected> {
    if alive(control_path, ANSWER).is_ok() {
        return Ok(());
    }
    ending::end_current(transport, control_path).map_err(|failure| other(failure.into()))?;
    let log_path = transport.route.folder.join("master.log");
    let deadline = Deadline::after(START);
    // A way to call ssh that the user chose may lead elsewhere. What ssh cannot reach either, it has the words for.
    let mut gateway = None;
    if let Some(to) = transport.route.gateway().filter(|_| !transport.binary.is_chosen()) {
        gateway = match dial(to, transport.proxy.as_ref(), DIAL) {
            // ssh would take the same way.
            Err(error) if transport.proxy.as_ref().is_some_and(Proxy::is_ours) => {
                return Err(Unconnected { cause: Cause::Unreachable, error });
            }
            dialled => dialled.ok(),
        };
    }
    let persist = persist(transport);
    let mut child = spawn(transport, control_path, &log_path, gateway.as_ref(), persist)?;
    let mut pause = Duration::from_millis(2);
    loop {
        let ended = child.try_wait().ok().flatten();
        if ended.is_some_and(|status| !status.success()) {
            let failed = transport.refusal(&log_of(&log_path), deadline.remaining(), None);
            // By itself it may do better: an old one, one that is wrapped, one that resolves the name to another address.
            let is_final = failed.cause == Cause::AuthRejected || failed.cause.is_out_of_reach();
            if !is_final && gateway.take().is_some() {
                child = spawn(transport, control_path, &log_path, None, persist)?;
                continue;
            }
            return Err(failed);
        }
        // Gone to the background, or running in the foreground because its config says nothing of persisting. While it
        // connects there is no socket, so asking costs nothing.
        if let Ok(pid) = alive(control_path, ANSWER) {
            if let Some(gateway) = &gateway {
                acknowledge_at_once(gateway);
            }
            keep(transport, pid).map_err(other)?;
            spare::forget_refusal(&transport.route.folder);
            if transport.is_lasting() {
                keep_lasting(transport, pid).map_err(other)?;
            }
            if ended.is_none() {
                settle(child, pid, deadline);
            }
            if matches!(transport.route.way, Way::External(_)) {
                atomic_file::remove(&log_path).map_err(other)?; // it is there to tell why a login fails
            }
            return Ok(());
        }
        if ended.is_some() {
            return Err(transport.refusal(&log_of(&log_path), deadline.remaining(), None));
        }
        let is_endless = std::fs::metadata(&log_path).is_ok_and(|log| log.len() > MAX_LOG);
        if deadline.is_past() || is_endless {
            kill(&mut child);
            let error = match is_endless {
                true => "ssh's messages do not end: does the host send an endless banner?".to_owned(),
                false => format!("the login took longer than {} s", START.as_secs()),
            };
            return Err(Unconnected { cause: Cause::Unreachable, error: Error::new(Code::Transport, error) });
        }
        deadline.pause(pause);
        pause = (pause * 2).min(Duration::from_millis(4));
    }
}

/// Has the person at the terminal log in: ssh asks there, and stays in the background for `keep` seconds after its last use.
/// A master that is up takes nothing new. There is no deadline but the person's.
pub(super) fn log_in(transport: &Transport, control_path: &Path, host: &OwnHost, keep: u32) -> Result<()> {
    retire(transport, control_path)?;
    let mut ssh = transport.ssh(Purpose::PersonalMaster { control_path, keep })?;
    ssh.stdin(Stdio::inherit()).stdout(Stdio::null()).stderr(Stdio::inherit()).current_dir("/");
    // In our process group, or the terminal would not let it ask.
    let status = ssh
        .args(["-N", "-T", "-M", "--"])
        .arg(host.destination.as_str())
        .status()
        .map_err(|error| Error::io("run ssh", error))?;
    match alive(control_path, ANSWER) {
        Ok(pid) if status.success() => self::keep(transport, pid),
        _ => Err(Error::new(Code::Transport, format!("ssh could not log in to `{}`", host.name()))
            .hint("its messages are above; try again")),
    }
}

/// Starts `ssh`, which takes the connection to the gateway from us where there is one.
pub(super) fn spawn(
    transport: &Transport,
    control_path: &Path,
    log_path: &Path,
    gateway: Option<&TcpStream>,
    keep: u32,
) -> Result<Child, Unconnected> {
    let no_client = |error| Unconnected { cause: Cause::NoClient, error };
    let io = |error| other(Error::io(format_args!("write {}", log_path.named()), error));
    let purpose = Purpose::Master { control_path, keep };
    let program = transport.binary.find().map_err(no_client)?;
    // Before 8.7, a master that goes to the background makes a session of its stdin and stdout, whatever `-N` says (bz3290).
    // The second option only makes those versions refuse to start.
    let mut first = Vec::new();
    if gateway.is_some() {
        first.extend(["-o", "ProxyCommand=-", "-o", "StdinNull=no"]);
    }
    if transport.password.is_some() {
        first.extend(["-o", "BatchMode=no"]); // this one may ask, and asks us
    }
    let mut ssh = transport.ssh_at(&program, &first, purpose).map_err(other)?;
    atomic_file::remove(log_path).map_err(other)?;
    transport.forget_hops();
    let log = crate::sys::platform::open_private(log_path).map_err(io)?;
    ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir("/");
    if let Some(gateway) = gateway {
        let stdio = || gateway.try_clone().map(|stream| Stdio::from(OwnedFd::from(stream)));
        let io = |error| other(Error::io("pass the connection to ssh", error));
        ssh.stdin(stdio().map_err(io)?).stdout(stdio().map_err(io)?);
    }
    if matches!(transport.route.way, Way::Config { .. }) {
        ssh.args(["-o", "LogLevel=ERROR"]); // a gateway's banners may go on for ever
    }
    if transport.route.control_path.as_deref() != Some(control_path) || keep != PERSIST_SECONDS {
        let mut option = b"ControlPath=".to_vec(); // not always the one in the config
        option.extend(quoted(control_path).map_err(other)?);
        ssh.arg("-o").arg(std::ffi::OsString::from_vec(option));
        ssh.arg("-o").arg(format!("ControlPersist={keep}"));
    }
    ssh.args(["-N", "-T", "-M", "--"]).arg(transport.route.destination());
    if let Some(password) = &transport.password {
        password.prepare(&mut ssh).map_err(other)?;
    }
    let child = openssh::spawn(&mut ssh).map_err(no_client)?;
    if let Some(password) = &transport.password {
        password.expect(child.id());
    }
    Ok(child)
}

/// Sees the started `ssh` off: it ends once its copy in the background serves. One that found somebody else's socket in
/// its place would stay, and serve nobody.
pub(super) fn settle(mut child: Child, pid: u32, deadline: Deadline) {
    if pid == child.id() {
        return;
    }
    let settled = Deadline::after(KILL.min(deadline.remaining()));
    while !settled.is_past() {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        settled.pause(Duration::from_millis(2));
    }
    kill(&mut child);
}

pub(super) fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// How long a master stays without use, in seconds; 0 is for as long as it lives (ssh_config(5), `ControlPersist`).
pub(super) fn persist(transport: &Transport) -> u32 {
    match transport.route.bound {
        Some(bound) => bound.idle_seconds,
        None if transport.password.is_some() => BRIEF_SECONDS,
        None if transport.is_lasting() => 0,
        None => PERSIST_SECONDS,
    }
}

/// Whether the master stays without use.
pub(super) fn lasts(transport: &Transport, control_path: &Path) -> bool {
    alive(control_path, ANSWER).is_ok_and(|pid| pid_in(&lasting_path(transport)) == Some(pid))
}

/// Remembers that the master stays without use.
pub(super) fn keep_lasting(transport: &Transport, pid: u32) -> Result<()> {
    atomic_file::write_unsynced(&lasting_path(transport), pid.to_string().as_bytes(), 0o600)
}

fn lasting_path(transport: &Transport) -> PathBuf {
    transport.route.folder.join("master.lasting")
}

fn pid_path(transport: &Transport) -> PathBuf {
    transport.route.folder.join("master.pid")
}

pub(super) fn keep(transport: &Transport, pid: u32) -> Result<()> {
    atomic_file::write_unsynced(&pid_path(transport), pid.to_string().as_bytes(), 0o600)
}

fn kept(transport: &Transport) -> Option<u32> {
    pid_in(&pid_path(transport))
}

fn pid_in(path: &Path) -> Option<u32> {
    let bytes = atomic_file::read(path, 32).ok()??;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok().filter(|&pid| pid > 1)
}

pub(super) fn log_of(log_path: &Path) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(log_path) {
        let _ = file.take(MAX_LOG).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

pub(super) fn other(error: Error) -> Unconnected {
    Unconnected { cause: Cause::Other, error }
}
