//! The transport that runs the system's `ssh` for every command: over the master where there is one, never beside it.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::openssh::config::PRIVATE;
#[cfg(unix)]
use crate::openssh::config::quoted;
use crate::openssh::external::Purpose;
use crate::openssh::log::{Log, Phase, Through};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::Transport;
use crate::transport::command::RemoteCommand;
use crate::transport::late::Asked;
#[cfg(unix)]
use crate::transport::mux_socket::Listener;
use crate::transport::outcome::{Ended, Failure};
use crate::transport::running::Process;
use crate::transport::start::AFTER_SIGNAL;
use crate::transport::stream::Streams;

/// What a connection of its own may take longer than a session on one that is up: `ConnectTimeout`, then the keys.
pub(super) const COLD_DEADLINE: Duration = Duration::from_secs(40);

/// Whether the command goes over the master, or over a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    #[cfg(unix)]
    Master(Listener),
    OwnConnection,
}

/// Runs `command` through `ssh` on a connection of its own, and returns once the workspace has been asked to run it.
pub(super) fn start(
    transport: &Transport,
    command: &RemoteCommand,
    streams: &Streams,
    interrupt: Option<&Interrupt>,
) -> Result<Box<dyn Process>, Failure> {
    let mut ssh = launch(transport, command, streams, Via::OwnConnection)?;
    // After a signal we still wait for the answer, but not for long: the command may just have started.
    let deadline = Deadline::after(COLD_DEADLINE);
    let is_started = ssh.is_confirmed(transport, interrupt, deadline)?
        || interrupt.is_some_and(Interrupt::has_any)
            && ssh.is_confirmed(transport, None, Deadline::after(AFTER_SIGNAL.min(deadline.remaining())))?;
    if is_started { Ok(Box::new(ssh)) } else { Err(Failure::NotStarted(silent(COLD_DEADLINE))) }
}

/// Has `ssh` ask the master known as `listener` to run `command`.
#[cfg(unix)]
pub(super) fn ask(
    transport: &Transport,
    command: &RemoteCommand,
    streams: &Streams,
    listener: Listener,
) -> Result<Box<dyn Asked>, Failure> {
    Ok(Box::new(launch(transport, command, streams, Via::Master(listener))?))
}

fn launch(
    transport: &Transport,
    command: &RemoteCommand,
    streams: &Streams,
    via: Via,
) -> Result<Ssh, Failure> {
    let not_started = |error: std::io::Error| Failure::NotStarted(Error::io("run ssh", error));
    let through = match via {
        #[cfg(unix)]
        Via::Master(_) => Through::Master,
        Via::OwnConnection => Through::Server(command.token()),
    };
    if via == Via::OwnConnection {
        transport.forget_hops();
    }
    let log = Log::create(&transport.route.folder, through).map_err(not_started)?;
    let purpose = match (via, transport.route.control_path.as_deref()) {
        #[cfg(unix)]
        (Via::Master(_), Some(control_path)) => Purpose::Client { control_path },
        _ => Purpose::Command,
    };
    let mut ssh = transport.ssh(purpose).map_err(Failure::NotStarted)?;
    #[cfg(unix)]
    if let (Via::Master(_), Some(control_path)) = (via, transport.route.control_path.as_deref()) {
        let mut option = b"ControlPath=".to_vec(); // an additional connection does not use the one in the config
        option.extend(quoted(control_path).map_err(Failure::NotStarted)?);
        ssh.arg("-o").arg(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(option));
    }
    let terminal = if command.terminal().is_some() { "-tt" } else { "-T" };
    ssh.envs(command.terminal().map(|kind| ("TERM", kind)));
    match via {
        // With no master, ssh would connect anew without a word: a proxy command that fails keeps it from that.
        // A client tells the status at debug2 alone; there, a connection of its own would log lists that the server sends.
        #[cfg(unix)]
        Via::Master(_) => ssh
            .args(["-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-vv"])
            .args([terminal, "-E"])
            .arg(log.path())
            .args(["--", transport.route.destination()]),
        Via::OwnConnection => ssh.args(own_connection(log.path(), transport.route.destination(), terminal)),
    };
    ssh.arg(text(command).map_err(Failure::NotStarted)?);
    ssh.env_remove(PRIVATE).envs(command.private().map(|value| (PRIVATE, value)));
    ssh.stdin(streams.stdin.to_stdio().map_err(not_started)?);
    ssh.stdout(streams.stdout.to_stdio().map_err(not_started)?);
    ssh.stderr(streams.stderr.to_stdio().map_err(not_started)?);
    #[cfg(unix)]
    let flags = crate::transport::descriptors::Flags::of_process();
    let child = spawn(&mut ssh).map_err(Failure::NotStarted)?;
    Ok(Ssh {
        child,
        log,
        ended: None,
        #[cfg(unix)]
        via,
        #[cfg(unix)]
        _flags: flags,
    })
}

