//! What the files say, all of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use runcode_audit::Anchor;
use runcode_policy::Profile;

use crate::error::Issue;
use crate::origin::servers::policy::{Known, path};
use crate::origin::servers::profile::read_profile;
use crate::origin::servers::reader::{Document, Section};
use crate::origin::servers::server::{AuthMethod, Server, Word, is_name};
use crate::origin::servers::signer::read_signer;
use crate::signer::Spec;
use crate::sys::trusted_file::Owner;

const MAX_SERVERS: usize = 1000;
const MAX_PROFILES: usize = 1000;
const MAX_SIGNERS: usize = 64;

/// A file that names servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path where it was found, links included.
    pub given: PathBuf,
    /// Where it is, with links resolved.
    pub path: PathBuf,
    /// Whose the files have to be that it names.
    pub owner: Owner,
}

impl File {
    /// Whether the operator of this machine wrote it.
    pub(super) fn is_operators(&self) -> bool {
        self.owner == Owner::Root
    }
}

/// Where a log of actions is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The log; none is the usual one.
    pub log: Option<PathBuf>,
    /// Where its heads go as well.
    pub anchor: Option<Anchor>,
}

/// The servers, and what holds for all of them.
#[derive(Debug, Clone, Default)]
pub struct Config {
    files: Vec<File>,
    servers: BTreeMap<String, (usize, Server)>,
    profiles: BTreeMap<String, Profile>,
    signers: BTreeMap<String, (usize, Spec)>,
    certificate_ttl: Option<u64>,
    known: Known,
    /// The keys of `[broker]` that were said.
    broker: BTreeSet<&'static str>,
    trail: Trail,
    audits_all: bool,
    is_broken: bool,
    requires_enforcement: bool,
    /// What the operator's file says, where the user names another one: none of its servers can be named then, and its
    /// restrictions hold.
    left_out: Option<Box<Config>>,
}

impl Config {
    /// Adds what a file says; what is wrong with it. A file may refer to what was added before, and says none of it anew.
    pub fn add(&mut self, file: File, text: &str) -> Vec<Issue> {
        let number = self.files.len();
        let document = Document::parse(text, file.path.display().to_string());
        self.is_broken |= document.is_broken();
        self.files.push(file.clone());
        self.known.file = Some(file.clone());
        let mut root = document.root();
        let mut profiles = root.named("profiles", MAX_PROFILES, is_name);
        let mut signers = root.named("signers", MAX_SIGNERS, is_name);
        let mut servers = root.named("servers", MAX_SERVERS, is_name);
        profiles.retain(|(name, section)| is_new(self.known.profiles.insert(name.clone()), section));
        signers.retain(|(name, section)| is_new(self.known.signers.insert(name.clone()), section));
        servers.retain(|(name, section)| is_new(!self.servers.contains_key(name), section));
        self.known.methods.clear(); // no file chooses what leads through another one's servers
        self.known.jumps.clear();
        for (name, section) in &mut servers {
            let word = section.text("auth_method").map(|word| word.value);
            self.known.methods.insert(name.clone(), Word::parse(word).ok());
            let jump = section.text("jump").map(|jump| jump.value.to_owned());
            self.known.jumps.extend(jump.map(|jump| (name.clone(), jump)));
        }
        if let Some(section) = root.section("broker") {
            self.add_broker(section);
        }
        for (name, section) in profiles {
            self.profiles.extend(read_profile(section).map(|profile| (name, profile)));
        }
        for (name, section) in signers {
            self.signers.extend(read_signer(section, &file).map(|signer| (name, (number, signer))));
        }
        for (name, section) in servers {
            if let Some(server) = Server::read(name.clone(), section, &self.known) {
                self.servers.insert(name, (number, server));
            }
        }
        root.finish();
        document.into_issues()
    }

    fn add_broker(&mut self, mut section: Section<'_>) {
        let ttl = section.number("cert_ttl_seconds", 1..=3600);
        let beside = |text: &str| {
            let file = self.known.file.as_ref();
            path(text).map(|()| file.map_or_else(|| PathBuf::from(text), |file| file.beside(text)))
        };
        let log = section.parsed("audit_log_path", beside);
        let anchor = section.parsed("audit_anchor", |text| match text {
            "syslog" => Ok(Anchor::Syslog),
            text => beside(text).map(Anchor::File),
        });
        let audits_all = section.flag("audit_all") == Some(true);
        let is_strict = section.flag("require_enforcement") == Some(true);
        let signer = section.parsed("default_signer", |name| match self.known.signers.contains(name) {
            true => Ok(name.to_owned()),
            false => Err("is not a signer of this file"),
        });
        for key in section.known() {
            if !self.broker.insert(key) {
                section.note(key, SAID_BEFORE);
            }
        }
        self.requires_enforcement |= is_strict;
        self.audits_all |= audits_all;
        self.trail =
            Trail { log: self.trail.log.take().or(log), anchor: self.trail.anchor.take().or(anchor) };
        self.certificate_ttl = self.certificate_ttl.or(ttl);
        self.known.default_signer = signer.or(self.known.default_signer.take());
        section.finish();
    }

