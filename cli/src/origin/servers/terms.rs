//! What a server's owner allows on it, for whoever decides whether something may run.

use std::collections::BTreeMap;

use runcode_policy::Profile;

use crate::error::{Code, Error, Result};
use crate::grant::{NamedServer, SshUser};
use crate::origin::SessionKey;
use crate::origin::names::few;
use crate::origin::servers::{AuthMethod, Config, Server, approved_definition, named};
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
    /// The servers through which it is reached, from here to there.
    pub hops: Vec<Hop>,
    /// How long a certificate for one run serves, in seconds.
    pub certificate_ttl: u64,
    /// A digest of all that an approved session is made from.
    pub definition: String,
    /// Why nothing runs there in this version, or at all.
    why_not: Option<(Code, String)>,
}

/// A server through which another one is reached.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The server.
    pub server: Server,
    /// Who signs its certificates.
    pub signer: Option<Spec>,
}

impl Terms {
    /// Those of a server.
    pub(super) fn of(config: &Config, server: &Server) -> Terms {
        Terms {
            server: server.clone(),
            profiles: config.profiles_of(server),
            enforced: enforced(config, server),
            signer: config.signer_of(server).cloned(),
            hops: config
                .hops_to(server)
                .into_iter()
                .map(|hop| Hop { server: hop.clone(), signer: config.signer_of(hop).cloned() })
                .collect(),
            certificate_ttl: config.certificate_ttl(),
            definition: approved_definition(config, server),
            why_not: refusal(config, server),
        }
    }

    /// The same, if nothing may run for this reason; `None` means no reason.
    #[must_use]
    pub(super) fn unless(self, why_not: Option<String>) -> Terms {
        let why_not = why_not.map(|why| (Code::BadConfig, why));
        Terms { why_not: self.why_not.or(why_not), ..self }
    }

    /// Whether nothing but profiles may run there.
    pub fn is_restricted(&self) -> bool {
        self.server.is_restricted()
    }

    /// Refuses a server that its owner restricts in a way that this version cannot hold, or wants enforced.
    pub fn refuse(&self) -> Result<()> {
        self.why_not.as_ref().map_or(Ok(()), |(code, why)| Err(told(*code, &self.server, why)))
    }

    /// What the server is to whoever reaches it.
    pub fn named(&self, key: &SessionKey) -> NamedServer {
        named(&self.server, key)
    }

    /// Where it leads, as an approval names it: `user@host:port`.
    pub fn target(&self) -> String {
        let server = &self.server;
        let user = server.user.as_ref().map_or("-", SshUser::as_str);
        let port = server.port_number().map_or_else(|| "-".to_owned(), |port| port.to_string());
        format!("{user}@{}:{port}", server.method.host())
    }

    /// The names of the servers through which it is reached.
    pub fn hop_names(&self) -> impl Iterator<Item = &str> {
        self.hops.iter().map(|hop| hop.server.name.as_str())
    }

    /// The error for anything but a profile, if no approved session stands.
    pub fn only_profiles(&self) -> Error {
        let server = &self.server.name;
        if self.server.policy.unrestricted_sessions && self.profiles.is_empty() {
            let what = format!("`{server}` runs commands only in an approved session");
            let how = self.how_to_ask();
            return Error::new(Code::PolicyDenied, what).hint(how.clone()).for_tools(how);
        }
        let what = format!("`{server}` runs only its profiles");
        let said = match self.server.policy.unrestricted_sessions {
            true => format!("{}; for any other command, {}", self.said(), self.how_to_ask()),
            false => self.said(),
        };
        let error = Error::new(Code::PolicyDenied, what).hint(said);
        match self.profiles.is_empty() {
            true => error,
            false => error.for_tools(format!(
                "call `exec` with `profile` and, if it takes any, `args`; the profiles are: {}",
                self.names()
            )),
        }
    }

    /// How to get an approved session, in words.
    pub fn how_to_ask(&self) -> String {
        let server = &self.server.name;
        match self.server.policy.approvers.is_some() {
            true => format!("`runcode connect {server} --request` asks for an approved session"),
            false => format!(
                "ask the user for an approval, such as a ticket number: `runcode connect {server} --approval …`"
            ),
        }
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

    /// What to do next there.
    pub fn next_step(&self) -> String {
        match self.server.policy.unrestricted_sessions && self.profiles.is_empty() {
            true => self.how_to_ask(),
            false => format!("runcode servers profiles {}", self.server.name),
        }
    }

    /// What can run there, on one line.
    pub fn summary(&self) -> String {
        match self.profiles.is_empty() {
            true if self.server.policy.unrestricted_sessions => {
                "runs commands only in an approved session".to_owned()
            }
            true => {
                "nothing can run there yet: servers.toml gives it no profiles (allowed_profiles)".to_owned()
            }
            false => format!("runs only its profiles: {}", self.names()),
        }
    }

    /// The names of the profiles, in words.
    fn names(&self) -> String {
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
