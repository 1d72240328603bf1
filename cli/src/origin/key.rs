//! Which session is meant: the origin that grants it, and what the origin calls it.

use std::fmt;

use runcode_wire::MAX_WORKSPACE_ID;
use serde::{Deserialize, Serialize};

use crate::grant::Destination;
use crate::origin::hosted::BaseUrl;
use crate::origin::names;
use crate::output::foreign::Name;
use crate::sys::digest::sha256;

/// An origin of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginId {
    /// The control plane at this base.
    Plane(BaseUrl),
    /// The user's own ssh config.
    Ssh,
    /// The servers that servers.toml names.
    Server,
}

impl OriginId {
    /// Its word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            OriginId::Plane(_) => "plane",
            OriginId::Ssh => "ssh",
            OriginId::Server => "server",
        }
    }
}

/// Names one session among those of all origins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawKey", into = "RawKey")]
pub struct SessionKey {
    origin: OriginId,
    id: Id,
}

/// What an origin calls a session.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    Number(u64),
    Name(String),
}

impl SessionKey {
    /// A workspace of a control plane. `None` for a number that no workspace has: 0, or more than 2^53.
    pub fn plane(base: &BaseUrl, number: u64) -> Option<SessionKey> {
        let is_id = (1..=MAX_WORKSPACE_ID).contains(&number);
        is_id.then(|| SessionKey { origin: OriginId::Plane(base.clone()), id: Id::Number(number) })
    }

    /// A host of the user's own ssh config.
    pub fn ssh(destination: &Destination) -> SessionKey {
        SessionKey { origin: OriginId::Ssh, id: Id::Name(destination.as_str().to_owned()) }
    }

    /// A server of servers.toml. `None` when no server can have that name: `[a-z0-9][a-z0-9_-]{0,63}`.
    pub fn server(name: &str) -> Option<SessionKey> {
        is_server_name(name).then(|| SessionKey { origin: OriginId::Server, id: Id::Name(name.to_owned()) })
    }

    /// The origin.
    pub fn origin(&self) -> &OriginId {
        &self.origin
    }

    /// The number of a control plane's workspace.
    pub fn workspace_id(&self) -> Option<u64> {
        match self.id {
            Id::Number(number) => Some(number),
            Id::Name(_) => None,
        }
    }

    /// The base of the control plane that grants it.
    pub fn api_base(&self) -> Option<&BaseUrl> {
        match &self.origin {
            OriginId::Plane(base) => Some(base),
            OriginId::Ssh | OriginId::Server => None,
        }
    }

    /// What its origin calls it: a number, a destination, a server's name.
    pub fn id(&self) -> String {
        match &self.id {
            Id::Number(number) => number.to_string(),
            Id::Name(name) => name.clone(),
        }
    }

    /// The name of its folder in the cache; see [`SessionKey::folder_beside`].
    pub fn folder(&self) -> String {
        match (&self.origin, &self.id) {
            (OriginId::Plane(_), id) => format!("ws-{id}"),
            (OriginId::Ssh, id) => format!("ssh-{}", &sha256(id.to_string().as_bytes())[..16]),
            (OriginId::Server, id) => format!("srv-{id}"),
        }
    }

    /// The name of its folder where [`SessionKey::folder`] holds the session of another control plane, whose workspace has
    /// the same number.
    pub fn folder_beside(&self) -> Option<String> {
        let base = self.api_base()?;
        Some(format!("{}-{}", self.folder(), &sha256(base.to_string().as_bytes())[..8]))
    }

    /// The words that a command takes for it, and for it alone: a title may be another one's, too, since whoever shares a
    /// workspace chooses its title.
    pub fn words(&self) -> String {
        match (&self.origin, &self.id) {
            (OriginId::Ssh, Id::Name(name)) if name.starts_with("ssh://") => name.clone(),
            (OriginId::Ssh, id) => format!("ssh:{id}"),
            (OriginId::Server, Id::Name(name)) if names::number(name).is_some() => format!("server:{name}"),
            (_, id) => id.to_string(),
        }
    }

