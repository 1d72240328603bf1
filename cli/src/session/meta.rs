//! A session that was found whole, and what its `meta.json` says of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::grant::{Access, External, Lifetime, WebUrl, Workdir};
use crate::openssh::external::OwnHost;
use crate::origin::SessionKey;
use crate::output::foreign::Name;
use crate::session::approved::Approved;
use crate::session::hops;
use crate::session::store::{CERTIFICATE, CONFIG, KNOWN_HOSTS};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::transport::{Bound, OpenedServer, Opener, Route, Way};

const MAX_FILE: usize = 64 * 1024;

/// A session with this many seconds left, or fewer, is minted anew.
pub const RENEW_BELOW_SECONDS: u64 = 90;

/// What `meta.json` says of the session whose files it goes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Names the session.
    #[serde(flatten)]
    pub key: SessionKey,
    /// What the workspace is called; empty in files from before that was kept.
    #[serde(default)]
    pub title: Name,
    /// The custom title, as in the last list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_title: Option<Name>,
    /// Whether it is somebody else's, shared with the user; `None` if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// The `Host` name in the config, or what else ssh is told to connect to.
    pub alias: String,
    /// How it gets in.
    #[serde(flatten)]
    pub access: Access,
    /// When it ends.
    #[serde(rename = "expires_at")]
    pub lifetime: Lifetime,
    /// The project folder on the workspace; none is the login folder.
    pub workdir: Option<Workdir>,
    /// The workspace's page.
    pub web_url: Option<WebUrl>,
    /// Where the master listens; none where there is no multiplexing.
    pub control_path: Option<String>,
    /// The lifetime that was asked for, in seconds; a renewal asks for the same.
    pub ttl_seconds: u64,
    /// When the key was made.
    pub key_created_at: Timestamp,
    /// When it was granted; missing in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Timestamp>,
    /// Set when a person logged in at a terminal: how long that connection stays after its last use, in seconds. No other can
    /// be made without the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_keep: Option<u32>,
    /// What the approval says about a session in which any command may run on a restricted server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,
    /// The SHA-256 of every other file of the session, by name.
    pub files: BTreeMap<String, String>,
}

impl Meta {
    pub(super) fn parse(bytes: &[u8]) -> Option<Meta> {
        let mut meta = serde_json::from_slice::<Meta>(bytes).ok()?;
        if meta.title.raw().is_empty() {
            meta.title = meta.access.user().into(); // which is the title on a control plane's gateway
        }
        Some(meta)
    }

    /// Whether this is one of its names, ignoring case.
    pub fn is_called(&self, name: &str) -> bool {
        self.titles().have(name)
    }

    /// What the workspace is called.
    pub fn titles(&self) -> Titles<'_> {
        Titles { title: Some(&self.title), custom: self.custom_title.as_ref() }
    }

    /// Whether its connection ends by itself some time after its last use, even if it carries forwards.
    pub fn is_bounded(&self) -> bool {
        self.personal_keep.is_some() || self.approved.is_some()
    }

    /// The lifetime that was asked for.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }
}

/// What a workspace is called, as far as is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Titles<'a> {
    /// Its title.
    pub title: Option<&'a Name>,
    /// The name that a user gave it.
    pub custom: Option<&'a Name>,
}

impl Titles<'_> {
    /// Whether `name` is one of them, ignoring case as lists do.
    pub fn have(self, name: &str) -> bool {
        let wanted = name.to_lowercase();
        self.title.into_iter().chain(self.custom).any(|title| title.raw().to_lowercase() == wanted)
    }
}

/// A session that was found whole.
#[derive(Debug, Clone)]
pub struct Session {
    /// What it is.
    pub meta: Meta,
    /// Where its files are.
    pub folder: PathBuf,
}

impl Session {
    /// Whether it lasts long enough to start something with it, and leads where its name leads now.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let below = if self.meta.approved.is_some() { 0 } else { RENEW_BELOW_SECONDS };
        self.meta.lifetime.outlasts(below, now) && self.meta.access.is_current()
    }

    /// Whether it has not ended yet.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        !self.meta.lifetime.is_over(now)
    }

    /// The workspace as a person knows it: `web (#2)`.
    pub fn shown(&self) -> String {
        self.meta.key.shown(Some(&self.meta.title))
    }

    /// Says in a report of `--json` which workspace it is about.
    pub fn name_in(&self, report: &mut Value) {
        report["origin"] = self.meta.key.origin().word().into();
        report["name"] = self.meta.title.json().into();
        report["workspace_id"] = self.meta.key.workspace_id().into();
    }

    /// Whether any command may run in the session as long as it is connected. Only then may it have a spare: where a person logged in,
    /// a spare would keep that login open longer.
    pub fn may_have_spare(&self) -> bool {
        let is_free = match &self.meta.access {
            Access::Gateway(_) => true,
            Access::External(external) => external.server.as_ref().is_none_or(|server| !server.is_restricted),
            Access::Certified(_) => false,
        };
        is_free && !self.meta.is_bounded()
    }

    /// How the transport reaches it.
    pub fn route(&self) -> Route {
        let way = match &self.meta.access {
            Access::Gateway(gateway) => Way::Config {
                config: self.folder.join(CONFIG),
                alias: self.meta.alias.clone(),
                gateway: gateway.endpoint.clone(),
                server: None,
            },
            Access::External(external) => Way::External(self.own_host(external)),
            Access::Certified(certified) => Way::Config {
                config: self.folder.join(CONFIG),
                alias: self.meta.alias.clone(),
                gateway: certified.endpoint.clone(),
                server: Some(OpenedServer {
                    by: Opener::Certificate,
                    words: certified.server.words.clone(),
                    is_pinned: certified.server.host_keys.is_some(),
                    hops: hops::of_session(certified, &self.folder),
                }),
            },
        };
        let bound = self.meta.approved.as_ref().zip(self.meta.lifetime.expires_at());
        let bound = bound.map(|(approved, end)| Bound { idle_seconds: approved.idle_seconds, end });
        let control_path = self.meta.control_path.as_ref().map(PathBuf::from);
        Route { way, control_path, folder: self.folder.clone(), bound }
    }

    fn own_host(&self, external: &External) -> OwnHost {
        let (destination, server) = (external.destination.clone(), external.server.clone());
        OwnHost { destination, server, known_hosts: self.folder.join(KNOWN_HOSTS) }
    }

    /// Whether every file is what `meta.json` goes with.
    pub fn is_intact(&self) -> bool {
        let extra_certificate =
            !self.meta.files.contains_key(CERTIFICATE) && self.folder.join(CERTIFICATE).exists();
        !extra_certificate
            && self.meta.files.iter().all(|(name, digest)| {
                let content = atomic_file::read(&self.folder.join(name), MAX_FILE).ok().flatten();
                let content = content.map(zeroize::Zeroizing::new); // one of them is the key
                content.is_some_and(|content| sha256(&content) == *digest)
            })
    }
}
