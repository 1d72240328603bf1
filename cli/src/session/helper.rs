//! When the helper starts and ends.
//!
//! One helper serves all folders that a user has routed with `--sandboxes`. `connect`, `route on` and the hooks of such a project start
//! it, always outside the agents' sandboxes. It ends when there is no such folder any more, after an hour without a command (the next
//! hook starts it again), and when its files are gone.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::{Code, Error, Result};
use crate::origin::SessionKey;
use crate::session::attachment::Attachments;
use crate::session::{Session, Sessions};
use crate::sys::clock::Deadline;
use crate::sys::env::Var;
use crate::sys::interrupt::Interrupt;
use crate::sys::lock::Lock;
use crate::sys::paths::Paths;
use crate::sys::{atomic_file, new_session};
use crate::transport::helper::{self, Exchange, SLOTS, is_cut_off, is_running};
use crate::transport::{Ended, RemoteCommand, Running, SANDBOX_HINT, Streams};

/// The file with its process id and version.
const PROCESS: &str = "process";

/// How long the helper stays without a command.
const IDLE: Duration = Duration::from_secs(3600);

/// How often it checks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(500);

/// How long it may take to start on a busy machine.
const START: Duration = Duration::from_secs(10);

/// How long it may take to end: it ends what runs first.
const END: Duration = Duration::from_secs(4);

/// The variables that the helper gets. A hook starts it, and a project's settings can set any other: where a token goes, which
/// certificates count, which ssh runs.
const VARIABLES: [Var; 8] = [
    Var::Home,
    Var::Path,
    Var::XdgConfigHome,
    Var::XdgCacheHome,
    Var::XdgStateHome,
    Var::XdgRuntimeDir,
    Var::SshAuthSock,
    Var::RuncodeToken,
];

/// The others, which only programs that it starts read.
const FOR_PROGRAMS: [&str; 5] = ["USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR"];

