//! How a master ends: at once when told to, after it has finished what runs over it, or killed if it no longer answers.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::sys::atomic_file;
use crate::sys::clock::Deadline;
use crate::transport::mux_socket::{Connection, Trouble};
use crate::transport::mux_wire::{self, Reply};
use crate::transport::outcome::Unended;
use crate::transport::{Transport, Way, full, retired, spare};

use crate::transport::master::{ANSWER, KILL, answers, kept, pid_path};

/// How long a master takes to end when told to.
const END: Duration = Duration::from_secs(3);

/// The longest that ending a master takes, whatever it does: asked, told, outlasted, killed, and so the one that was kept.
pub(in crate::transport) const SLOWEST_END: Duration = Duration::from_secs(
    2 * ANSWER.as_secs() + 2 * END.as_secs() + 2 * KILL.as_secs() + END.as_secs(), // and the retired ones
);

/// Ends the master and the retired ones. None is fine.
pub(in crate::transport) fn end(transport: &Transport, control_path: &Path) -> Result<(), Unended> {
    end_current(transport, control_path)?;
    spare::end(&transport.route.folder);
    full::end_all(transport, control_path);
    Ok(retired::end_all(&transport.route.folder)?)
}

/// Ends the master, answering or not, and removes its socket. None is fine.
pub(super) fn end_current(transport: &Transport, control_path: &Path) -> Result<(), Unended> {
    let deadline = Deadline::after(END);
    let told = Connection::open(control_path, Deadline::after(ANSWER)).and_then(|mut connection| {
        let pid = match connection.ask(&mux_wire::alive_check(), deadline)? {
            Reply::Alive(pid) => pid,
            _ => return Err(Trouble::Nonsense),
        };
        // The master ends before its answer is out.
        let _ = connection.ask(&mux_wire::terminate(), deadline);
        Ok(pid)
    });
    let kept = kept(transport);
    match told {
        Ok(pid) => outlast(transport, pid, deadline),
        Err(Trouble::Foreign) => return Err(Unended::Foreign(foreign(control_path))),
        Err(_) => {}
    }
    if let Some(pid) = kept {
        outlast(transport, pid, Deadline::after(Duration::ZERO));
    }
    remove_socket(control_path)?;
    atomic_file::remove(&pid_path(transport))?;
    Ok(())
}

/// Lets the master finish what runs over it and take nothing new; one that cannot be told so is ended. None is fine.
pub(in crate::transport) fn retire(transport: &Transport, control_path: &Path) -> Result<()> {
    spare::end(&transport.route.folder); // or its channel would keep the master from ending
    let Ok((pid, listener)) = answers(control_path, ANSWER) else {
        return Ok(end_current(transport, control_path)?);
    };
    retired::add(&transport.route.folder, pid, listener)?;
    let deadline = Deadline::after(ANSWER);
    let told = Connection::open(control_path, deadline)
        .and_then(|mut connection| connection.ask(&mux_wire::stop_listening(), deadline));
    match told {
        Ok(Reply::Ok) => {
            remove_socket(control_path).map_err(Error::from)?;
            atomic_file::remove(&pid_path(transport)).map(|_| ())
        }
        _ => {
            retired::forget(&transport.route.folder, listener)?;
            Ok(end_current(transport, control_path)?)
        }
    }
}

/// Waits until the process is gone, and kills it once the deadline has passed, if it is still a master of this session.
pub(in crate::transport) fn outlast(transport: &Transport, pid: u32, deadline: Deadline) {
    while is_master(transport, pid) {
        if deadline.is_past() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            let gone = Deadline::after(KILL);
            while is_master(transport, pid) && !gone.is_past() {
                gone.pause(Duration::from_millis(2));
            }
            return;
        }
        deadline.pause(Duration::from_millis(2));
    }
}

/// Whether the process runs and was started with this session's config, or else with its socket; a process id may have been
/// given anew.
fn is_master(transport: &Transport, pid: u32) -> bool {
    let own = match (&transport.route.way, &transport.route.control_path) {
        (Way::Config { config, .. }, _) => config,
        (Way::External(_), Some(control_path)) => control_path,
        (Way::External(_), None) => return false,
    };
    let own = own.as_os_str().as_encoded_bytes();
    // A master that began beside another one has a different socket name; only the last characters differ.
    let own = own.get(..own.len().saturating_sub(4)).unwrap_or_default();
    arguments(pid).windows(own.len().max(1)).any(|part| part == own)
}

/// The arguments of a process.
pub(in crate::transport) fn arguments(pid: u32) -> Vec<u8> {
    if cfg!(target_os = "linux") {
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let mut ps = std::process::Command::new("/bin/ps");
        ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]).stderr(Stdio::null());
        ps.output().map(|output| output.stdout).unwrap_or_default()
    }
}

/// Whether the master is among the processes that this one sees. Outside of its sandbox, it is not, and a process that is started in
/// there ends with the sandbox.
pub(in crate::transport) fn is_visible(transport: &Transport) -> bool {
    kept(transport).is_some_and(|pid| is_master(transport, pid))
}

pub(in crate::transport) fn remove_socket(control_path: &Path) -> Result<(), Unended> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(control_path) {
        Ok(metadata) if !crate::sys::platform::is_own(&metadata) => {
            Err(Unended::Foreign(foreign(control_path)))
        }
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(Error::new(Code::Io, format!("{} is in the way: it is not a socket", control_path.named()))
                .hint("move it away")
                .into())
        }
        Ok(_) => {
            atomic_file::remove(control_path)?;
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

fn foreign(control_path: &Path) -> Error {
    Error::new(Code::Transport, format!("{} belongs to another user", control_path.named()))
        .hint("nothing is sent to it; remove it, or have its owner do so")
}
