//! The keeper of a session's spare channel: a process that opens one when nothing runs, and hands it to the next command.
//!
//! It ends with the session's master, or a minute after the last command, and holds neither keys nor secrets. The client of every
//! command of the session stays connected to the keeper while the command runs, so the keeper knows when nothing does.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::env::Env;
use crate::sys::{atomic_file, platform};
use crate::transport::lost::{self, Claim};
use crate::transport::mux_socket::Connection;
use crate::transport::spare::channel::{Channel, Progress};
use crate::transport::spare::wire::{self, ENDED, FULL, Hello, LEFT, NONE};
use crate::transport::spare::{FILE, Form, OFF, say_state, socket_beside};

/// How long the keeper and its spare stay after the last command.
const IDLE: Duration = Duration::from_secs(60);

/// How long a client may take to introduce its command.
const INTRODUCTION: Duration = Duration::from_millis(100);

/// How long it may take to hand a spare over.
const HAND: Duration = Duration::from_secs(1);

/// How often to check what nobody reports: the session's files, and commands that no keeper knew.
const LOOK: Duration = Duration::from_secs(1);

/// Like [`LOOK`], while a command that no keeper knew is running.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long to wait before the next spare after one that no command could use. Each further one doubles the wait.
const WASTED: Duration = Duration::from_millis(50);

/// How many times the wait is doubled at most.
const DOUBLED: u32 = 7;

/// Keeps a spare for the session in `folder`, whose master listens at `control_path`, until that ends. Stdin is the session's `spare`
/// file, which the process that started this one has locked.
pub fn keep(control_path: &Path, folder: &Path, with_agent: bool) -> Result<()> {
    let failed = |error| Error::io("keep a spare channel", error);
    let mut file = File::from(rustix::stdio::stdin().try_clone_to_owned().map_err(failed)?);
    let path = folder.join(FILE);
    if !platform::is_same_file(&file, &path).map_err(failed)? || file.try_lock().is_err() {
        return Ok(());
    }
    say_state(&mut file, &state("opening")).map_err(failed)?;
    let masters_file = identity(control_path);
    let Ok(master) = Connection::open(control_path, Deadline::after(wire::MASTER)) else {
        return say_state(&mut file, "").map_err(failed);
    };
    let place = socket_beside(control_path);
    atomic_file::remove(&place)?;
    let listener = UnixListener::bind(&place).map_err(failed)?;
    platform::set_mode(&place, 0o600).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let (folder, control_path) = (folder.to_owned(), control_path.to_owned());
    let mut keeper = Keeper {
        folder,
        control_path,
        with_agent,
        file,
        listener,
        master,
        masters_file,
        visitors: Vec::new(),
        channel: None,
        is_wanted: true,
        is_doubtful: false,
        wasted: 0,
        not_before: Instant::now(),
        last_use: Instant::now(),
        idle: idle(),
        refused: None,
        said: "",
    };
    keeper.serve();
    let last = keeper.refused.map_or_else(String::new, |why| format!("{OFF} {why}"));
    drop(keeper.channel.take());
    let _ = atomic_file::remove(&place);
    say_state(&mut keeper.file, &last).map_err(failed)
}

fn idle() -> Duration {
    let tested = Env::test_idle().and_then(|seconds| seconds.to_str()?.parse().ok());
    tested.map_or(IDLE, Duration::from_secs)
}

/// What identifies a file.
fn identity(path: &Path) -> Option<[i64; 4]> {
    use std::os::unix::fs::MetadataExt as _;
    // A new file may get the inode number of a removed one.
    std::fs::symlink_metadata(path)
        .ok()
        .map(|file| [file.dev().cast_signed(), file.ino().cast_signed(), file.ctime(), file.ctime_nsec()])
}

fn state(word: &str) -> String {
    format!("{} {word}", std::process::id())
}

/// A command that runs, or is about to.
struct Visitor {
    socket: OwnedFd,
    /// The token by which it is found on the workspace.
    token: Option<String>,
    /// The form of a command that still waits for the spare.
    waits: Option<Form>,
}

struct Keeper {
    folder: PathBuf,
    control_path: PathBuf,
    with_agent: bool,
    file: File,
    listener: UnixListener,
    /// Held only to notice when it ends.
    master: Connection,
    /// Identifies the master's socket: another master's may take its place.
    masters_file: Option<[i64; 4]>,
    visitors: Vec<Visitor>,
    channel: Option<Channel>,
    /// Whether to open a spare when no command runs.
    is_wanted: bool,
    /// Whether a command may still run that nobody waits for.
    is_doubtful: bool,
    /// How many spares in a row no command could use.
    wasted: u32,
    not_before: Instant,
    last_use: Instant,
    idle: Duration,
    /// Why there can be no spare.
    refused: Option<&'static str>,
    /// What the session's file says.
    said: &'static str,
}

impl Keeper {
    fn serve(&mut self) {
        loop {
            self.accept();
            self.hear();
            self.advance();
            if self.is_over() {
                return;
            }
            self.hand_over();
            let pause = self.open();
            self.say_state();
            self.wait(pause);
        }
    }