/// The last arguments of an `ssh` that runs a command on a connection of its own; the command follows. `-v` would make the ssh to a
/// jump host write its own log to the command's stderr. `terminal`: `-T` for none, `-tt` for one.
pub fn own_connection(log: &Path, destination: &str, terminal: &str) -> Vec<OsString> {
    let mut arguments =
        ["-o", "ControlMaster=no", "-o", "ControlPath=none", terminal, "-oLogLevel=DEBUG1", "-E"]
            .map(OsString::from)
            .to_vec();
    arguments.extend([log.as_os_str().to_owned(), "--".into(), destination.into()]);
    arguments
}

/// An `ssh` that runs one command.
struct Ssh {
    child: Child,
    log: Log,
    ended: Option<ExitStatus>,
    #[cfg(unix)]
    via: Via,
    #[cfg(unix)]
    _flags: crate::transport::descriptors::Flags,
}

impl Asked for Ssh {
    #[cfg(unix)]
    fn listener(&self) -> Listener {
        match self.via {
            Via::Master(listener) => listener,
            Via::OwnConnection => Listener(0),
        }
    }

    /// Waits until the log says that the command was asked for.
    fn is_confirmed(
        &mut self,
        transport: &Transport,
        interrupt: Option<&Interrupt>,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        let mut pause = Duration::from_micros(500);
        loop {
            let ended = self.child.try_wait().ok().flatten(); // before the log, so that the log is whole
            let io = |error| Failure::MayHaveStarted(Error::io("read the log of ssh", error));
            match self.log.phase().map_err(io)? {
                Phase::Started => {
                    self.ended = ended;
                    return Ok(true);
                }
                Phase::NoMaster => return Err(Failure::NoMaster(no_master())),
                Phase::Full => return Err(Failure::Busy(full())),
                Phase::Connecting => {}
            }
            if ended.is_some_and(|ended| ended.code() != Some(255) || self.log.reasons().is_empty()) {
                // Not a failure of ssh's own (ssh(1)), or one that it could not write down, as on a full disk.
                let error = Error::new(
                    Code::Transport,
                    "ssh ended without telling whether the command had started, and it may have run",
                );
                return Err(Failure::MayHaveStarted(
                    error.hint("it was not run again; look whether your disk is full"),
                ));
            }
            if ended.is_some() {
                let patience = deadline.remaining();
                let refusal = transport.refusal(self.log.reasons(), patience, interrupt);
                return Err(Failure::NotStarted(refusal.error));
            }
            if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) {
                return Ok(false);
            }
            sleep(interrupt, pause.min(deadline.remaining()));
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    #[cfg(unix)]
    fn opened(self: Box<Self>) -> Box<dyn Process> {
        self
    }
}

impl Ssh {
    fn outcome(&mut self, status: ExitStatus) -> Result<Ended> {
        let told = self.log.has_status().map_err(|error| Error::io("read the log of ssh", error))?;
        Ok(match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(255) | None if !told => Ended::NoStatus,
            Some(code) => Ended::Status(code),
            None => Ended::NoStatus,
        })
    }
}

