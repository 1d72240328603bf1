//! What starts and stops workspaces.

use std::time::Duration;

use crate::Task;
use crate::state::{Refusal, Workspace};

/// Starts and stops what a workspace runs on.
pub trait Power: Send + Sync {
    /// Begins to start it. The answer is how long it says `starting`.
    fn start<'a>(&'a self, workspace: &'a Workspace) -> Task<'a, Result<Duration, Declined>>;

    /// Begins to stop it. The answer is how long it says `stopping`. Its connections are still open.
    fn stop<'a>(&'a self, workspace: &'a Workspace) -> Task<'a, Result<Duration, Declined>>;

    /// Ends what still runs there. Called after a stop, once its connections are closed.
    fn end_processes<'a>(&'a self, workspace: &'a Workspace) -> Task<'a, ()>;
}

/// A refusal with words for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined(pub String);

impl From<Declined> for Refusal {
    fn from(Declined(words): Declined) -> Refusal {
        Refusal::Said(words)
    }
}
