//! The process that started this one, and whether it is still there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::process::{Pid, getppid};

/// How often to ask where the system cannot tell, in nanoseconds.
const ASK_EVERY: i64 = 250_000_000;

/// The parent as it was when this was made.
#[derive(Debug)]
pub struct Parent {
    pid: Option<Pid>,
    watch: Option<OwnedFd>,
    #[cfg(target_os = "linux")]
    program: Option<std::path::PathBuf>,
}

impl Parent {
    /// The parent of this process.
    pub fn of_process() -> Parent {
        let pid = getppid();
        Parent {
            pid,
            watch: pid.and_then(watch),
            #[cfg(target_os = "linux")]
            program: pid.and_then(heir::program),
        }
    }

    /// A descriptor that becomes readable when the parent ends, where there is such a thing (pidfd_open(2)).
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// How long to wait before asking again, where there is nothing to watch.
    pub fn ask_every(&self) -> Option<Timespec> {
        self.watch.is_none().then_some(Timespec { tv_sec: 0, tv_nsec: ASK_EVERY })
    }

    /// Whether the parent is gone, to be asked when the watch fires or the time is up.
    ///
    /// An ssh that goes into the background (`-f`, `ControlPersist`) ends, and a fork of it goes on: on Linux one that
    /// holds the other end of `input`, our stdin, takes the parent's place.
    pub fn is_gone(&mut self, input: BorrowedFd<'_>) -> bool {
        if self.watch.is_none() && getppid() == self.pid {
            return false;
        }
        #[cfg(target_os = "linux")]
        if let Some(program) = &self.program
            && let Some(pid) = heir::find(program, input)
            && let Some(watch) = watch(pid)
        {
            self.watch = Some(watch);
            return false;
        }
        let _ = input;
        true
    }
}

/// Whether an OpenSSH client started this process, by the name of its program or of the process: the file may be a link's
/// target with another name, or the emulator that runs it.
pub fn is_ssh() -> bool {
    let Some(pid) = getppid() else { return false };
    #[cfg(target_os = "linux")]
    if std::fs::read(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|name| name == b"ssh\n") {
        return true;
    }
    #[cfg(target_os = "linux")]
    let program = heir::program(pid);
    #[cfg(not(target_os = "linux"))]
    let program = {
        let mut ps = std::process::Command::new("/bin/ps");
        let output = ps.args(["-o", "comm=", "-p", &pid.as_raw_nonzero().to_string()]).output().ok();
        output.map(|output| std::path::PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    program.is_some_and(|program| {
        program.file_name().is_some_and(|name| name == "ssh" || name == "ssh (deleted)")
    })
}

/// The process that started this one, from proc(5).
#[cfg(target_os = "linux")]
pub fn of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(target_os = "linux")]
fn watch(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn watch(_pid: Pid) -> Option<OwnedFd> {
    None
}

/// Who goes on in a parent's place, from proc(5).
#[cfg(target_os = "linux")]
mod heir {
    use std::os::fd::{AsRawFd as _, BorrowedFd};
    use std::path::{Path, PathBuf};

    use rustix::process::Pid;

    /// The file that a process runs.
    pub(super) fn program(pid: Pid) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).ok()
    }

    /// A process that runs the same program, began after this one, and has the pipe `input` open: a fork of the parent.
    pub(super) fn find(parents: &Path, input: BorrowedFd<'_>) -> Option<Pid> {
        let pipe = std::fs::read_link(format!("/proc/self/fd/{}", input.as_raw_fd())).ok()?;
        let own = rustix::process::getpid();
        let began = began(own)?;
        std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let is_fork = pid != own
                && program(pid).as_deref() == Some(parents)
                && self::began(pid) >= Some(began)
                && has_open(pid, &pipe);
            is_fork.then_some(pid)
        })
    }

    fn has_open(pid: Pid, pipe: &Path) -> bool {
        let Ok(open) = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) else { return false };
        open.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link == pipe))
    }

    /// When a process began, in ticks since boot: the 22nd field of its `stat`, counted from the name's last bracket.
    fn began(pid: Pid) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        stat.rsplit(')').next()?.split_ascii_whitespace().nth(19)?.parse().ok()
    }
}
