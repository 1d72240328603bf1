//! Spare channels. A spare is a session channel in which the login shell has started and waits for one command, so the command waits
//! neither for a round trip to open the channel nor for the shell's start-up files.
//!
//! A process of ours, the [`keeper`], opens the channel over the session's master and holds it. A client takes it over, with its
//! descriptors, and writes the command to it. Each channel serves one command. The rules:
//!
//! - The result is that of an ordinary channel. If that is not certain, the command gets an ordinary channel (`shell`).
//! - A spare that was opened while another command ran, or before one ended, is never used: that command may have changed what the
//!   shell has already read. So the client introduces every command of the session to the keeper (`Visit`), even if it uses no spare.
//! - The command counts as begun once the client has written its first byte to the spare.

mod channel;
mod end;
pub mod keeper;
mod process;
mod relay;
mod shell;
mod wire;

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::sys::clock::Deadline;
use crate::sys::env::Env;
use crate::sys::interrupt::Interrupt;
use crate::sys::{atomic_file, new_session, platform};
use crate::transport::command::{RemoteCommand, token};
use crate::transport::lost::Hold;
use crate::transport::master;
use crate::transport::mux_socket;
use crate::transport::outcome::Failure;
use crate::transport::running::Process;
use crate::transport::stream::{Stream, Streams};
use crate::transport::{Spares, Transport, Way};
use wire::{ENDED, FULL, Hello, LEFT};

pub use end::{State, state};
pub(super) use end::{end, forget_refusal};
pub use shell::Form;

/// The file in the session's folder that the keeper locks. It contains the keeper's process id and state.
pub(super) const FILE: &str = "spare";

/// What the file says if spares do not work on this connection.
const OFF: &str = "off";

/// How long a client waits for a spare that is being opened: as long as a healthy connection takes to open a channel.
const WAIT: Duration = Duration::from_millis(1500);

/// How long a client waits for a keeper to accept its connection.
const ACCEPT: Duration = Duration::from_millis(200);

/// A command that runs in a spare: the token that it is found by on the workspace, and the process to wait for.
type Begun = (String, Box<dyn Process>);

/// A command of this client, as far as the keeper knows it.
#[derive(Debug)]
pub(super) struct Visit {
    place: PathBuf,
    token: String,
    socket: Option<OwnedFd>,
    wants: bool,
    starts_keeper: bool,
    has_told: bool,
    is_over: bool,
}

impl Visit {
    /// Introduces a command before it starts; `None` if the transport has no spares.
    pub(super) fn begin(transport: &Transport, command: &RemoteCommand, streams: &Streams) -> Option<Visit> {
        let is_on = transport.spares == Spares::On && !transport.through_ssh;
        let types =
            matches!(streams.stdin, Stream::Inherit) && rustix::termios::isatty(rustix::stdio::stdin());
        let form = command.spare_form().filter(|_| is_on && !types && shell::fits(command.text()));
        let mut visit =
            Visit::introduced(transport, Hello { token: command.token().to_owned(), wants: form })?;
        visit.starts_keeper = is_on && visit.socket.is_none() && !is_refused(&transport.route.folder);
        Some(visit)
    }

    /// Like [`Visit::begin`], for a command or a shell of a person at a terminal.
    pub(super) fn of_terminal(transport: &Transport, command: Option<&RemoteCommand>) -> Option<Visit> {
        let token = command.map_or_else(token, |command| command.token().to_owned());
        Visit::introduced(transport, Hello { token, wants: None })
    }

    fn introduced(transport: &Transport, hello: Hello) -> Option<Visit> {
        let path = transport.route.control_path.as_deref().filter(|_| transport.spares != Spares::Never)?;
        let mut visit = Visit {
            place: socket_beside(path),
            token: hello.token.clone(),
            socket: None,
            wants: hello.wants.is_some(),
            starts_keeper: false,
            has_told: false,
            is_over: false,
        };
        visit.socket = introduce(&visit.place, &hello);
        Some(visit)
    }

    /// Runs the command in the spare, if there is one for it; `None` if nothing of the command was sent.
    pub(super) fn run(
        &mut self,
        transport: &Transport,
        command: &RemoteCommand,
        streams: &Streams,
        interrupt: &Interrupt,
    ) -> Result<Option<Begun>, Failure> {
        let taken = self
            .take(interrupt)
            .filter(|_| !interrupt.has_any())
            .zip(transport.route.control_path.as_deref());
        let Some((handed, path)) = taken else { return Ok(None) };
        self.token.clone_from(&handed.token);
        let process = process::run(path, handed, command, streams)?;
        if process.is_none() {
            command.token().clone_into(&mut self.token);
        }
        Ok(process.map(|process| (self.token.clone(), process)))
    }