    /// A session as a person knows it: `web (#2)`, or its own name.
    pub fn shown(&self, title: Option<&Name>) -> String {
        match (title, &self.id) {
            (Some(title), Id::Number(number)) => format!("{title} (#{number})"),
            (None, Id::Number(number)) => format!("#{number}"),
            (_, Id::Name(_)) => self.words(),
        }
    }
}

/// Whether a server may have this name.
pub(super) fn is_server_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Name(name) => name.fmt(f),
        }
    }
}

/// A key as our files have it. One without `origin` is a control plane's, from before there were others.
#[derive(Serialize, Deserialize)]
struct RawKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base: Option<String>,
}

impl TryFrom<RawKey> for SessionKey {
    type Error = &'static str;

    fn try_from(raw: RawKey) -> Result<SessionKey, &'static str> {
        match (raw.origin.as_deref().unwrap_or("plane"), raw.id, raw.workspace_id, raw.api_base) {
            ("plane", _, Some(number), Some(base)) => {
                let base = BaseUrl::parse(&base).map_err(|_| "has no valid base")?;
                SessionKey::plane(&base, number).ok_or("has a number that no workspace has")
            }
            ("ssh", Some(id), ..) => Destination::parse(&id).map(|id| SessionKey::ssh(&id)),
            ("server", Some(id), ..) => SessionKey::server(&id).ok_or("has a name that no server has"),
            _ => Err("names no session"),
        }
    }
}

impl From<SessionKey> for RawKey {
    fn from(key: SessionKey) -> RawKey {
        let (origin, api_base) = (key.origin.word().to_owned(), key.api_base().map(ToString::to_string));
        let (workspace_id, id) = match key.id {
            Id::Number(number) => (Some(number), None),
            Id::Name(name) => (None, Some(name)),
        };
        RawKey { origin: Some(origin), id, workspace_id, api_base }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn plane(base: &str, number: u64) -> SessionKey {
        SessionKey::plane(&BaseUrl::parse(base).unwrap(), number).unwrap()
    }

    #[test]
    fn every_key_has_a_folder_of_its_own() {
        let here = plane("https://app.runcode.io", 12);
        assert_eq!(here.folder(), "ws-12");
        let there = plane("https://other.example", 12);
        assert_ne!(here.folder_beside(), there.folder_beside());
        // printf %s https://app.runcode.io | sha256sum
        assert_eq!(here.folder_beside().unwrap(), "ws-12-e342c04a");
        let ssh = |text| SessionKey::ssh(&Destination::parse(text).unwrap());
        assert_eq!(ssh("box").folder(), "ssh-26f8567f25691822");
        assert_ne!(ssh("box").folder(), ssh("me@box").folder());
        let server = SessionKey::server("prod-web-1").unwrap();
        assert_eq!((server.folder().as_str(), server.folder_beside()), ("srv-prod-web-1", None));
    }

    #[test]
    fn a_key_survives_its_file() {
        for (text, shown) in [
            (r#"{"origin":"plane","workspace_id":7,"api_base":"https://a.example"}"#, "#7"),
            (r#"{"origin":"ssh","id":"me@box"}"#, "ssh:me@box"),
            (r#"{"origin":"ssh","id":"ssh://me@box:22"}"#, "ssh://me@box:22"),
            (r#"{"origin":"server","id":"prod"}"#, "prod"),
        ] {
            let key: SessionKey = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&key).unwrap(), text);
            assert_eq!(key.shown(None), shown);
        }
        let old: SessionKey =
            serde_json::from_str(r#"{"workspace_id":7,"api_base":"https://a.example"}"#).unwrap();
        assert_eq!(old, plane("https://a.example", 7));
        assert_eq!(old.shown(Some(&"web".into())), "web (#7)");
        for bad in [
            r#"{"workspace_id":7}"#,
            r#"{"workspace_id":0,"api_base":"https://a.example"}"#,
            r#"{"workspace_id":7,"api_base":"http://a.example"}"#,
            r#"{"origin":"ssh","id":"-oX=y"}"#,
            r#"{"origin":"server","id":"../x"}"#,
            r#"{"origin":"moon","id":"x"}"#,
        ] {
            assert!(serde_json::from_str::<SessionKey>(bad).is_err(), "{bad}");
        }
    }
}
