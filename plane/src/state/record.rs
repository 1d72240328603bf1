//! How workspaces and grants are written down.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;

use super::{Grant, Lifecycle, Workspace};

#[derive(Serialize, Deserialize)]
pub(super) struct WorkspaceRecord {
    id: u64,
    title: String,
    custom_title: Option<String>,
    provider: String,
    owner: String,
    shared: bool,
    dir: PathBuf,
    phase: Phase,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    Stopped,
    Starting(u64),
    Running,
    Stopping(u64),
}

impl From<&Workspace> for WorkspaceRecord {
    fn from(workspace: &Workspace) -> Self {
        WorkspaceRecord {
            id: workspace.id,
            title: workspace.title.clone(),
            custom_title: workspace.custom_title.clone(),
            provider: workspace.provider.clone(),
            owner: workspace.owner.clone(),
            shared: workspace.shared,
            dir: workspace.dir.clone(),
            phase: match workspace.lifecycle {
                Lifecycle::Stopped => Phase::Stopped,
                Lifecycle::Starting { until } => Phase::Starting(millis(until)),
                Lifecycle::Running => Phase::Running,
                Lifecycle::Stopping { until } => Phase::Stopping(millis(until)),
            },
        }
    }
}

impl From<WorkspaceRecord> for Workspace {
    fn from(record: WorkspaceRecord) -> Self {
        Workspace {
            id: record.id,
            title: record.title,
            custom_title: record.custom_title,
            provider: record.provider,
            owner: record.owner,
            shared: record.shared,
            dir: record.dir,
            lifecycle: match record.phase {
                Phase::Stopped => Lifecycle::Stopped,
                Phase::Starting(until) => Lifecycle::Starting { until: time(until) },
                Phase::Running => Lifecycle::Running,
                Phase::Stopping(until) => Lifecycle::Stopping { until: time(until) },
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct GrantRecord {
    serial: u64,
    workspace: u64,
    user: String,
    client: String,
    key: String,
    expires: u64,
    certified: bool,
}

impl From<&Grant> for GrantRecord {
    fn from(grant: &Grant) -> Self {
        GrantRecord {
            serial: grant.serial,
            workspace: grant.workspace,
            user: grant.user.clone(),
            client: grant.client.clone(),
            key: PublicKey::from(grant.key.clone()).to_openssh().unwrap_or_default(),
            expires: millis(grant.expires),
            certified: grant.certified,
        }
    }
}

impl GrantRecord {
    /// The grant, unless its key cannot be read.
    pub(super) fn grant(&self) -> Option<Grant> {
        Some(Grant {
            serial: self.serial,
            workspace: self.workspace,
            user: self.user.clone(),
            client: self.client.clone(),
            key: PublicKey::from_openssh(&self.key).ok()?.key_data().clone(),
            expires: time(self.expires),
            certified: self.certified,
        })
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(1 << 50))
}
