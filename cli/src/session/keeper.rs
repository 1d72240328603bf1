//! The keeper: a separate process that ends a session when its time is up, even if nobody uses runcode.
//!
//! It is started under the session's lock, before the first connection, and holds a lock of its own for as long as it lives. So each
//! session has exactly one, and everybody can see that it is there. It ends with its session, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use crate::error::{Code, Error, Result};
use crate::session::approved::{self, USED, Why};
use crate::session::store::{is_locked, is_settled, meta_in};
use crate::session::{Session, Sessions};
use crate::sys::clock::{self, Deadline};
use crate::sys::env::Var;
use crate::sys::{atomic_file, new_session, platform};

/// The file that it locks, with its process id.
const FILE: &str = "keeper";

/// What it says once it is at work.
pub const READY: &str = "ready\n";

/// How long it may take to get there on a busy machine.
const START: Duration = Duration::from_secs(20);

/// How long it may take to end.
const END: Duration = Duration::from_secs(2);

/// How often it checks whether the session exists and is used.
const LOOK: Duration = Duration::from_millis(200);

/// How many times it tries to end a session that does not end.
const TRIES: usize = 5;

/// Starts the session's keeper, and waits until it is there. The caller holds the session's lock.
pub(super) fn start(sessions: &Sessions<'_>, session: &Session) -> Result<()> {
    let failed = |error| Error::io("start the process that ends the session in time", error);
    let id = session.meta.approved.as_ref().map_or("", |approved| &approved.session_id);
    // Even if another version has replaced the program.
    let own = if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() };
    let mut command = Command::new(own.map_err(failed)?);
    command.arg0("runcode").arg("keeper").arg(&session.folder).arg(id);
    command.arg("--config-dir").arg(sessions.paths().config());
    command.arg("--cache-dir").arg(sessions.paths().cache());
    if let Some(file) = sessions.origins().servers_file() {
        command.arg("--servers").arg(std::path::absolute(file).map_err(failed)?);
    }
    command.env_remove(Var::RuncodeToken.name()).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    new_session::lead_alone(&mut command);
    let mut child = command.spawn().map_err(failed)?;
    let is_ready = child.stdout.take().is_some_and(|mut said| {
        let patience = Timespec::try_from(START).ok();
        let is_said = rustix::event::poll(&mut [PollFd::new(&said, PollFlags::IN)], patience.as_ref());
        let mut word = [0; READY.len()];
        is_said.is_ok_and(|count| count > 0)
            && said.read_exact(&mut word).is_ok()
            && word == *READY.as_bytes()
    });
    if !is_ready {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::new(Code::Error, "the process that ends the session in time did not start"));
    }
    // A parent that outlives it must not leave a zombie.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Whether the session in this folder has a keeper.
pub(super) fn is_there(folder: &Path) -> bool {
    let file = File::options().read(true).open(folder.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Ends the keeper of the session in this folder, unless it is this process. The caller holds the session's lock.
pub(super) fn end(folder: &Path) {
    let deadline = Deadline::after(END);
    while is_there(folder) && !deadline.is_past() {
        // The holder of the lock is alive, so its process id means nobody else.
        let text = atomic_file::read(&folder.join(FILE), 32).ok().flatten().unwrap_or_default();
        let pid = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<i32>().ok());
        let pid = pid.filter(|pid| *pid > 1);
        if pid.is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id())) {
            return;
        }
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        deadline.pause(Duration::from_millis(5));
    }
}

/// Keeps the session with this id in `folder` until it is over. Calls `ready` once nobody else can keep it.
pub fn keep(
    sessions: &Sessions<'_>,
    folder: &Path,
    id: &str,
    ready: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let Some(session) = session_in(folder, id) else { return Ok(()) };
    let Some(_lock) = lock(folder)? else { return Ok(()) };
    ready()?;
    let transport = sessions.transport(&session);
    let idle_seconds = session.meta.approved.as_ref().map_or(0, |approved| approved.idle_seconds);
    let idle_time = Duration::from_secs(idle_seconds.into());
    let left = session.meta.lifetime.seconds_left(clock::now()).unwrap_or_default();
    // The wall clock may be set, and the other one may stop while the machine sleeps: whichever comes first.
    let (end, mut idle) = (Deadline::after(Duration::from_secs(left)), Deadline::after(idle_time));
    let mut used = used_at(folder);
    loop {
        end.pause(LOOK.min(idle.remaining()));
        let Some(session) = session_in(folder, id) else {
            // Whoever ends a session ends its keeper first, so something else removed these files.
            let _ = transport.end_master();
            return Ok(());
        };
        if end.is_past() || approved::is_late(&session) {
            return finish(sessions, &session, Why::Time);
        }
        let now = used_at(folder);
        let (is_opening, is_busy) = (now.is_none() && is_locked(folder), transport.is_used());
        if is_busy {
            touch(folder); // or whoever asks after a long command would find the session idle
        }
        if is_opening || is_busy || now != used {
            (used, idle) = (now, Deadline::after(idle_time));
        } else if idle.is_past() {
            return finish(sessions, &session, Why::Idle);
        }
    }
}

fn finish(sessions: &Sessions<'_>, session: &Session, why: Why) -> Result<()> {
    for _ in 1..TRIES {
        if approved::end(sessions, session, why).is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    approved::end(sessions, session, why)
}

/// The session, as long as it exists.
fn session_in(folder: &Path, id: &str) -> Option<Session> {
    let meta = meta_in(folder).ok().flatten().filter(|_| is_settled(folder))?;
    let is_it = meta.approved.as_ref().is_some_and(|approved| approved.session_id == id);
    is_it.then(|| Session { meta, folder: folder.to_owned() })
}

fn used_at(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join(USED)).and_then(|file| file.modified()).ok()
}

fn touch(folder: &Path) {
    let file = File::options().write(true).open(folder.join(USED));
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

/// The keeper's own lock; `None` where another one has it.
fn lock(folder: &Path) -> Result<Option<File>> {
    let failed = |error| Error::io("lock the session for its keeper", error);
    let mut file = platform::open_private(&folder.join(FILE)).map_err(failed)?;
    let deadline = Deadline::after(END);
    // Whoever checks for a keeper holds the lock for a moment.
    while file.try_lock().is_err() {
        if deadline.is_past() {
            return Ok(None);
        }
        deadline.pause(Duration::from_millis(1));
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(Some(file))
}