    /// Has the restrictions of this configuration hold, without its servers.
    pub(super) fn leave_out(&mut self, operators: Config) {
        self.left_out = Some(Box::new(operators));
    }

    /// What was left out.
    pub(super) fn left_out(&self) -> Option<&Config> {
        self.left_out.as_deref()
    }

    /// The files.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The servers by name, and the file that each is in.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = (&Server, &File)> {
        self.servers.values().map(|(file, server)| (server, &self.files[*file]))
    }

    /// The server of this name, and the file that it is in.
    pub fn server(&self, name: &str) -> Option<(&Server, &File)> {
        self.servers.get(name).map(|(file, server)| (server, &self.files[*file]))
    }

    /// The profiles by name.
    pub fn profiles(&self) -> impl ExactSizeIterator<Item = (&str, &Profile)> {
        self.profiles.iter().map(|(name, profile)| (name.as_str(), profile))
    }

    /// The signers by name.
    pub fn signers(&self) -> impl ExactSizeIterator<Item = (&str, &Spec)> {
        self.signers.iter().map(|(name, (_, signer))| (name.as_str(), signer))
    }

    /// Who signs a server's certificates.
    pub fn signer_of(&self, server: &Server) -> Option<&Spec> {
        self.signers.get(server.policy.signer.as_ref()?).map(|(_, signer)| signer)
    }

    /// The file that names who signs a server's certificates.
    pub(super) fn file_of_signer(&self, server: &Server) -> Option<&File> {
        self.signers.get(server.policy.signer.as_ref()?).map(|(file, _)| &self.files[*file])
    }

    /// The servers through which a server is reached, from here to there.
    pub fn hops_to(&self, server: &Server) -> Vec<&Server> {
        let jump = |server: &Server| self.server(server.policy.jump.as_ref()?).map(|(hop, _)| hop);
        let mut hops = std::iter::successors(jump(server), |hop| jump(hop)).collect::<Vec<_>>();
        hops.reverse();
        hops
    }

    /// How long a certificate for one run serves, in seconds.
    pub fn certificate_ttl(&self) -> u64 {
        self.certificate_ttl.unwrap_or(120)
    }

    /// The profiles that a server allows, by name.
    pub fn profiles_of(&self, server: &Server) -> BTreeMap<String, Profile> {
        let named = server.policy.profiles.iter();
        named.filter_map(|name| Some((name.clone(), self.profiles.get(name)?.clone()))).collect()
    }

    /// The log of what is done on the servers.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Whether what is done elsewhere belongs there as well.
    pub fn audits_all(&self) -> bool {
        self.audits_all
    }

    /// Whether this mistake may hide what the files say for all servers. One inside a server, a profile or a signer does not.
    pub(super) fn is_in_doubt_by(&self, mistake: &Issue) -> bool {
        let is_inside = |table: &str| mistake.at.starts_with(table);
        self.is_broken || !["servers.", "profiles.", "signers."].into_iter().any(is_inside)
    }

    /// Whether the owner wants no server whose profiles are only advice.
    pub fn requires_enforcement(&self) -> bool {
        self.requires_enforcement || self.left_out().is_some_and(Config::requires_enforcement)
    }

    /// Whether this version can do all that a server's owner asks for; else why not, as the rest of a sentence.
    pub fn usable(&self, server: &Server) -> Result<(), String> {
        self.usable_alone(server)?;
        let of_hop = |hop: &Server, why| format!("is reached through `{}`, which {why}", hop.name);
        self.hops_to(server)
            .into_iter()
            .try_for_each(|hop| self.usable_alone(hop).map_err(|why| of_hop(hop, why)))
    }

    fn usable_alone(&self, server: &Server) -> Result<(), String> {
        if cfg!(windows) && matches!(server.method, AuthMethod::LegacyPassword(_)) {
            let word = server.method.word();
            return Err(format!("has auth_method = \"{word}\", which does not work on Windows"));
        }
        if let Some(signer) = self.signer_of(server).filter(|signer| !signer.is_supported()) {
            return Err(format!(
                "has a signer of the kind \"{}\", which this version does not have",
                signer.kind()
            ));
        }
        if let restrictions @ [_, ..] = &server.policy.restrictions[..] {
            return Err(format!("has {}, which this version does not enforce", restrictions.join(", ")));
        }
        Ok(())
    }
}

const SAID_BEFORE: &str = "is in another servers.toml already, which this one cannot change";

fn is_new(is_new: bool, section: &Section<'_>) -> bool {
    if !is_new {
        section.complain(SAID_BEFORE);
    }
    is_new
}
