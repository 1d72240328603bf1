//! The log of remote actions: one JSON object a line, each bound to the one before by a hash.
//!
//! [`Log`] appends under a lock and syncs before it returns, so that what is about to run is on disk first. [`verify()`] reads the
//! log back and names the first record that is changed, missing, swapped or cut. Output of commands is never recorded, and
//! [`redact()`] takes out what looks like a secret before anything is written.
//!
//! Whoever owns the files can replace all of them. A seal shows what was changed by somebody who took the account over later;
//! a head that was exported or sent to an anchor shows what is missing, whoever did it.

mod anchor;
mod chain;
mod failure;
mod files;
mod log;
mod reader;
mod record;
mod redact;
mod seal;
mod state;
mod verify;

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod verify_tests;

pub use anchor::{Anchor, Head};
pub use chain::{Line, Refused};
pub use failure::{Failure, Loss};
pub use log::{Log, Written};
pub use reader::{is_there, read, records};
pub use record::{Approval, CertificateId, Entry, Origin, Outcome, Phase, Record};
pub use redact::{REDACTED, Redacted, is_secret_name, redact, redact_words};
pub use seal::SealKey;
pub use verify::{Break, Reason, Report, Sealed, verify};

/// The action of the record that closes a line which was cut short.
pub const TORN: &str = "audit_torn";

/// The action of the record after which a new key seals the log.
pub const SEAL: &str = "audit_seal";

/// The action of the record that says which records are lost.
pub const LOSS: &str = "audit_loss";
