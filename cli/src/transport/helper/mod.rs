//! The helper: a process outside of an agent's sandbox that runs remote commands for the runcodes inside of it.
//!
//! The sandboxes of Claude Code and Codex let no program connect to a socket or write to the cache. But a FIFO can be opened for
//! writing there, and a read-only descriptor can be locked. So each command takes one of the slots, folders below
//! `<cache>/helper/` that only the user can enter:
//!
//! - `lock`: held while a client has the slot, and while the helper prepares it;
//! - `req`: the client's request, one line. It stays open as long as somebody waits for the command;
//! - `in`, `out`, `err`: the command's streams;
//! - `end`: what the helper answers, a line each.
//!
//! The helper makes the FIFOs of a slot anew for each client: nothing that one leaves behind reaches the next. Either side notices
//! that the other has died because its ends close.

mod client;
mod server;

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::sys::env::{Env, Var};
use crate::sys::platform;
use crate::transport::outcome::Ended;

pub use client::start;
pub use server::{Exchange, serve};

/// How many commands can run at once.
pub const SLOTS: usize = 16;

/// The longest request, in bytes: the longest command and the longest secrets, as base64.
const MAX_REQUEST: usize = 512 * 1024;

/// The version of what the two say to each other.
const VERSION: u32 = 1;

const LOCK: &str = "lock";
const REQUEST: &str = "req";
const INPUT: &str = "in";
const OUTPUT: &str = "out";
const ERRORS: &str = "err";
const END: &str = "end";

/// A remote command, as a client asks for it.
#[derive(Serialize, Deserialize)]
struct Request {
    version: u32,
    /// Which workspace: a key of a session.
    session: serde_json::Value,
    /// The command's text, as base64: it is not always Unicode.
    text: String,
    token: String,
    private: Option<String>,
    /// Whether the client gives it something to read.
    reads: bool,
}

/// A line of the helper's: what it answers, and to whom. A client that took a slot just when another one died there may see what
/// was meant for that one.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    token: String,
    answer: Answer,
}

/// What the helper answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The command was started, or may have been.
    Started,
    /// It ended with this status.
    Status(u8),
    /// Nothing tells how it ended.
    NoStatus,
    /// The client gave it up; whether it has ended for certain.
    GivenUp(bool),
    /// It was not started, or its end is unknown.
    Failed { code: String, message: String, hint: Option<String>, may_have_begun: bool },
}

impl Answer {
    fn of_error(error: &Error) -> Answer {
        Answer::Failed {
            code: error.code().as_str().to_owned(),
            message: error.message().to_owned(),
            hint: error.next_step().map(str::to_owned),
            may_have_begun: error.may_have_begun(),
        }
    }

    fn of_end(ended: Ended) -> Answer {
        match ended {
            Ended::Status(status) => Answer::Status(status),
            Ended::NoStatus => Answer::NoStatus,
            Ended::Interrupted { remote_ended, .. } | Ended::TimedOut { remote_ended } => {
                Answer::GivenUp(remote_ended)
            }
        }
    }
}

/// An error of the helper's.
fn error_of(code: &str, message: String, hint: Option<String>, may_have_begun: bool) -> Error {
    let code = Code::ALL.iter().find(|known| known.as_str() == code).copied().unwrap_or(Code::Error);
    let error = Error::new(code, message);
    let error = match hint {
        Some(hint) => error.hint(hint),
        None => error,
    };
    if may_have_begun { error.maybe_begun() } else { error }
}

/// The folder of a slot.
pub fn slot(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("slot-{number}"))
}

/// Whether this process runs in a sandbox of an agent that lets it connect to no socket.
pub fn is_cut_off(env: &Env) -> bool {
    let marks = [Var::CodexSandboxNetworkDisabled, Var::SandboxRuntime];
    marks.into_iter().any(|mark| env.var(mark).is_some()) && is_connecting_forbidden()
}

/// Whether the system refuses to connect a socket, wherever it would lead. Nobody listens at the place that this tries.
fn is_connecting_forbidden() -> bool {
    let connected = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).and_then(|socket| {
        let nowhere = SocketAddrUnix::new("/dev/null/none")?;
        rustix::net::connect(&socket, &nowhere)
    });
    matches!(connected, Err(Errno::PERM | Errno::ACCESS))
}

/// Whether a helper has this folder.
pub fn is_running(folder: &Path) -> bool {
    let file = File::open(folder.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

/// The file that a helper has locked for as long as it lives.
pub fn lock_file(folder: &Path) -> PathBuf {
    folder.join(LOCK)
}

/// Opens a FIFO of this user's without waiting for its other end, and nothing else. Reads and writes on it do not wait either.
fn open(path: &Path, writes: bool) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file =
        File::options().read(!writes).write(writes).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    let kind = FileType::from_raw_mode(std::os::unix::fs::MetadataExt::mode(&metadata));
    if kind == FileType::Fifo && platform::is_own(&metadata) {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Has reads and writes wait from now on.
fn wait_on(file: &File) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests;