impl Process for Ssh {
    #[cfg(unix)]
    fn listener(&self) -> Option<Listener> {
        match self.via {
            Via::Master(listener) => Some(listener),
            Via::OwnConnection => None,
        }
    }

    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>> {
        let mut pause = Duration::from_millis(1);
        loop {
            if self.ended.is_none() {
                self.ended = self.child.try_wait().map_err(|error| Error::io("wait for ssh", error))?;
            }
            if let Some(status) = self.ended {
                return self.outcome(status).map(Some);
            }
            self.log.read().map_err(|error| Error::io("read the log of ssh", error))?; // so that it stays small
            if deadline.is_past() {
                return Ok(None);
            }
            if interrupt.is_some_and(Interrupt::has_any) {
                return Ok(None);
            }
            sleep(interrupt, pause.min(deadline.remaining()));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

impl Drop for Ssh {
    /// An `ssh` that nobody waits for any more would hold the streams.
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sleeps until a signal comes, or for `pause`.
#[cfg(unix)]
fn sleep(interrupt: Option<&Interrupt>, pause: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let Some(interrupt) = interrupt else { return std::thread::sleep(pause) };
    let pause = Timespec::try_from(pause).ok();
    let _ = rustix::event::poll(&mut [PollFd::new(interrupt, PollFlags::IN)], pause.as_ref());
}

#[cfg(windows)]
fn sleep(_interrupt: Option<&Interrupt>, pause: Duration) {
    std::thread::sleep(pause);
}

/// Starts `ssh` so that a signal from the terminal comes to us alone: it is we who pass it on.
pub(super) fn spawn(ssh: &mut Command) -> Result<Child> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(ssh, 0);
    ssh.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::new(Code::SshMissing, "the ssh client is gone"),
        _ => Error::io("run ssh", error),
    })
}

#[cfg(unix)]
fn text(command: &RemoteCommand) -> Result<&std::ffi::OsStr> {
    Ok(std::os::unix::ffi::OsStrExt::from_bytes(command.text()))
}

#[cfg(windows)]
fn text(command: &RemoteCommand) -> Result<&str> {
    std::str::from_utf8(command.text())
        .map_err(|error| Error::new(Code::Usage, "the command is not valid Unicode").source(error))
}

pub(super) fn no_master() -> Error {
    Error::new(Code::Transport, "the connection to the workspace is not up")
}

pub(super) fn full() -> Error {
    Error::new(Code::Transport, "the workspace does not accept more commands at once (MaxSessions)")
        .hint("wait until a running command has ended")
}

pub(super) fn silent(patience: Duration) -> Error {
    Error::new(
        Code::Transport,
        format!("the connection to the workspace has not answered for {} s", patience.as_secs()),
    )
}

/// Hands the terminal to `ssh`; its exit status, or that the connection was lost.
pub(super) fn terminal(transport: &Transport, command: Option<&RemoteCommand>) -> Result<u8> {
    use std::io::IsTerminal as _;
    let control_path = transport.route.control_path.as_deref();
    let mut ssh = transport.ssh(Purpose::Terminal { control_path })?;
    if control_path.is_some() {
        ssh.args(["-o", "LogLevel=ERROR"]); // the shared connection is not closed, whatever ssh says of it
    }
    if command.is_some() && std::io::stdin().is_terminal() {
        ssh.arg("-t");
    }
    ssh.arg("--").arg(transport.route.destination());
    if let Some(command) = command {
        ssh.arg(text(command)?);
    }
    let _ = std::io::stdout().flush();
    let status = ssh.status().map_err(|error| Error::io("run ssh", error))?;
    let status = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255);
    // 255 may be the shell's own, which leaves the connection up.
    if status == 255 && control_path.is_some() && !transport.is_warm() {
        return Err(Error::new(Code::Transport, "the connection was lost, and the shell with it")
            .hint("`runcode shell` opens another one; what ran in it may have ended"));
    }
    Ok(status)
}
