//! Signers: what certifies a key of ours for one command. Whatever they answer is hostile until it was compared with the order.

mod agent;
mod ca_key;
mod files;
mod jose;
mod service;
pub mod step_ca;
pub mod vault;

use std::path::PathBuf;

pub use service::words;

use runcode_sshcert::{Certificate, Expected, Terms};
use serde_json::{Map, Value};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::error::{Code, Error, Result};
use crate::sys::env::Env;
use crate::sys::random;
use crate::sys::trusted_file::Owner;

/// How far a signer's clock may be from ours, and how long before now its certificates begin, in seconds.
const SKEW: u64 = 60;

/// Whom the profiles of a server hold for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// For nobody but runcode: who has the login can do anything else with it.
    None,
    /// For whoever has the key and certificate of a run. Who may use the signer can have anything certified.
    Key,
    /// Even for whoever may use the signer: it decides by itself what it certifies.
    Caller,
}

impl Enforced {
    /// Its word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Enforced::None => "none",
            Enforced::Key => "key",
            Enforced::Caller => "caller",
        }
    }

    /// What it means, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Enforced::None => {
                "none: runcode keeps to the profiles, and the host would let you do anything else"
            }
            Enforced::Key => {
                "key: the host runs this command alone for this run's key; who may use the signer can do more"
            }
            Enforced::Caller => {
                "caller: the signer itself decides what it certifies, as its role says, so nobody who may use it can do more"
            }
        }
    }
}

/// A signer as a file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A private key in a file.
    CaKey {
        /// The file.
        key: PathBuf,
        /// Whose it has to be.
        owner: Owner,
    },
    /// A private key that an ssh-agent holds.
    Agent {
        /// The public half, or the file that has it.
        public_key: AgentKey,
        /// The agent's socket; none is `SSH_AUTH_SOCK`.
        socket: Option<PathBuf>,
    },
    /// A step-ca.
    StepCa(step_ca::Settings),
    /// The SSH engine of Vault or OpenBao.
    Vault(vault::Settings),
    /// One that this version cannot use.
    Unsupported(&'static str),
}

/// The public key that an ssh-agent signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentKey {
    /// The key itself.
    Line(PublicKey),
    /// A file that has it.
    File(PathBuf, Owner),
}

impl Spec {
    /// Its kind, as the file has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Spec::CaKey { .. } => "ca_key",
            Spec::Agent { .. } => "agent",
            Spec::StepCa(_) => "step-ca",
            Spec::Vault(_) => "vault",
            Spec::Unsupported(kind) => kind,
        }
    }

    /// Whether this version can use it.
    pub fn is_supported(&self) -> bool {
        !matches!(self, Spec::Unsupported(_))
    }

    /// What its certificates enforce: nothing where this version gets none. Whoever confirms what an agent signs does not see what it is.
    pub fn enforced(&self) -> Enforced {
        match self {
            Spec::CaKey { .. } | Spec::Agent { .. } => Enforced::Key,
            Spec::Vault(settings) if settings.expects => Enforced::Caller,
            // What a step-ca's template puts into a certificate is the caller's own.
            Spec::StepCa(_) | Spec::Vault(_) => Enforced::Key,
            Spec::Unsupported(_) => Enforced::None,
        }
    }

    /// Whether it decides by itself which command it certifies for a profile: then that is always the same.
    pub fn fixes_commands(&self) -> bool {
        matches!(self, Spec::Vault(settings) if settings.expects)
    }

    /// Whether the file that names it decides who is sent a credential of the user's.
    pub fn is_elsewhere(&self) -> bool {
        match self {
            Spec::CaKey { .. } | Spec::Agent { .. } | Spec::Unsupported(_) => false,
            Spec::StepCa(_) | Spec::Vault(_) => true,
        }
    }

    /// The signer itself. Nothing is signed yet.
    pub fn open(&self, env: &Env) -> Result<Box<dyn Signer>> {
        match self {
            Spec::CaKey { key, owner } => Ok(Box::new(ca_key::CaKey::read(key, *owner)?)),
            Spec::Agent { public_key, socket } => {
                Ok(Box::new(agent::Agent::new(public_key, socket.as_deref(), env)?))
            }
            Spec::StepCa(settings) => Ok(Box::new(step_ca::StepCa::new(settings, env))),
            Spec::Vault(settings) => Ok(Box::new(vault::Vault::new(settings, env)?)),
            Spec::Unsupported(kind) => {
                let what = format!("this version has no signer of the kind `{kind}`");
                Err(Error::new(Code::Unavailable, what))
            }
        }
    }
}

