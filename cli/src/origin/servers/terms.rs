//! What a server's owner allows on it, for whoever decides whether something may run.

use std::collections::BTreeMap;

use runcode_policy::Profile;

use crate::error::{Code, Error, Result};
use crate::origin::names::few;
use crate::origin::servers::{AuthMethod, Config, Server};

/// Whom the profiles of a server hold for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// For nobody but runcode: who has the login can do anything else with it.
    None,
}

impl Enforced {
    /// Its word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Enforced::None => "none",
        }
    }

    /// What it means, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Enforced::None => {
                "none: runcode keeps to the profiles, and the host would let you do anything else"
            }
        }
    }
}

/// What the owner of a server allows.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The server.
    pub server: Server,
    /// The profiles that it allows, by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Whom they hold for.
    pub enforced: Enforced,
    /// Why nothing runs there in this version, or at all.
    why_not: Option<(Code, String)>,
}

impl Terms {
    /// Those of a server.
    pub(super) fn of(config: &Config, server: &Server) -> Terms {
        Terms {
            server: server.clone(),
            profiles: config.profiles_of(server),
            enforced: Enforced::None,
            why_not: refusal(config, server),
        }
    }

    /// Whether nothing but profiles may run there.
    pub fn is_restricted(&self) -> bool {
        !self.profiles.is_empty() || !matches!(self.server.method, AuthMethod::Ssh(_))
    }

    /// Refuses a server that its owner restricts in a way that this version cannot hold, or wants enforced.
    pub fn refuse(&self) -> Result<()> {
        self.why_not.as_ref().map_or(Ok(()), |(code, why)| Err(told(*code, &self.server, why)))
    }

    /// The names of the profiles, in words.
    pub fn names(&self) -> String {
        few(self.profiles.keys().cloned())
    }
}

/// As [`Terms::refuse`].
pub(super) fn refuse(config: &Config, server: &Server) -> Result<()> {
    refusal(config, server).map_or(Ok(()), |(code, why)| Err(told(code, server, &why)))
}

fn refusal(config: &Config, server: &Server) -> Option<(Code, String)> {
    if let Err(why) = config.usable(server) {
        return Some((Code::Unavailable, why));
    }
    let is_advice = matches!(server.method, AuthMethod::Ssh(_) | AuthMethod::LegacyPassword(_));
    let why = "enforces nothing, which broker.require_enforcement demands";
    (is_advice && config.requires_enforcement()).then(|| (Code::PolicyDenied, why.to_owned()))
}

fn told(code: Code, server: &Server, why: &str) -> Error {
    let error = Error::new(code, format!("the server `{}` {why}", server.name));
    match code {
        Code::PolicyDenied => error.hint("its owner can give it auth_method = \"certificate\" and a signer"),
        _ => error,
    }
}
