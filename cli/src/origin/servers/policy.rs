//! What a server's owner allows: profiles, approvals, certificates. What this version cannot hold, it obeys by refusing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::grant::SshUser;
use crate::origin::servers::config::File;
use crate::origin::servers::password::PasswordRef;
use crate::origin::servers::reader::Section;
use crate::origin::servers::server::{Word, user};
use crate::sys::keychain::Entry;
use crate::sys::trusted_file::Owner;

/// The longest that an approved session may last, in seconds.
const LONGEST_SESSION: u64 = 3600;

/// How many hops there may be on the way to a server. Each takes a connection and a certificate.
pub const MOST_HOPS: usize = 4;

/// What a file may refer to.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The profiles that there are.
    pub(super) profiles: BTreeSet<String>,
    /// The signers that there are.
    pub(super) signers: BTreeSet<String>,
    /// The servers in this file, each with its `auth_method`; `None` if that is not valid.
    pub(super) methods: BTreeMap<String, Option<Word>>,
    /// The servers that are reached through another one, each with that one.
    pub(super) jumps: BTreeMap<String, String>,
    /// The file that is read.
    pub(super) file: Option<File>,
    /// Who signs where a server names nobody.
    pub(super) default_signer: Option<String>,
}

/// What may be done on a server, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Who signs its certificates.
    pub signer: Option<String>,
    /// The profiles that may run on it.
    pub profiles: Vec<String>,
    /// Whether every use needs an approval.
    pub requires_approval: bool,
    /// Whether there may be sessions in which any command may run.
    pub unrestricted_sessions: bool,
    /// Whether these may forward ports.
    pub forwarding: bool,
    /// How long they may last, in seconds.
    pub max_ttl: u64,
    /// How long they may stand without a command, in seconds.
    pub max_idle: u64,
    /// The allowed_signers file of those who may approve, and whose it has to be. Without one, any word is an approval.
    pub approvers: Option<(PathBuf, Owner)>,
    /// How many of them have to.
    pub approvals_needed: usize,
    /// Where its password is kept, if it logs in with one.
    pub password: Option<PasswordRef>,
    /// The principal of its certificates; none is the user.
    pub principal: Option<SshUser>,
    /// The networks that its certificates may be used from; empty is any.
    pub source_address: Vec<String>,
    /// The server through which it is reached.
    pub jump: Option<String>,
    /// The keys that restrict what may be done on it, or how it is reached.
    pub restrictions: Vec<&'static str>,
}

impl Policy {
    /// Reads the section of the server of this name. `word`: its `auth_method`; `None` if that is unclear.
    pub(super) fn read(name: &str, section: &mut Section<'_>, word: Option<Word>, known: &Known) -> Policy {
        let (is_unclear, word) = (word.is_none(), word.unwrap_or(Word::Certificate));
        let profiles = profiles(section, known);
        let requires_approval = section.flag("requires_approval");
        let approvers = section.parsed("approvers", |text| path(text).map(|()| text.to_owned()));
        let approvers =
            approvers.zip(known.file.as_ref()).map(|(text, file)| (file.beside(&text), file.owner));
        let needed = section.number("approvals_needed", 1..=8);
        let is_signer = |name: &str| match known.signers.contains(name) {
            true => Ok(name.to_owned()),
            false => Err("is not a signer of this file"),
        };
        let signer = section.parsed("signer", is_signer);
        let principal = section.parsed("principal", user);
        let source_address = section.texts("source_address").unwrap_or_default().into_iter();
        let source_address = source_address
            .filter_map(|address| address.parse(|text| network(text).map(|()| text.to_owned())))
            .collect();
        let jump = section.parsed("jump", |through| way(name, through, word, known));
        let unrestricted_sessions = section.flag("allow_unrestricted_sessions");
        let forwarding = section.flag("allow_forwarding");
        let max_ttl = section.number("max_ttl_seconds", 1..=LONGEST_SESSION);
        let max_idle = section.number("max_idle_seconds", 1..=LONGEST_SESSION);
        let mut password_ref = None;
        if !is_unclear {
            password_ref = password(section, word == Word::LegacyPassword, known);
            if unrestricted_sessions == Some(true)
                && requires_approval != Some(true)
                && word != Word::LegacyPassword
            {
                section.note("allow_unrestricted_sessions", "needs requires_approval = true");
            }
            if word == Word::Certificate && !section.has("signer") && known.default_signer.is_none() {
                section.note(
                    "signer",
                    "is missing, and so is broker.default_signer: auth_method = \"certificate\", the default, needs one; \
                     to log in as your own ssh does, write auth_method = \"ssh\"",
                );
            }
        }
        let keys = [
            "approvers",
            "approvals_needed",
            "signer",
            "principal",
            "source_address",
            "jump",
            "max_ttl_seconds",
            "max_idle_seconds",
        ];
        let needs_approval = requires_approval == Some(true) && unrestricted_sessions == Some(true);
        let is_restricted = word == Word::Certificate || !profiles.is_empty() || needs_approval;
        // What only a certificate can hold is held by one.
        let holds = |key: &&str| {
            let by_certificate = ["signer", "principal", "source_address"].contains(key);
            *key == "jump"
                || (by_certificate && word == Word::Certificate)
                || (is_restricted && !by_certificate)
        };
        let said = keys.into_iter().filter(|key| section.has(key)).collect::<Vec<_>>();
        let mut restrictions = said.into_iter().filter(|key| !holds(key)).collect::<Vec<_>>();
        if !is_restricted {
            restrictions.extend((requires_approval == Some(true)).then_some("requires_approval"));
            restrictions
                .extend((unrestricted_sessions == Some(false)).then_some("allow_unrestricted_sessions"));
            restrictions.extend((forwarding == Some(false)).then_some("allow_forwarding"));
        }
        Policy {
            signer: signer.or_else(|| known.default_signer.clone()).filter(|_| word == Word::Certificate),
            profiles,
            requires_approval: requires_approval == Some(true) || word == Word::LegacyPassword,
            unrestricted_sessions: unrestricted_sessions == Some(true),
            forwarding: forwarding == Some(true),
            max_ttl: max_ttl.unwrap_or(LONGEST_SESSION),
            max_idle: max_idle.unwrap_or(LONGEST_SESSION),
            approvers,
            approvals_needed: usize::try_from(needed.unwrap_or(1)).unwrap_or(1),
            password: password_ref,
            principal,
            source_address,
            jump,
            restrictions,
        }
    }
}

