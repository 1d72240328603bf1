//! The helper: a process outside an agent's sandbox that runs remote commands for the runcodes inside.
//!
//! In the sandboxes of Claude Code and Codex, a program cannot connect to a socket or write to the cache. But it can open a FIFO for
//! writing, and lock a read-only descriptor. So each command takes one of the slots, which are folders below `<cache>/helper/` that
//! only the user can enter:
//!
//! - `lock`: held while a client has the slot, and while the helper prepares it;
//! - `req`: the client's request, one line. The client keeps it open as long as it waits for the command;
//! - `in`, `out`, `err`: the command's streams;
//! - `end`: the helper's answers, one per line.
//!
//! The helper makes new FIFOs for each client of a slot, so nothing that one leaves behind by mistake reaches the next. Each side
//! notices the other's death because the other's ends close. Nothing here keeps the processes of a user apart: each can read and write
//! all of it. So a request is written once, and its command may have run whatever the answer is.

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

/// The version of the protocol between helper and client.
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
    /// The session key of the workspace.
    session: serde_json::Value,
    /// The command's text, as base64 because it need not be Unicode.
    text: String,
    token: String,
    private: Option<String>,
    /// Whether the client gives it something to read.
    reads: bool,
}

/// A line from the helper: an answer, and the client it is for. A client that takes a slot just when another one dies there may see
/// an answer to the other, which tells it nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    token: String,
    answer: Answer,
}

/// An answer from the helper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The command was started, or may have been.
    Started,
    /// The command ended with this status.
    Status(u8),
    /// How the command ended is unknown.
    NoStatus,
    /// The client gave the command up. Says whether it has certainly ended.
    GivenUp(bool),
    /// The command was not started, or how it ended is unknown.
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

/// An error from the helper.
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

/// Whether this process runs in an agent's sandbox that forbids sockets.
pub fn is_cut_off(env: &Env) -> bool {
    let marks = [Var::CodexSandboxNetworkDisabled, Var::SandboxRuntime];
    marks.into_iter().any(|mark| env.var(mark).is_some()) && is_connecting_forbidden()
}

/// Whether the system refuses to connect any socket. Nothing can listen at the path that this tries.
fn is_connecting_forbidden() -> bool {
    let connected = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).and_then(|socket| {
        let nowhere = SocketAddrUnix::new("/dev/null/none")?;
        rustix::net::connect(&socket, &nowhere)
    });
    matches!(connected, Err(Errno::PERM | Errno::ACCESS))
}

/// Whether a helper serves this folder.
pub fn is_running(folder: &Path) -> bool {
    let file = File::open(folder.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

/// The file that a helper keeps locked as long as it lives.
pub fn lock_file(folder: &Path) -> PathBuf {
    folder.join(LOCK)
}

/// Opens a FIFO that this user owns, and nothing else, without waiting for its other end. Reads and writes do not wait either.
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

/// Makes reads and writes wait from now on.
fn wait_on(file: &File) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests;
