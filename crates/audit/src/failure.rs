//! Why a record cannot be written.

use std::io;
use std::path::PathBuf;

/// Why a record cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file cannot be made, read or written.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What was tried, such as `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another program has held the lock for too long.
    #[error("another program holds {}", .0.display())]
    Busy(PathBuf),
    /// Records are missing, or are not what was written.
    #[error("{0}")]
    Lost(Loss),
    /// The record is larger than any may be.
    #[error("the record is longer than {0} bytes")]
    TooLong(usize),
    /// The random generator of the system does not work.
    #[error("the system's random generator does not work")]
    NoRandom,
}

/// How records were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// There is no log, and there was one.
    #[error("the log is missing")]
    Missing,
    /// The log is shorter than it was.
    #[error("the end of the log is cut off")]
    Cut,
    /// The end of the log is not what was written.
    #[error("the end of the log was changed")]
    Changed,
    /// What the log has to end with is not known any more.
    #[error("the state file beside the log is missing or damaged")]
    State,
}

impl Failure {
    pub(crate) fn io(doing: &'static str, path: &std::path::Path, source: io::Error) -> Failure {
        Failure::Io { doing, path: path.to_owned(), source }
    }
}
