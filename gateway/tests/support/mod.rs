//! A plane of its own for each test, an HTTP client, and the system's `ssh` with nothing of the user's.

pub(crate) mod chromium;
pub(crate) mod http;
pub(crate) mod session;
pub(crate) mod sshd;

use runcode_gateway::{CredentialMode, Options, Plane, WorkspaceSpec};
use tempfile::TempDir;

/// A running plane with one running workspace, `box-1`.
pub(crate) struct Fixture {
    pub(crate) plane: Plane,
    /// The workspace's folder.
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With the options changed by `change`; the workspace is there already.
    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut workspace = WorkspaceSpec::new("box-1", folder.path());
        workspace.running = true;
        let mut options = Options { workspaces: vec![workspace], ..Options::default() };
        // As in the tests of the whole: every one holds in both modes.
        if std::env::var_os("RUNCODE_TEST_CREDENTIAL").is_some_and(|mode| mode == "certificate") {
            options.credential = CredentialMode::Certificate;
        }
        change(&mut options);
        Fixture { plane: Plane::start(options).unwrap(), folder }
    }

    /// A session on workspace 1 with a fresh key.
    pub(crate) fn session(&self) -> session::Session {
        session::Session::new(&self.plane, 1)
    }
}

/// Waits for `done`, at most ten seconds.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
