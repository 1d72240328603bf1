use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Why a plane could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address to listen on is reachable from other machines.
    #[error("{0} is not a loopback address; the embedded plane serves this machine alone")]
    NotLoopback(IpAddr),
    /// A workspace cannot be served as described.
    #[error("workspace `{title}`: {reason}")]
    Workspace {
        /// The title as given.
        title: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A user cannot be served as described.
    #[error("user `{email}`: {reason}")]
    User {
        /// The e-mail address as given.
        email: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A listener could not be opened.
    #[error("cannot listen on {address} for {what}: {source}")]
    Bind {
        /// `HTTP` or `SSH`.
        what: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or a thread could not be had.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path if there is one.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key could not be made or read.
    #[error("a gateway key: {0}")]
    Key(#[from] ssh_key::Error),
    /// The state folder holds something that this version cannot read, or is not for this user alone.
    #[error("the state in {path}: {reason}")]
    State {
        /// The database, or what is not this user's.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Says what was attempted when the system refused it.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::State { path: "the state folder".into(), reason: error.to_string() }
    }
}

/// The store cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);
