//! Who may log in: the holder of a key with a live grant for the workspace that is named as the user.

use runcode_plane::{Authority, Grant, State, Workspace};
use ssh_key::Certificate;
use ssh_key::public::KeyData;

/// Whether a signature by `key` is worth asking for.
pub(crate) async fn is_known(state: &State, user: &str, key: &KeyData) -> bool {
    state.admit(user, key).await.is_some()
}

/// The session that a proven `key` alone opens.
pub(crate) async fn by_key(state: &State, user: &str, key: &KeyData) -> Option<(Workspace, Grant)> {
    state.admit(user, key).await.filter(|(_, grant)| !grant.certified)
}

/// The session that a proven key opens with a certificate of ours over it.
pub(crate) async fn by_certificate(
    state: &State,
    authority: &Authority,
    user: &str,
    certificate: &Certificate,
) -> Option<(Workspace, Grant)> {
    let admitted = state.admit_certified(user, certificate.public_key(), certificate.serial()).await;
    admitted.filter(|_| authority.vouches(certificate, user))
}
