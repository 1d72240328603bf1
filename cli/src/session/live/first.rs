//! Whether any connection has used a session yet. The gateway may learn its key some seconds after the control plane granted
//! it. Until then no connection succeeds, and another session would do no better.

use jiff::{SignedDuration, Timestamp};

use crate::grant::Access;
use crate::session::Session;
use crate::sys::atomic_file;

/// The name of the file that records which grant a connection was made with.
const SERVED: &str = "served";

/// How long an unused session counts as new.
const NEW: SignedDuration = SignedDuration::from_secs(60);

/// Whether it was granted within the last minute and no connection has used it since.
pub(super) fn is_new(session: &Session, now: Timestamp) -> bool {
    let Some(granted_at) = granted_at(session) else { return false };
    let age = now.duration_since(granted_at);
    !age.is_negative() && age < NEW && !has_served(session, granted_at)
}

/// When our key was granted; `None` for a host that the user's own ssh logs in to.
fn granted_at(session: &Session) -> Option<Timestamp> {
    session.meta.granted_at.filter(|_| matches!(session.meta.access, Access::Gateway(_)))
}

fn has_served(session: &Session, granted_at: Timestamp) -> bool {
    let served = atomic_file::read(&session.folder.join(SERVED), 64).ok().flatten();
    served.is_some_and(|text| text == granted_at.to_string().as_bytes())
}

/// Records that a connection has used it.
pub(super) fn served(session: &Session) {
    let Some(granted_at) = granted_at(session) else { return };
    if !has_served(session, granted_at) {
        // If this fails, we only give up a session later whose key is revoked within its first minute.
        let _ = atomic_file::write_unsynced(
            &session.folder.join(SERVED),
            granted_at.to_string().as_bytes(),
            0o600,
        );
    }
}
