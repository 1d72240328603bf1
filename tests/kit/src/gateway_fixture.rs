//! A plane alone, for tests that need no user: they speak HTTP and run the system's `ssh`.

use runcode_gateway::{CredentialMode, Options, Plane, WorkspaceSpec};
use tempfile::TempDir;

use crate::ssh_session::SshSession;
use crate::with_certificates;

/// A running plane with one running workspace, `box-1`.
pub struct GatewayFixture {
    pub plane: Plane,
    /// The workspace's folder.
    pub folder: TempDir,
}

impl GatewayFixture {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With the options changed by `change`; the workspace is there already.
    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut workspace = WorkspaceSpec::new("box-1", folder.path());
        workspace.running = true;
        let mut options = Options { workspaces: vec![workspace], ..Options::default() };
        if with_certificates() {
            options.credential = CredentialMode::Certificate;
        }
        change(&mut options);
        GatewayFixture { plane: Plane::start(options).unwrap(), folder }
    }

    /// A session on workspace 1 with a fresh key.
    pub fn session(&self) -> SshSession {
        SshSession::new(&self.plane, 1)
    }
}