    fn take(&mut self, interrupt: &Interrupt) -> Option<wire::Handed> {
        let socket = self.socket.as_ref().filter(|_| self.wants)?;
        self.wants = false;
        let deadline = Deadline::after(WAIT);
        loop {
            match wire::take(socket, deadline) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken.ok().flatten(),
            }
            if deadline.is_past() || interrupt.has_any() {
                return None;
            }
            let timeout = Timespec::try_from(deadline.remaining()).ok();
            let mut watched = [PollFd::new(socket, PollFlags::IN), PollFd::new(interrupt, PollFlags::IN)];
            let _ = rustix::event::poll(&mut watched, timeout.as_ref());
        }
    }

    /// Claims the command at once if no keeper knows it: the next keeper waits until no command is claimed.
    pub(super) fn claim(&self, transport: &Transport, hold: &Hold) {
        if self.starts_keeper {
            hold.claim(&transport.route.folder, &self.token);
        }
    }

    /// Starts a keeper if there is none. Not having one is no failure.
    pub(super) fn start_keeper(&mut self, transport: &Transport) {
        if std::mem::take(&mut self.starts_keeper) {
            let _ = start_keeper(transport);
        }
    }

    /// Tells the keeper that the connection has no room. Returns whether a spare may have taken it.
    pub(super) fn is_full(&mut self) -> bool {
        self.starts_keeper = false;
        let was_told = std::mem::replace(&mut self.has_told, true);
        !was_told && self.socket.as_ref().is_some_and(|socket| wire::say(socket, &[FULL]).is_ok())
    }

    /// Introduces the command to a keeper that does not know it yet, because it started later or replaced one that was killed.
    pub(super) fn is_ending(&mut self) {
        let is_known = self.socket.as_ref().is_some_and(|socket| {
            !matches!(wire::hear(socket, &mut [0]), Ok(0)) // the keeper sends nothing more; only its end can come
        });
        if !is_known {
            self.socket = introduce(&self.place, &Hello { token: self.token.clone(), wants: None });
        }
    }

    /// Tells the keeper that the command has ended, or never began.
    pub(super) fn finish(mut self) {
        self.is_over = true;
        if let Some(socket) = self.socket.take() {
            let _ = wire::say(socket, &[ENDED]);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take().filter(|_| !self.is_over) {
            let _ = wire::say(socket, &[LEFT]);
        }
    }
}

fn introduce(place: &Path, hello: &Hello) -> Option<OwnedFd> {
    if std::fs::symlink_metadata(place).is_err() {
        return None; // this costs less than trying
    }
    let socket = mux_socket::connect(place, Deadline::after(ACCEPT)).ok()?;
    (wire::is_own(&socket) && wire::say(&socket, &hello.bytes()).is_ok()).then_some(socket)
}

/// Where the keeper listens, beside the master's socket. The name is no longer than the master's, because the length of socket paths is
/// limited.
fn socket_beside(control_path: &Path) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut name = control_path.file_name().unwrap_or_default().as_bytes().to_vec();
    if let Some(last) = name.last_mut() {
        *last = b'%';
    }
    control_path.with_file_name(std::ffi::OsString::from_vec(name))
}

/// Whether a keeper has found that spares do not work on this connection.
fn is_refused(folder: &Path) -> bool {
    let said = atomic_file::read(&folder.join(FILE), 256).ok().flatten();
    said.is_some_and(|said| said.starts_with(OFF.as_bytes()))
}

/// Starts the keeper, which inherits the lock. So there is never a second one, not even one that waits.
fn start_keeper(transport: &Transport) -> io::Result<()> {
    let (route, path) = (&transport.route, transport.route.folder.join(FILE));
    let Some(control_path) = route.control_path.as_ref().filter(|_| master::is_visible(transport)) else {
        return Ok(()); // it would end with our sandbox
    };
    let mut file = platform::open_private(&path)?;
    if file.try_lock().is_err() || !platform::is_same_file(&file, &path)? || is_refused(&route.folder) {
        return Ok(());
    }
    say_state(&mut file, "")?;
    // This very program, even if another version has replaced its file.
    let own = if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() };
    let mut keeper = Command::new(own?);
    keeper.arg0("runcode").arg("spare").arg(control_path).arg(&route.folder);
    if matches!(route.way, Way::External(_)) {
        keeper.arg("--with-agent");
    }
    keeper.env_clear().current_dir("/");
    keeper.envs(Env::test_idle().map(|seconds| (Env::TEST_IDLE, seconds)));
    keeper.stdin(Stdio::from(file)).stdout(Stdio::null()).stderr(Stdio::null());
    new_session::lead_alone(&mut keeper);
    let mut child = keeper.spawn()?;
    // A parent that outlives it must not leave a zombie.
    let _ = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || child.wait());
    Ok(())
}

/// Writes into the keeper's file.
fn say_state(file: &mut File, state: &str) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    file.write_all(state.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keepers_socket_is_beside_the_masters() {
        assert_eq!(socket_beside(Path::new("/c/ws/master")), Path::new("/c/ws/maste%"));
        assert_eq!(socket_beside(Path::new("/c/ws/master-0a1b2c3d")), Path::new("/c/ws/master-0a1b2c3%"));
    }
}
