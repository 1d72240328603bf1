//! What a record says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Defines an enum whose variants are words of the log.
macro_rules! words {
    ($(#[$doc:meta])+ $name:ident { $($(#[$variant_doc:meta])+ $variant:ident,)* }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])+ $variant,)* }
    };
}

words! {
    /// Where a record stands in the course of an action.
    Phase {
        /// It is about to be done.
        Intent,
        /// It has ended.
        Outcome,
        /// Something happened that is no action on a host, or was refused.
        Event,
    }
}

words! {
    /// What became of an action.
    Outcome {
        /// It is about to be done.
        Started,
        /// It was only shown.
        Planned,
        /// It ran to its end, whatever its status.
        Executed,
        /// It failed for a reason of ours, took too long, or was interrupted.
        Failed,
        /// It needs an approval that it does not have.
        Blocked,
        /// The owner of the server does not allow it.
        Denied,
        /// Its arguments or the configuration are wrong.
        Invalid,
        /// The session was over.
        Expired,
        /// It was done; there is no status.
        Succeeded,
    }
}

words! {
    /// What the workspace belongs to.
    Origin {
        /// A control plane.
        Plane,
        /// servers.toml.
        Server,
        /// The user's ssh config.
        Ssh,
    }
}

/// The approval that an action had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The id of the signed request.
    pub id: Option<String>,
    /// Whether signatures were verified.
    pub verified: bool,
    /// Who signed.
    pub approvers: Vec<String>,
    /// The digest of the request's text.
    pub sha256: Option<String>,
    /// When the request ends.
    pub expires_at: Option<String>,
}

/// The certificate that an action was done by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateId {
    /// Its serial number.
    pub serial: Option<String>,
    /// Its key id, which the host logs.
    pub key_id: Option<String>,
    /// The fingerprint of the key that signed it.
    pub ca: Option<String>,
    /// When it ends.
    pub valid_before: Option<String>,
}

/// Whatever the caller knows about an action. The log adds its number, its time and its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who says to act, as the environment claims.
    pub actor: Option<String>,
    /// The user of this machine that acted.
    pub os_user: Option<String>,
    /// This machine.
    pub host: Option<String>,
    /// The program that called.
    pub client: Option<String>,
    /// The process.
    pub pid: Option<u32>,
    /// Where the record stands in the course of the action.
    pub phase: Phase,
    /// What is done, such as `exec`.
    pub action: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What there is to say, such as why it failed.
    pub message: Option<String>,
    /// What the workspace belongs to.
    pub origin: Option<Origin>,
    /// The workspace.
    pub server_alias: Option<String>,
    /// What its owner calls its environment.
    pub environment: Option<String>,
    /// Where it is: `user@host:port`.
    pub target: Option<String>,
    /// The profile that runs.
    pub profile: Option<String>,
    /// The profile's arguments.
    pub args: Option<BTreeMap<String, String>>,
    /// The command, redacted.
    pub rendered_command: Option<String>,
    /// The digest of the command, where nothing in it was redacted.
    pub command_sha256: Option<String>,
    /// The folder that it starts in.
    pub cwd: Option<String>,
    /// Whether somebody has to approve it.
    pub requires_approval: Option<bool>,
    /// What the caller named as the approval.
    pub approval_reference: Option<String>,
    /// The approval.
    pub approval: Option<Approval>,
    /// Who certifies the run.
    pub signer: Option<String>,
    /// The certificate.
    pub certificate: Option<CertificateId>,
    /// How the server is logged in to.
    pub auth_method_kind: Option<String>,
    /// What carries it.
    pub transport: Option<String>,
    /// Whom the profiles hold for.
    pub enforced: Option<String>,
    /// The remote status.
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// The approved session that it belongs to.
    #[serde(default)]
    pub session_id: Option<String>,
    /// The event that this is the outcome of.
    pub intent: Option<String>,
}

impl Entry {
    /// An entry that says this, and nothing else.
    pub fn new(phase: Phase, action: impl Into<String>, outcome: Outcome) -> Entry {
        Entry {
            actor: None,
            os_user: None,
            host: None,
            client: None,
            pid: None,
            phase,
            action: action.into(),
            outcome,
            message: None,
            origin: None,
            server_alias: None,
            environment: None,
            target: None,
            profile: None,
            args: None,
            rendered_command: None,
            command_sha256: None,
            cwd: None,
            requires_approval: None,
            approval_reference: None,
            approval: None,
            signer: None,
            certificate: None,
            auth_method_kind: None,
            transport: None,
            enforced: None,
            exit_code: None,
            signal: None,
            duration_ms: None,
            session_id: None,
            intent: None,
        }
    }
}

/// A record, without the hash and the seal that follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the format.
    pub v: u32,
    /// Its number, from 1.
    pub seq: u64,
    /// Its name, which no other record has.
    pub event_id: String,
    /// When it was written.
    pub occurred_at: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of the record before it.
    pub prev: String,
}