/// What a certificate is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The server that it is for.
    pub server: &'a str,
    /// The profile that it is for.
    pub profile: &'a str,
    /// The key to certify.
    pub key: &'a KeyData,
    /// The one principal.
    pub principal: &'a str,
    /// How long it serves, in seconds.
    pub ttl: u64,
    /// A note about whom it is for, which the host logs.
    pub key_id: &'a str,
    /// The one command that the host runs for it; empty means any.
    pub force_command: &'a str,
    /// What it permits besides commands: names of extensions.
    pub extensions: &'a [&'a str],
    /// Where it may be used from, as a list of networks; empty is anywhere.
    pub source_address: &'a str,
    /// The time, in seconds since 1970.
    pub now: u64,
}

impl<'a> Order<'a> {
    /// The critical options: these, and no others.
    fn options(&self) -> Vec<(&'a str, &'a str)> {
        let all = [("force-command", self.force_command), ("source-address", self.source_address)];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The critical options as JSON.
    fn option_map(&self) -> Map<String, Value> {
        self.options().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// The extensions as JSON, each with an empty value.
    fn extension_map(&self) -> Map<String, Value> {
        self.extensions.iter().map(|name| ((*name).to_owned(), "".into())).collect()
    }

    /// What a signer of this machine puts into a certificate. The serial number is random, and not 0.
    fn terms<'t>(&'t self, options: &'t [(&'t str, &'t str)], key_id: &'t str) -> Terms<'t> {
        let serial =
            u64::from_str_radix(random::word().get(..16).unwrap_or_default(), 16).unwrap_or_default();
        Terms {
            key: self.key,
            serial: serial.max(1),
            key_id,
            principal: self.principal,
            valid_after: self.now.saturating_sub(SKEW),
            valid_before: self.now.saturating_add(self.ttl),
            critical_options: options,
            extensions: self.extensions,
        }
    }

    /// The note, as long as sshd logs it.
    fn short_id(&self) -> &'a str {
        let mut end = self.key_id.len().min(255);
        while !self.key_id.is_char_boundary(end) {
            end -= 1;
        }
        self.key_id.get(..end).unwrap_or_default()
    }
}

/// Something that certifies keys.
pub trait Signer {
    /// The public key that its certificates are verified with, where it is known beforehand.
    fn authority(&self) -> Option<KeyData>;

    /// The same key, even if the signer has to be asked for it.
    fn public_key(&self) -> Result<Option<KeyData>> {
        Ok(self.authority())
    }

    /// Whether everything needed to ask is here. Does not ask.
    fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// Asks for a certificate; the line that came.
    fn sign(&self, order: &Order<'_>) -> Result<String>;
}

/// A certificate that says what was ordered, and nothing else. `clock` tells the time, in seconds since 1970: a signer may wait for a
/// person, and what it answers then has to be valid then.
pub fn certificate(signer: &dyn Signer, order: &Order<'_>, clock: &dyn Fn() -> u64) -> Result<Certificate> {
    let text = signer.sign(order)?;
    let (options, authority) = (order.options(), signer.authority());
    let expected = Expected {
        key: order.key,
        principal: order.principal,
        now: clock(),
        skew: SKEW,
        longest: Some(order.ttl),
        critical_options: &[],
        authority: authority.as_ref(),
    };
    let checked = Certificate::parse(&text).and_then(|certificate| {
        certificate.check_exactly(&expected, &options, order.extensions)?;
        Ok(certificate)
    });
    checked.map_err(|refusal| {
        failed(format!("the signer's certificate {refusal}, so nothing was connected to"))
            .hint("have whoever runs the signer look at its template or role; do not work around it")
    })
}

fn failed(what: String) -> Error {
    Error::new(Code::SignerFailed, what)
}

#[cfg(test)]
mod tests;