    /// Accepts new commands, in the order in which they came.
    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let socket = OwnedFd::from(socket);
            if !wire::is_own(&socket) || rustix::io::ioctl_fionbio(&socket, true).is_err() {
                continue;
            }
            let hello = introduction(&socket);
            self.last_use = Instant::now();
            // A command from another machine, or one that found no keeper, is claimed.
            let is_alone = self.visitors.is_empty() && !lost::has_any(&self.folder);
            let wish = hello.as_ref().and_then(|hello| hello.wants);
            let suits = |channel: &Channel| wish.is_some_and(|form| channel.suits(form));
            let waits = wish.filter(|_| is_alone && self.channel.as_ref().is_some_and(suits));
            if waits.is_none() {
                // It runs beside the next command, and may change what the shell has read.
                self.waste();
                if wish.is_some() {
                    let _ = wire::say(&socket, &[NONE]);
                }
            }
            self.visitors.push(Visitor { socket, token: hello.map(|hello| hello.token), waits });
        }
    }

    /// Closes the spare, if there is one.
    fn waste(&mut self) {
        self.refuse_waiting();
        if self.channel.take().is_some() {
            self.not_before = Instant::now() + WASTED * 2_u32.pow(self.wasted);
            self.wasted = (self.wasted + 1).min(DOUBLED);
        }
    }

    fn refuse_waiting(&mut self) {
        for visitor in &mut self.visitors {
            if visitor.waits.take().is_some() {
                let _ = wire::say(&visitor.socket, &[NONE]);
            }
        }
    }

    /// Reads from the clients how their commands end.
    fn hear(&mut self) {
        let (folder, mut has_ended) = (self.folder.clone(), false);
        let (refused, is_doubtful) = (&mut self.refused, &mut self.is_doubtful);
        self.visitors.retain(|visitor| {
            let mut word = [0];
            match wire::hear(&visitor.socket, &mut word) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Ok(1) if word[0] == FULL => {
                    *refused = Some("the connection has no room for it (MaxSessions)");
                    return true;
                }
                Ok(1) if word[0] == ENDED => {}
                Ok(1) if word[0] == LEFT => *is_doubtful = true,
                // Its client was killed: the next client ends it, and no spare is opened before.
                _ => *is_doubtful |= !visitor.token.as_ref().is_some_and(|token| leave(&folder, token)),
            }
            has_ended = true;
            false
        });
        if has_ended {
            (self.is_wanted, self.last_use) = (true, Instant::now());
        }
    }

    /// Reads what the master and the spare's shell have sent.
    fn advance(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        match channel.advance() {
            Progress::Goes => {}
            Progress::Gone => self.forget(),
            Progress::Refused(why) => {
                self.forget();
                self.refused = Some(why);
            }
        }
    }

    /// Does without the spare until the next command has ended.
    fn forget(&mut self) {
        self.channel = None;
        self.refuse_waiting();
    }

    fn is_over(&mut self) -> bool {
        let is_idle = self.visitors.is_empty() && self.last_use.elapsed() > self.idle;
        let is_gone = !matches!(self.master.next(), Ok(None));
        let is_replaced = !platform::is_same_file(&self.file, &self.folder.join(FILE)).is_ok_and(|same| same)
            || identity(&self.control_path) != self.masters_file;
        is_idle || is_gone || is_replaced || self.refused.is_some()
    }

    /// Hands the spare to a client that waits for it.
    fn hand_over(&mut self) {
        let Some(visitor) = self.visitors.iter_mut().find(|visitor| visitor.waits.is_some()) else { return };
        let Some(channel) = self.channel.take_if(|channel| channel.is_ready()) else { return };
        let form = visitor.waits.take();
        if let Some(handed) =
            channel.into_handed().filter(|(is_bash, _)| *is_bash || form == Some(Form::Evaluated))
        {
            let token = handed.1.token.clone();
            if wire::hand(&visitor.socket, &handed.1, Deadline::after(HAND)).is_ok() {
                visitor.token = Some(token);
                self.wasted = 0;
            }
        } else {
            let _ = wire::say(&visitor.socket, &[NONE]);
        }
    }

    /// Opens a spare if it is time. Otherwise, returns how long nothing needs to be done.
    fn open(&mut self) -> Duration {
        if !self.is_wanted || self.is_doubtful || !self.visitors.is_empty() || self.channel.is_some() {
            return LOOK;
        }
        let pause = self.not_before.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            return pause;
        }
        if lost::has_any(&self.folder) {
            return LOOK_AGAIN;
        }
        self.is_wanted = false;
        self.channel = Channel::open(&self.control_path, self.with_agent);
        LOOK
    }

    fn wait(&self, pause: Duration) {
        let mut watched =
            vec![PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.master, PollFlags::IN)];
        watched.extend(self.visitors.iter().map(|visitor| PollFd::new(&visitor.socket, PollFlags::IN)));
        let channel = self.channel.iter().flat_map(Channel::watched);
        watched.extend(channel.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = Timespec::try_from(pause).ok();
        let _ = rustix::event::poll(&mut watched, timeout.as_ref());
    }

    /// Writes the state to the session's folder if it has changed.
    fn say_state(&mut self) {
        let word = match &self.channel {
            _ if !self.visitors.is_empty() => "busy",
            Some(channel) if channel.is_ready() => "ready",
            Some(_) => "opening",
            None if self.is_wanted && !self.is_doubtful => "opening",
            None => "none",
        };
        if self.said != word && say_state(&mut self.file, &state(word)).is_ok() {
            self.said = word;
        }
    }
}

/// How the client introduces its command. A client that says nothing in time still counts as having one.
fn introduction(socket: &OwnedFd) -> Option<Hello> {
    let mut bytes = [0; wire::HELLO];
    let timeout = Timespec::try_from(INTRODUCTION).ok();
    let _ =
        rustix::event::poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)], timeout.as_ref());
    let count = wire::hear(socket, &mut bytes).ok()?;
    bytes.get(..count).and_then(Hello::parse)
}

/// Leaves a command whose client was killed to the next client. Returns whether that worked.
fn leave(folder: &Path, token: &str) -> bool {
    lost::is_claimed(folder, token) || Claim::of(folder, token).map(Claim::leave).is_some()
}
