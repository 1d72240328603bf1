//! Why an origin does not give what it was asked for, for code that has to decide what follows from it.

use crate::error::{Error, failures};

failures! {
    /// Why a name is not one workspace.
    pub enum Unresolved {
        /// The origin was asked, and nothing has the name.
        NotFound,
        /// Several workspaces have it.
        Ambiguous,
        ..
        /// The origin could not be asked, or did not answer the question.
        Failed,
    }
}

failures! {
    /// Why there is no grant.
    pub enum Ungranted {
        /// The origin could not be reached: it has not said no.
        Unreachable,
        /// The workspace is not running.
        NotRunning,
        /// The origin knows no such workspace, or not for this user.
        Gone,
        /// The origin said no, cannot be asked by this user, or answered with what is not safe to use.
        Refused,
        ..
        /// Anything else, here or there.
        Failed,
    }
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
                let start = "ask the user; then call `connect` with `start` true, or have them boot it if this server is read-only";
                error.hint(format!("boot it with `runcode connect {word} --start`")).for_tools(start)
            }
            other => other.into(),
        }
    }
}