/// The name of the server through which `name` is reached, or why it cannot be reached so.
fn way(name: &str, through: &str, word: Word, known: &Known) -> Result<String, String> {
    if word == Word::Ssh {
        let how = "does not go with auth_method = \"ssh\": your own ssh connects there, so write ProxyJump into its config";
        return Err(how.to_owned());
    }
    match known.methods.get(through) {
        _ if through == name => return Err("is the server itself".to_owned()),
        Some(Some(Word::Certificate)) => {}
        Some(Some(other)) => {
            return Err(format!(
                "is `{through}`, which has auth_method = \"{}\"; `jump` works only through a server with \"certificate\"",
                other.as_str()
            ));
        }
        Some(None) => return Err(format!("is `{through}`, whose auth_method is not valid")),
        None => return Err("is not a server of this file".to_owned()),
    }
    let next = |name: &&str| {
        known.jumps.get(*name).map(String::as_str).filter(|next| known.methods.contains_key(*next))
    };
    let mut chain = vec![name, through];
    while let Some(next) = chain.last().and_then(next) {
        let is_circle = chain.contains(&next);
        chain.push(next);
        if is_circle {
            return Err(format!("leads in a circle: {}", chain.join(" → ")));
        }
        if chain.len() > MOST_HOPS + 1 {
            return Err(format!("leads through more than {MOST_HOPS} others: {}", chain.join(" → ")));
        }
    }
    Ok(through.to_owned())
}

fn profiles(section: &mut Section<'_>, known: &Known) -> Vec<String> {
    let Some(found) = section.texts("allowed_profiles") else { return Vec::new() };
    if found.is_empty() {
        section.note("allowed_profiles", "is empty: name a profile, or leave it out");
    }
    let mut names = Vec::new();
    for name in found {
        if !known.profiles.contains(name.value.trim()) {
            name.note("is not a profile of this file");
        } else if names.iter().any(|other| other == name.value.trim()) {
            name.note("is named twice");
        } else {
            names.push(name.value.trim().to_owned());
        }
    }
    names
}

/// The keys of the password lane. A password itself stands in no file.
fn password(section: &mut Section<'_>, is_wanted: bool, known: &Known) -> Option<PasswordRef> {
    for key in ["password", "password_env_var"] {
        if section.has(key) {
            section.note(key, "is never read from a file: put the password into the system's keychain");
        }
    }
    let reference = section.parsed("password_ref", Entry::parse);
    let variable =
        section.parsed("password_secret_ref_env_var", |text| variable(text).map(|()| text.to_owned()));
    let named = [reference.is_some(), variable.is_some()].into_iter().filter(|is| *is).count();
    for key in ["legacy_password_acknowledged", "fail2ban_allowlist_confirmed"] {
        match (section.flag(key), is_wanted) {
            (Some(true), true) | (None, false) => {}
            (_, true) => section.note(key, "has to be true with auth_method = \"legacy_password\""),
            (Some(_), false) => section.note(key, "is only for auth_method = \"legacy_password\""),
        }
    }
    for key in ["password_ref", "password_secret_ref_env_var"] {
        if !is_wanted && section.has(key) {
            section.note(key, "is only for auth_method = \"legacy_password\"");
        }
    }
    if is_wanted && named != 1 {
        section.note("password_ref", "or password_secret_ref_env_var has to be there, and not both");
    }
    let by_variable = || variable.map(|name| PasswordRef::Variable { name, file: known.file.clone() });
    reference.map(PasswordRef::Entry).or_else(by_variable).filter(|_| is_wanted)
}

/// The name of an environment variable.
pub(super) fn variable(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = (1..=128).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with(|first: char| first.is_ascii_digit());
    is_name.then_some(()).ok_or("is not the name of an environment variable")
}

/// A path of this machine.
pub(super) fn path(text: &str) -> Result<(), &'static str> {
    match text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
        true => Err("is not a path"),
        false => Ok(()),
    }
}

/// An address, or a network as `10.0.0.0/8`.
fn network(text: &str) -> Result<(), &'static str> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return Err("is not a network, such as 10.0.0.0/8"),
    };
    let is_length = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u8>().is_ok_and(|length| length <= most)
    };
    if !length.is_none_or(is_length) {
        return Err("is not a network, such as 10.0.0.0/8");
    }
    // sshd refuses a certificate whose network has bits behind its mask.
    let is_well_formed = runcode_sshcert::is_well_formed_option("source-address", text);
    is_well_formed.then_some(()).ok_or("has bits behind its mask; write it as 10.0.0.0/8")
}
