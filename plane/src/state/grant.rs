//! What a session was granted: which key may enter which workspace, and until when.

use std::time::SystemTime;

use ssh_key::public::KeyData;

/// A key's right to one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Unique within the plane; the serial number of a certificate.
    pub serial: u64,
    /// The id of the workspace.
    pub workspace: u64,
    /// The e-mail address of the user it was made for.
    pub user: String,
    /// The agent that asked, as it called itself.
    pub client: String,
    /// The key that may enter.
    pub key: KeyData,
    /// When it ends.
    pub expires: SystemTime,
    /// Whether the key only counts with a certificate that carries `serial`.
    pub certified: bool,
}

impl Grant {
    pub(crate) fn is_live(&self, now: SystemTime) -> bool {
        now < self.expires
    }
}

/// Whose grants and connections are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    Everybody,
    /// Those to the workspace with that id.
    Workspace(u64),
    /// Those of the user with that e-mail address.
    User(String),
}

impl Whose {
    /// Whether a connection that `grant` let in is meant.
    pub fn includes(&self, grant: &Grant) -> bool {
        match self {
            Whose::Everybody => true,
            Whose::Workspace(id) => grant.workspace == *id,
            Whose::User(user) => grant.user == *user,
        }
    }
}