/// Starts the helper unless it runs. With `waits`, waits until it serves. Does nothing inside a sandbox.
pub fn ensure(sessions: &Sessions<'_>, waits: bool) -> Result<()> {
    let folder = sessions.paths().helper();
    if is_cut_off(sessions.env()) {
        return Ok(());
    }
    if is_running(&folder) {
        if process(&folder).is_none_or(|(_, version)| version == env!("CARGO_PKG_VERSION")) {
            return Ok(());
        }
        end(sessions.paths()); // another version may use another protocol
    }
    let failed = |error| Error::io("start the helper for commands in sandboxes", error);
    // This very program, even if another version has replaced its file.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("runcode").arg("helper");
    command.arg("--config-dir").arg(sessions.paths().config());
    command.arg("--cache-dir").arg(sessions.paths().cache());
    if let Some(file) = sessions.origins().servers_file() {
        command.arg("--servers").arg(std::path::absolute(file).map_err(failed)?);
    }
    if let Some(base) = sessions.origins().base_argument() {
        command.arg("--api-base").arg(base);
    }
    command.env_clear().envs(variables(sessions));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    new_session::lead_alone(&mut command);
    let stale = process(&folder); // of one that was killed
    let mut child = command.spawn().map_err(failed)?;
    let deadline = Deadline::after(START);
    while waits && (!is_running(&folder) || process(&folder) == stale) {
        let has_ended = child.try_wait().map_err(failed)?.is_some() && !is_running(&folder);
        if has_ended || deadline.is_past() {
            return Err(Error::new(Code::Error, "the helper for commands in sandboxes did not start"));
        }
        deadline.pause(Duration::from_millis(5));
    }
    // A parent that outlives it must not leave a zombie.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// The helper's environment.
fn variables(sessions: &Sessions<'_>) -> Vec<(OsString, OsString)> {
    let env = sessions.env();
    // The token is for the control plane that the variable names, and the helper will not know that one.
    let is_elsewhere = env.var(Var::RuncodeApiBase).is_some() && sessions.origins().base_argument().is_none();
    let names = VARIABLES.iter().filter(|var| !(is_elsewhere && **var == Var::RuncodeToken));
    let names = names.map(|var| var.name()).chain(FOR_PROGRAMS);
    let mut kept = names.filter_map(|name| Some((name.into(), env.named(name)?))).collect::<Vec<_>>();
    if cfg!(debug_assertions) {
        let is_ours = |name: &OsString| name.to_string_lossy().starts_with("RUNCODE_TEST_");
        kept.extend(std::env::vars_os().filter(|(name, _)| is_ours(name)));
    }
    kept
}

/// Ends the helper and removes its files. Nobody starts it meanwhile: the caller holds the attachments' lock, and no folder is open to
/// sandboxes.
pub fn end(paths: &Paths) {
    let folder = paths.helper();
    if !atomic_file::is_own_dir(&folder).unwrap_or_default() || std::fs::symlink_metadata(&folder).is_err() {
        return;
    }
    let deadline = Deadline::after(END);
    let mut signal = Signal::TERM;
    while is_running(&folder) && !deadline.is_past() {
        // The lock is held, so the process is alive and the process id is its own.
        if let Some((pid, _)) = process(&folder) {
            if pid.as_raw_nonzero().get().unsigned_abs() == std::process::id() {
                return;
            }
            let _ = rustix::process::kill_process(pid, signal);
            signal = Signal::CONT; // a second TERM would end it at once
        }
        deadline.pause(Duration::from_millis(5));
    }
    if let Some((pid, _)) = process(&folder).filter(|_| is_running(&folder)) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// The helper's process id and version.
fn process(folder: &Path) -> Option<(Pid, String)> {
    let text = String::from_utf8(atomic_file::read(&folder.join(PROCESS), 128).ok()??).ok()?;
    let (pid, version) = text.split_once(' ')?;
    Some((Pid::from_raw(pid.parse::<i32>().ok().filter(|pid| *pid > 1)?)?, version.to_owned()))
}

/// Serves every slot until no helper is needed any more. `run` runs one command and says how it ended.
pub fn keep(
    paths: &Paths,
    run: impl Fn(&mut Exchange) -> Result<Ended> + Clone + Send + 'static,
) -> Result<()> {
    let folder = paths.helper();
    let interrupt = Interrupt::listen()?;
    atomic_file::private_dir(paths.cache())?;
    atomic_file::private_dir(&folder)?;
    let Ok(_lock) = Lock::acquire(&helper::lock_file(&folder), Duration::from_secs(1)) else {
        return Ok(()); // another one serves
    };
    let mut busy = Vec::new();
    for number in 0..SLOTS {
        let (slot, is_busy, run) = (helper::slot(&folder, number), Arc::<AtomicBool>::default(), run.clone());
        atomic_file::private_dir(&slot)?;
        busy.push(Arc::clone(&is_busy));
        std::thread::Builder::new()
            .spawn(move || helper::serve(&slot, &is_busy, run))
            .map_err(|error| Error::io("start a thread", error))?;
    }
    let is_any_busy = || busy.iter().any(|is_busy| is_busy.load(Ordering::SeqCst));
    let line = format!("{} {}", std::process::id(), env!("CARGO_PKG_VERSION"));
    atomic_file::write(&folder.join(PROCESS), line.as_bytes(), 0o600)?;
    let mut idle = Deadline::after(IDLE);
    loop {
        if interrupt.comes_within(LOOK) {
            // Running commands get the signal, too, and end.
            let patience = Deadline::after(END / 2);
            while is_any_busy() && !patience.is_past() {
                patience.pause(Duration::from_millis(10));
            }
            return Ok(()); // whoever ends it removes the files
        }
        if is_any_busy() {
            idle = Deadline::after(IDLE);
        }
        let is_there = helper::slot(&folder, 0).exists();
        if !is_there || idle.is_past() || !is_wanted(paths) {
            // Without these files, clients see at once that the helper has gone.
            let _ = std::fs::remove_dir_all(&folder);
            return Ok(());
        }
    }
}

/// Whether any folder is open to sandboxes. If an attachment cannot be read, none counts.
fn is_wanted(paths: &Paths) -> bool {
    Attachments::new(paths).all().is_ok_and(|all| all.iter().any(|it| it.routing().sandboxes))
}

/// Why a command in a sandbox does not reach a workspace.
pub(in crate::session) fn not_routed() -> Error {
    Error::new(
        Code::PolicyDenied,
        "inside this sandbox, commands reach only workspaces of folders that were routed with --sandboxes",
    )
    .hint(SANDBOX_HINT)
}

/// Runs a command that a client in a sandbox has asked for: on the workspace of a folder that was routed with
/// `--sandboxes`, and on no other.
pub fn run(sessions: &Sessions<'_>, exchange: &mut Exchange) -> Result<Ended> {
    let key = serde_json::from_value::<SessionKey>(exchange.session.clone()).ok();
    let all = sessions.attachments().all()?;
    let attachment = all.into_iter().find(|it| it.routing().sandboxes && Some(&it.key) == key.as_ref());
    let attachment = attachment.ok_or_else(not_routed)?;
    let session = sessions.attached_by(&attachment)?;
    let running = sessions.start(&session, &exchange.command, &exchange.streams)?;
    exchange.streams = Streams::null(); // a pipe ends when nobody holds its other end
    exchange.started();
    running.wait(&crate::transport::Limits { timeout: None, interruptible: true })
}

impl Sessions<'_> {
    /// Whether this is a sandbox of an agent that forbids sockets, and a helper was started for it.
    pub(in crate::session) fn is_relayed(&self) -> bool {
        is_cut_off(self.env()) && self.paths().helper().is_dir()
    }

    /// Has the helper run the command.
    pub(in crate::session) fn relay(
        &self,
        session: &Session,
        command: &RemoteCommand,
        streams: &Streams,
    ) -> Result<Running> {
        let key = serde_json::to_value(&session.meta.key);
        let key = key.map_err(|error| Error::new(Code::Error, error.to_string()))?;
        helper::start(&self.transport(session), &self.paths().helper(), key, command, streams)
    }
}
