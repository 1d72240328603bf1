use std::path::PathBuf;
use std::time::Duration;

/// How a session proves who it is at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialMode {
    /// The registered public key alone.
    #[default]
    Key,
    /// A certificate over that key, signed by the plane's own user CA.
    Certificate,
}

/// By which rules sessions are granted.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How sessions prove who they are.
    pub credential: CredentialMode,
    /// The longest session that is granted, whatever a client requests.
    pub max_ttl: Duration,
    /// Whether sessions are granted at all; when not, a request for one is answered 503.
    pub ssh_enabled: bool,
    /// The largest number of sessions that a user may request in a minute; more are answered 429.
    pub sessions_per_minute: u32,
}

/// A user of the plane.
#[derive(Debug, Clone)]
pub struct UserSpec {
    /// The e-mail address, which is also the name.
    pub email: String,
    /// A token of theirs; `None` makes one.
    pub token: Option<String>,
}

/// A folder served as a workspace.
#[derive(Debug, Clone)]
pub struct WorkspaceSpec {
    /// The slug, also the SSH user: letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64.
    pub title: String,
    /// The folder; it must exist. Commands start here and find it as their home.
    pub dir: PathBuf,
    /// Whether it runs from the start.
    pub running: bool,
    /// A name of the user's own choosing, of any text.
    pub custom_title: Option<String>,
    /// The kind of machine; only `aws` has SSH.
    pub provider: String,
    /// Whether users other than the owner see it, under `shared`.
    pub shared: bool,
    /// The owner's e-mail address. Without one: the first user, or a teammate when `shared`.
    pub owner: Option<String>,
    /// When set, starting is refused with this text (`insufficient balance`).
    pub refuse_start: Option<String>,
    /// When set, stopping is refused with this text.
    pub refuse_stop: Option<String>,
}

impl WorkspaceSpec {
    /// A personal, SSH-capable, stopped workspace.
    pub fn new(title: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        WorkspaceSpec {
            title: title.into(),
            dir: dir.into(),
            running: false,
            custom_title: None,
            provider: "aws".to_owned(),
            shared: false,
            owner: None,
            refuse_start: None,
            refuse_stop: None,
        }
    }
}
