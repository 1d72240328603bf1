//! What a session was granted: which key may enter which workspace, and until when.

use std::time::SystemTime;

use ssh_key::public::KeyData;

/// A key's right to one workspace.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// Unique within the plane; the serial number of a certificate.
    pub(crate) serial: u64,
    pub(crate) workspace: u64,
    /// The e-mail address of the user it was made for.
    pub(crate) user: String,
    /// The agent that asked, as it called itself.
    pub(crate) client: String,
    pub(crate) key: KeyData,
    pub(crate) expires: SystemTime,
    /// Whether the key only counts with a certificate that carries `serial`.
    pub(crate) certified: bool,
}

impl Grant {
    pub(crate) fn is_live(&self, now: SystemTime) -> bool {
        now < self.expires
    }
}
