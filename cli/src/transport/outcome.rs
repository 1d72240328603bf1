//! How starting and waiting for a remote command ends.

use std::time::Duration;

use crate::error::{Error, failures};
use crate::transport::late::Late;

/// Why a command was not started, as far as it is known. What decides is whether it may be asked for again.
#[derive(Debug)]
pub enum Failure {
    /// No connection is up. Nothing was started: bring one up and ask again.
    NoMaster(Error),
    /// The connection is up and has no room for another command (`MaxSessions`). Nothing was started, and a new
    /// connection would only cut off those that run.
    Busy(Error),
    /// The connection is dead, or could not be made. Nothing was started: renew it and ask again.
    NotStarted(Error),
    /// We requested it and heard nothing. It may still start, so nobody may request it again.
    Late(Late),
    /// It was interrupted before anything was started.
    Interrupted(Error),
    /// The command may have run, in part or whole: never ask again.
    MayHaveStarted(Error),
}

impl Failure {
    /// The failure as it is told to the user.
    pub fn into_error(self) -> Error {
        match self {
            Failure::NoMaster(error)
            | Failure::Busy(error)
            | Failure::NotStarted(error)
            | Failure::Interrupted(error) => error,
            Failure::MayHaveStarted(error) => error.maybe_begun(),
            #[cfg(unix)]
            Failure::Late(late) => late.unresolved().maybe_begun(),
            #[cfg(windows)]
            Failure::Late(late) => match late {},
        }
    }
}

/// How long to wait for a command, and whether a signal ends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// When the remote command is ended.
    pub timeout: Option<Duration>,
    /// Whether an interrupt, a hangup or a request to terminate is passed on to the remote command. When not, signals do
    /// to this process whatever they do.
    pub interruptible: bool,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ended by itself with this status.
    Status(u8),
    /// Nothing tells how: the outermost shell was killed, or the connection went. The command may still be running.
    NoStatus,
    /// A signal came here and was passed on, or the command was cancelled.
    Interrupted {
        /// The signal's number; SIGINT's when it was cancelled.
        signal: i32,
        /// Whether the remote process group is gone for certain.
        remote_ended: bool,
    },
    /// The time was up.
    TimedOut {
        /// Whether the remote process group is gone for certain.
        remote_ended: bool,
    },
}

failures! {
    /// Why a connection was not ended.
    pub enum Unended {
        /// Another user's process listens in the master's place: nothing was done.
        Foreign,
        ..
        /// A file of it could not be read or removed.
        Io,
    }
}

failures! {
    /// Why a forward was not opened.
    pub enum Unforwarded {
        /// The side that was to listen does not: the port is taken there, or may not be listened on.
        NoListener,
        ..
        /// Anything else.
        Failed,
    }
}

/// Why no connection could be made, for whoever can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The name is unknown, or nothing answers.
    Unreachable,
    /// Nothing listens there.
    Refused,
    /// The server closed the connection before the login: it is busy, or restarting.
    Dropped,
    /// The gateway does not take the key: the session may be over.
    AuthRejected,
    /// The gateway shows a host key other than the pinned one.
    HostKey,
    /// This machine does not let us connect (a sandbox).
    Forbidden,
    /// There is no ssh client, or it refuses to run for this user.
    NoClient,
    /// The folder for the connection's socket takes none.
    NoSocket,
    /// Anything else.
    Other,
}

impl Cause {
    /// Whether the failure came before the other side could accept or reject us.
    pub fn is_out_of_reach(self) -> bool {
        matches!(self, Cause::Unreachable | Cause::Refused | Cause::Dropped)
    }

    /// How long to wait before the next try, after this many; `None` if another try is useless. `is_new`: the gateway may not
    /// know the key yet.
    pub fn pause(self, tries: usize, is_new: bool) -> Option<Duration> {
        let pauses: &[u64] = match self {
            Cause::Dropped => &[300, 600, 1200, 1800],
            Cause::Refused => &[500],
            Cause::AuthRejected if is_new => &[1000, 1500, 2000, 3000],
            _ => &[],
        };
        pauses.get(tries).copied().map(Duration::from_millis)
    }
}

/// How long to keep starting new tries; one that has started may finish.
pub const TRIES: Duration = Duration::from_secs(8);

/// A connection that could not be made.
#[derive(Debug)]
pub struct Unconnected {
    /// Why.
    pub cause: Cause,
    /// What the user is told.
    pub error: Error,
}

impl From<Unconnected> for Error {
    fn from(failed: Unconnected) -> Error {
        failed.error
    }
}
