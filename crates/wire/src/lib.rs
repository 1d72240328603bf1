//! The control plane's wire contract: what the CLI sends and what a server answers.
//!
//! These types carry no promise about their contents. A client treats every answer as hostile and turns it
//! into its own validated types; a server builds them from values that it trusts.

use serde::{Deserialize, Serialize};

/// The path prefix of every API call.
pub const API_PREFIX: &str = "/api/rc";

/// The path of the consent page on the web host.
pub const CLI_LOGIN_PATH: &str = "/auth/cli-login/";

/// Beyond the contract, below the web base of a development server: `runcode login` posts the query of its login here as
/// JSON, to say that it has started it.
pub const CLI_LOGIN_STARTED_PATH: &str = "/auth/cli-login/started";

/// How the path of a development server's pages begins; 32 hexadecimal digits follow, which are secret.
pub const PAGES_PREFIX: &str = "/dev-";

/// The largest workspace id in use: every JSON implementation holds it exactly (2^53, RFC 8259 section 6).
pub const MAX_WORKSPACE_ID: u64 = 1 << 53;

/// The body of `POST /workspace/N/ssh-session`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionRequest {
    /// An OpenSSH public key line, `ssh-ed25519 AAAA…`.
    pub public_key: String,
    /// The lifetime asked for, in seconds. A server may grant less.
    pub ttl: u64,
    /// The agent on whose behalf the session is made: `claude-code`, `codex` or what `RUNCODE_CLIENT` says.
    pub client: String,
}

/// A workspace, as `GET /workspaces` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkspaceRow {
    /// The numeric id, unique and stable.
    pub id: u64,
    /// A slug such as `royal-tree-08189931`; also the SSH user.
    pub title: String,
    /// Free text by a user, possibly a teammate's.
    pub custom_title: Option<String>,
    /// The kind of machine; only `aws` has SSH.
    pub provider: String,
    /// `running`, `stopped`, ….
    pub current_state: String,
    /// What the workspace is on its way to; wins over `current_state` when set.
    pub interim_state: Option<String>,
}

/// The credential of a [`Bundle`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credential {
    /// `key` (the registered public key alone) or `certificate`.
    #[serde(rename = "type")]
    pub kind: String,
    /// An OpenSSH certificate line when `kind` is `certificate`.
    pub certificate: Option<String>,
}

/// What `POST /workspace/N/ssh-session` grants: where to connect, whom to trust, and until when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bundle {
    /// The gateway's host name or address.
    pub host: String,
    /// The gateway's TCP port.
    pub port: u16,
    /// The SSH user; the workspace's title, unless `title` says another.
    pub user: String,
    /// The workspace's title, where the SSH user is not it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Host keys in known_hosts format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
    pub known_hosts: String,
    /// When the session ends, RFC 3339.
    pub expires_at: String,
    /// How the client proves who it is.
    pub credential: Credential,
    /// The workspace's page, for display only.
    pub web_url: Option<String>,
    /// The project folder on the workspace, an absolute path.
    pub workdir: Option<String>,
    /// An ssh_config(5) text for people; clients never feed it to ssh.
    pub ssh_config: Option<String>,
}
