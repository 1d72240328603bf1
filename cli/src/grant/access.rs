//! How a session gets in: with a key of ours, or as the user's own ssh does.
//!
//! The two are types of their own. Whoever renders a config of ours asks for a [`Gateway`], and there is no way from an
//! [`External`] to one.

use serde::{Deserialize, Serialize};

use crate::grant::{Certificate, Destination, Endpoint, NamedServer, Pins};
use crate::sys::watched::Watched;

/// What lets the client in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Our own key, at a gateway.
    Key {
        /// The gateway.
        gateway: Gateway,
        /// A certificate for our key, when the gateway asks for one; otherwise the public key itself is registered there.
        certificate: Option<Certificate>,
    },
    /// Whatever the user's own ssh uses.
    External(External),
}

impl Credential {
    /// The way in, without its secrets.
    pub fn access(&self) -> Access {
        match self {
            Credential::Key { gateway, .. } => Access::Gateway(gateway.clone()),
            Credential::External(external) => Access::External(external.clone()),
        }
    }
}

/// A way in, as it is kept: nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Access {
    /// Our key, at a gateway.
    Gateway(Gateway),
    /// The user's own ssh.
    External(External),
    /// Our certified key, on a server in servers.toml.
    Certified(Certified),
}

impl Access {
    /// The host's name or address, for display.
    pub fn host(&self) -> &str {
        match self {
            Access::Gateway(Gateway { endpoint, .. }) | Access::Certified(Certified { endpoint, .. }) => {
                endpoint.host.as_str()
            }
            Access::External(external) => &external.host,
        }
    }

    /// The TCP port, for display.
    pub fn port(&self) -> u16 {
        match self {
            Access::Gateway(Gateway { endpoint, .. }) | Access::Certified(Certified { endpoint, .. }) => {
                endpoint.port.number()
            }
            Access::External(external) => external.port,
        }
    }

    /// The user there, for display.
    pub fn user(&self) -> &str {
        match self {
            Access::Gateway(Gateway { endpoint, .. }) | Access::Certified(Certified { endpoint, .. }) => {
                endpoint.user.as_str()
            }
            Access::External(external) => &external.user,
        }
    }

    /// Whether it leads where the other does.
    pub fn leads_as(&self, other: &Access) -> bool {
        match (self, other) {
            (Access::External(one), Access::External(other)) => {
                one.destination == other.destination && one.route == other.route && one.server == other.server
            }
            (one, other) => one == other,
        }
    }

    /// Whether it is still what its origin would say, as far as a look at the user's own files can tell.
    pub fn is_current(&self) -> bool {
        match self {
            Access::Gateway(_) | Access::Certified(_) => true,
            Access::External(external) => {
                !external.config.is_empty() && external.config.iter().all(Watched::is_unchanged)
            }
        }
    }

    /// What servers.toml says of it, where it does.
    pub fn server(&self) -> Option<&NamedServer> {
        match self {
            Access::Gateway(_) => None,
            Access::External(external) => external.server.as_ref(),
            Access::Certified(certified) => Some(&certified.server),
        }
    }

    /// The gateway, where there is one.
    pub fn gateway(&self) -> Option<&Gateway> {
        match self {
            Access::Gateway(gateway) => Some(gateway),
            Access::External(_) | Access::Certified(_) => None,
        }
    }
}

/// A server in servers.toml that a certificate of ours opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    /// Its address, and the user there.
    pub endpoint: Endpoint,
    /// What servers.toml says about it.
    pub server: NamedServer,
    /// The servers through which it is reached, from here to there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
}

/// A server through which another one is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Its name.
    pub name: String,
    /// Whether its host keys are pinned.
    pub is_pinned: bool,
}

/// A gateway that our own key opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its address, and the user there.
    pub endpoint: Endpoint,
    /// How it proves that it is the one.
    #[serde(rename = "pins")]
    pub trust: Trust,
}

/// Whose word counts for a host key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTrust", into = "RawTrust")]
pub enum Trust {
    /// These keys, and no others.
    Pinned(Pins),
    /// The user's own known_hosts, strictly: an unknown key is refused.
    UserKnownHosts,
}

/// The word for [`Trust::UserKnownHosts`] where the pins would stand. It has to be said: pins that are missing are a
/// damaged file, not another policy.
const USER_KNOWN_HOSTS: &str = "user_known_hosts";

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RawTrust {
    Pins(Pins),
    Word(String),
}

impl TryFrom<RawTrust> for Trust {
    type Error = &'static str;

    fn try_from(raw: RawTrust) -> Result<Trust, &'static str> {
        match raw {
            RawTrust::Pins(pins) => Ok(Trust::Pinned(pins)),
            RawTrust::Word(word) if word == USER_KNOWN_HOSTS => Ok(Trust::UserKnownHosts),
            RawTrust::Word(_) => Err("is neither pins nor a policy"),
        }
    }
}

impl From<Trust> for RawTrust {
    fn from(trust: Trust) -> RawTrust {
        match trust {
            Trust::Pinned(pins) => RawTrust::Pins(pins),
            Trust::UserKnownHosts => RawTrust::Word(USER_KNOWN_HOSTS.to_owned()),
        }
    }
}

/// A host that the user's own ssh reaches, with the user's own config, keys and known_hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// What ssh is told.
    pub destination: Destination,
    /// The host's name or address as `ssh -G` has it, for display alone: any text.
    pub host: String,
    /// The TCP port, likewise.
    pub port: u16,
    /// The user there, likewise.
    pub user: String,
    /// The SHA-256 of what decides where the connection leads: address, port, user, jump hosts.
    #[serde(default)]
    pub route: String,
    /// The config files that ssh took it from. Empty in sessions from before that was kept: ssh is asked again.
    #[serde(default)]
    pub config: Vec<Watched>,
    /// What servers.toml says of it; none for a host that is named to ssh alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<NamedServer>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn an_access_survives_its_file() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";
        let endpoint = r#""endpoint":{"host":"gw.example","port":22,"user":"me"}"#;
        for (text, is_pinned) in [
            (format!(r#"{{{endpoint},"pins":["{key}"]}}"#), Some(true)),
            (format!(r#"{{{endpoint},"pins":"user_known_hosts"}}"#), Some(false)),
            (
                r#"{"destination":"box","host":"10.0.0.1","port":22,"user":"a\\b","route":"9f","config":[]}"#
                    .to_owned(),
                None,
            ),
        ] {
            let access: Access = serde_json::from_str(&text).unwrap();
            let pinned = access.gateway().map(|gateway| matches!(gateway.trust, Trust::Pinned(_)));
            assert_eq!(pinned, is_pinned, "{text}");
            assert_eq!(serde_json::to_string(&access).unwrap(), text);
        }
        for damaged in ["", r#","pins":[]"#, r#","pins":null"#, r#","pins":"no""#] {
            assert!(
                serde_json::from_str::<Access>(&format!("{{{endpoint}{damaged}}}")).is_err(),
                "{damaged}"
            );
        }
    }
}
