//! Workspaces of this machine start and stop by saying so; their processes are the gateway's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use runcode_plane::{Declined, Power, Task, Workspace, WorkspaceSpec};

use crate::workspace::Processes;

/// The power of folders.
pub(crate) struct Local {
    processes: Processes,
    gateway: SocketAddr,
    delay: Duration,
    /// By title: why it does not start, and why it does not stop.
    refusals: HashMap<String, (Option<String>, Option<String>)>,
}

impl Local {
    pub(crate) fn new(
        processes: Processes,
        gateway: SocketAddr,
        delay: Duration,
        specs: &[WorkspaceSpec],
    ) -> Self {
        let refusals = specs
            .iter()
            .map(|spec| (spec.title.clone(), (spec.refuse_start.clone(), spec.refuse_stop.clone())));
        Local { processes, gateway, delay, refusals: refusals.collect() }
    }

    fn after(&self, refusal: Option<String>) -> Task<'_, Result<Duration, Declined>> {
        Box::pin(std::future::ready(refusal.map_or(Ok(self.delay), |words| Err(Declined(words)))))
    }
}

impl Power for Local {
    fn start<'a>(&'a self, workspace: &'a Workspace) -> Task<'a, Result<Duration, Declined>> {
        self.after(self.refusals.get(&workspace.title).and_then(|(start, _)| start.clone()))
    }

    fn stop<'a>(&'a self, workspace: &'a Workspace) -> Task<'a, Result<Duration, Declined>> {
        self.after(self.refusals.get(&workspace.title).and_then(|(_, stop)| stop.clone()))
    }

    fn end_processes<'a>(&'a self, workspace: &'a Workspace) -> Task<'a, ()> {
        Box::pin(async {
            self.processes.end_all(Some(workspace.id)).await;
            self.processes.end_strays(self.gateway, Some(&workspace.dir)).await;
        })
    }
}
