//! Who may log in: the holder of a key with a live grant for the workspace that is named as the user.

use ssh_key::public::KeyData;

use crate::state::{Grant, State, Workspace};

/// Whether a signature by `key` is worth asking for.
pub(super) fn is_known(state: &State, user: &str, key: &KeyData) -> bool {
    state.admit(user, key).is_some()
}

/// The session that a proven `key` alone opens.
pub(super) fn by_key(state: &State, user: &str, key: &KeyData) -> Option<(Workspace, Grant)> {
    state.admit(user, key).filter(|(_, grant)| !grant.certified)
}
