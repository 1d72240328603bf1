//! What a plane with a state folder remembers.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use runcode_plane::{CredentialMode, Error, Options, Plane, WorkspaceSpec};
use ssh_key::{Algorithm, PrivateKey};

use crate::support::session::mint;
use crate::support::{http, wait_for};

fn start(state: &Path, workspaces: Vec<WorkspaceSpec>) -> Plane {
    let (state, credential) = (Some(state.to_owned()), CredentialMode::Certificate);
    let boot_delay = std::time::Duration::from_millis(50);
    Plane::start(Options { state, credential, workspaces, boot_delay, ..Options::default() }).unwrap()
}

fn titles(plane: &Plane, token: &str) -> String {
    http::call(&plane.api_base(), token, "GET", "/workspaces?category=active", "").body
}

#[test]
fn workspaces_tokens_and_keys_outlive_the_plane_and_sessions_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut spec = WorkspaceSpec::new("kept-1", folder.path());
    spec.custom_title = Some("Mine".into());
    let plane = start(&state, vec![spec]);
    let (token, host_key) = (plane.token().to_owned(), plane.host_key());
    let started = http::call(&plane.api_base(), &token, "GET", "/workspace/start?workspace_id=1", "");
    assert_eq!(started.status, 200);
    wait_for("the workspace", || titles(&plane, &token).contains("\"running\""));
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    assert_eq!(mint(&plane, 1, &key, 60).status, 200);
    let busy = Plane::start(Options { state: Some(state.clone()), ..Options::default() });
    assert!(matches!(busy, Err(Error::State { reason, .. }) if reason == "another server uses it"));
    plane.stop();

    let plane = start(&state, Vec::new());
    assert_eq!(plane.host_key(), host_key);
    let list = titles(&plane, &token);
    assert!(list.contains("kept-1") && list.contains("Mine") && list.contains("\"running\""), "{list}");
    assert_eq!(titles(&plane, plane.token()), list);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("plane.sqlite3"))), (0o700, 0o600));
    let bytes = std::fs::read(state.join("plane.sqlite3")).unwrap();
    let plain = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!plain(&token), "a token is only kept as a hash");
}
