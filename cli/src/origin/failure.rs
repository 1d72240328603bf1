//! Why an origin does not give what it was asked for, for code that has to decide what follows from it.

use crate::error::Error;

/// Why a name is not one workspace.
#[derive(Debug)]
pub enum Unresolved {
    /// The origin was asked, and nothing has the name.
    NotFound(Error),
    /// Several workspaces have it.
    Ambiguous(Error),
    /// The origin could not be asked, or did not answer the question.
    Failed(Error),
}

/// Why there is no grant.
#[derive(Debug)]
pub enum Ungranted {
    /// The origin could not be reached: it has not said no.
    Unreachable(Error),
    /// The workspace is not running.
    NotRunning(Error),
    /// The origin knows no such workspace, or not for this user.
    Gone(Error),
    /// The origin said no, cannot be asked by this user, or answered with what is not safe to use.
    Refused(Error),
    /// Anything else, here or there.
    Failed(Error),
}

impl Ungranted {
    /// Whether the origin said no, as opposed to saying nothing.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Ungranted::NotRunning(_) | Ungranted::Gone(_) | Ungranted::Refused(_))
    }

    /// The error about the workspace that commands take `word` for.
    pub fn about(self, word: &str) -> Error {
        match self {
            Ungranted::NotRunning(error) => {
                error.hint(format!("boot it with `runcode connect {word} --start`"))
            }
            other => other.into(),
        }
    }
}

impl From<Error> for Unresolved {
    fn from(error: Error) -> Unresolved {
        Unresolved::Failed(error)
    }
}

impl From<Unresolved> for Error {
    fn from(failure: Unresolved) -> Error {
        match failure {
            Unresolved::NotFound(error) | Unresolved::Ambiguous(error) | Unresolved::Failed(error) => error,
        }
    }
}

impl From<Error> for Ungranted {
    fn from(error: Error) -> Ungranted {
        Ungranted::Failed(error)
    }
}

impl From<Ungranted> for Error {
    fn from(failure: Ungranted) -> Error {
        match failure {
            Ungranted::Unreachable(error)
            | Ungranted::NotRunning(error)
            | Ungranted::Gone(error)
            | Ungranted::Refused(error)
            | Ungranted::Failed(error) => error,
        }
    }
}
