//! What a server's owner allows on it, for whoever decides whether something may run.

use std::collections::BTreeMap;

use runcode_policy::Profile;

use crate::error::{Code, Error, Result};
use crate::grant::SshUser;
use crate::origin::names::few;
use crate::origin::servers::{AuthMethod, Config, Server};
use crate::signer::{Enforced, Spec};

/// What the owner of a server allows.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The server.
    pub server: Server,
    /// The profiles that it allows, by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Whom they hold for.
    pub enforced: Enforced,
    /// Who signs its certificates.
    pub signer: Option<Spec>,
    /// How long a certificate for one run serves, in seconds.
    pub certificate_ttl: u64,
    /// Why nothing runs there in this version, or at all.
    why_not: Option<(Code, String)>,
}

impl Terms {
    /// Those of a server.
    pub(super) fn of(config: &Config, server: &Server) -> Terms {
        Terms {
            server: server.clone(),
            profiles: config.profiles_of(server),
            enforced: enforced(config, server),
            signer: config.signer_of(server).cloned(),
            certificate_ttl: config.certificate_ttl(),
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

    /// The principal that its certificates have.
    pub fn principal(&self) -> &str {
        let policy = &self.server.policy;
        policy.principal.as_ref().or(self.server.user.as_ref()).map_or("", SshUser::as_str)
    }

    /// Where it leads, as an approval names it: `user@host:port`.
    pub fn target(&self) -> String {
        let server = &self.server;
        let user = server.user.as_ref().map_or("-", SshUser::as_str);
        let port = match (server.port, &server.method) {
            (Some(port), _) => port.to_string(),
            (None, AuthMethod::Ssh(_)) => "-".to_owned(),
            (None, _) => "22".to_owned(),
        };
        format!("{user}@{}:{port}", server.method.host())
    }

    /// The error for whatever is no profile.
    pub fn profiles_alone(&self) -> Error {
        let what = format!("`{}` runs its profiles alone, and nothing else", self.server.name);
        Error::new(Code::PolicyDenied, what).hint(self.said())
    }

    /// What can be run there, in words.
    pub fn said(&self) -> String {
        let server = &self.server.name;
        match self.profiles.is_empty() {
            true => format!("servers.toml gives `{server}` no profile yet (allowed_profiles)"),
            false => format!(
                "its profiles are: {}; `runcode servers profiles {server}` shows each with its arguments",
                self.names()
            ),
        }
    }

    /// The names of the profiles, in words.
    pub fn names(&self) -> String {
        few(self.profiles.keys().cloned())
    }
}

/// Whom the profiles of a server hold for.
pub fn enforced(config: &Config, server: &Server) -> Enforced {
    match server.method {
        AuthMethod::Certificate(_) => config.signer_of(server).map_or(Enforced::None, Spec::enforced),
        AuthMethod::Ssh(_) | AuthMethod::LegacyPassword(_) => Enforced::None,
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
    let is_advice = enforced(config, server) == Enforced::None;
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
