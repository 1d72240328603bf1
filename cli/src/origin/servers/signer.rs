//! `[signers.NAME]`: who certifies keys for runs.

use std::fmt::Display;
use std::path::PathBuf;

use ssh_key::PublicKey;

use crate::http::BaseUrl;
use crate::origin::servers::config::File;
use crate::origin::servers::policy::{path, variable};
use crate::origin::servers::reader::Section;
use crate::output::sanitize::is_steering;
use crate::signer::step_ca::{self, Credential};
use crate::signer::{AgentKey, Spec, vault};
use crate::sys::keychain::Entry;

/// Reads a signer; whatever is wrong is noted. Relative paths start at the file's folder.
pub(super) fn read_signer(mut section: Section<'_>, file: &File) -> Option<Spec> {
    let kind = match section.text("kind") {
        Some(kind) => kind,
        None => {
            if !section.has("kind") {
                section.note("kind", "is missing");
            }
            return None;
        }
    };
    let located = |text: &str| path(text).map(|()| file.beside(text));
    let spec = match kind.value {
        "ca_key" => {
            let key = section.parsed("key", located);
            if !section.has("key") {
                section.note("key", "is missing: the file of the CA's private key");
            }
            key.map(|key| Spec::CaKey { key, owner: file.owner })
        }
        "agent" => {
            let public_key = section.parsed("public_key", |text| match PublicKey::from_openssh(text) {
                Ok(key) => Ok(AgentKey::Line(key)),
                Err(_) if text.contains(char::is_whitespace) => {
                    Err("is neither a public key nor a path without blanks")
                }
                Err(_) => located(text).map(|path| AgentKey::File(path, file.owner)),
            });
            if !section.has("public_key") {
                section.note("public_key", "is missing: the CA's public key, or the file that has it");
            }
            let socket = section.parsed("socket", located);
            public_key.map(|public_key| Spec::Agent { public_key, socket })
        }
        "step-ca" => read_step_ca(&mut section, file).map(Spec::StepCa),
        "vault" => read_vault(&mut section, file).map(Spec::Vault),
        "plane" => Some(Spec::Unsupported("plane")),
        _ => {
            kind.note("is not \"ca_key\", \"agent\", \"step-ca\", \"vault\" or \"plane\"");
            return None;
        }
    };
    section.finish();
    spec
}

fn read_step_ca(section: &mut Section<'_>, file: &File) -> Option<step_ca::Settings> {
    let ca_url = needed(section, "ca_url", "the address of the step-ca", BaseUrl::read);
    let located = |text: &str| path(text).map(|()| file.beside(text));
    one_at_most(section, ["root", "fingerprint"]);
    let root = section.parsed("root", located).map(|path| step_ca::Root::File(path, file.owner));
    let fingerprint = section.parsed("fingerprint", fingerprint).map(step_ca::Root::Fingerprint);
    let says_root = section.has("root") || section.has("fingerprint");
    let provisioner = section.parsed("provisioner", name);
    let subject = section.parsed("subject", name);
    one_at_most(section, ["key", "password_ref", "token_env"]);
    let key = section.parsed("key", located).map(|path| Credential::Key(path, file.owner));
    let password = section.parsed("password_ref", Entry::parse).map(Credential::Password);
    let token = section.parsed("token_env", |text| variable(text).map(|()| text.to_owned()));
    let user_ca = user_ca(section);
    let root = root.or(fingerprint);
    Some(step_ca::Settings {
        ca_url: ca_url?,
        root: if says_root { root? } else { step_ca::Root::System },
        provisioner,
        subject,
        credential: key.or(password).or(token.map(Credential::Token)),
        user_ca,
    })
}

/// Notes a problem if more than one of these keys is set: each replaces the others.
fn one_at_most<const N: usize>(section: &mut Section<'_>, keys: [&'static str; N]) {
    let said = keys.into_iter().filter(|key| section.has(key)).collect::<Vec<_>>();
    if let [first, others @ ..] = &said[..] {
        for other in others {
            section.note(other, format_args!("cannot be combined with `{first}`"));
        }
    }
}

/// The SHA-256 of a certificate, as `step certificate fingerprint` shows it or with colons.
fn fingerprint(text: &str) -> Result<String, &'static str> {
    let hex = text.replace(':', "").to_ascii_lowercase();
    let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest
        .then_some(hex)
        .ok_or("is not a SHA-256 in hexadecimal, as `step certificate fingerprint` shows it")
}

/// A name that somebody chose: one line of visible text.
fn name(text: &str) -> Result<String, &'static str> {
    let is_name = (1..=256).contains(&text.len()) && !text.chars().any(is_steering);
    is_name.then(|| text.to_owned()).ok_or("is longer than 256 bytes, or contains an invisible character")
}

fn read_vault(section: &mut Section<'_>, file: &File) -> Option<vault::Settings> {
    let url = needed(section, "url", "the address of the Vault or OpenBao", BaseUrl::read);
    let mount = section.parsed("mount", |text| is_api_path(text).map(|()| text.to_owned()));
    let mount = if section.has("mount") { mount } else { Some("ssh".to_owned()) };
    let role = needed(section, "role", "the role that signs", |text| {
        let plain = text.replace("{server}", "s").replace("{profile}", "p");
        (is_api_path(&plain).is_ok() && !plain.contains('/'))
            .then(|| text.to_owned())
            .ok_or("is not the name of a role, which may contain {server} and {profile}")
    });
    let namespace = section.parsed("namespace", |text| is_api_path(text).map(|()| text.to_owned()));
    let ca = section.parsed("ca", |text| path(text).map(|()| (file.beside(text), file.owner)));
    let auth = read_auth(section);
    let expects = section.parsed("options", |text| match text {
        "ask" => Ok(false),
        "expect" => Ok(true),
        _ => Err("is not \"ask\" or \"expect\""),
    });
    let user_ca = user_ca(section);
    Some(vault::Settings {
        url: url?,
        mount: mount?,
        role: role?,
        namespace,
        ca,
        auth: auth?,
        expects: expects.unwrap_or(false),
        user_ca,
    })
}

/// How to log in, and what that takes.
fn read_auth(section: &mut Section<'_>) -> Option<vault::Auth> {
    let word = section.parsed("auth", |text| match text {
        "token" | "approle" | "jwt" => Ok(text.to_owned()),
        _ => Err("is not \"token\", \"approle\" or \"jwt\""),
    });
    if section.has("auth") && word.is_none() {
        for (_, keys) in CREDENTIALS {
            keys.iter().for_each(|key| {
                section.has(key);
            });
        }
        return None;
    }
    let word = word.as_deref().unwrap_or("token");
    for (other, keys) in CREDENTIALS.into_iter().filter(|(other, _)| *other != word) {
        for key in keys.iter().filter(|key| section.has(key)).collect::<Vec<_>>() {
            section.note(key, format_args!("is only for auth = \"{other}\""));
        }
    }
    match word {
        "approle" => {
            let role_id = needed(section, "role_id", "the id of the AppRole", one_word);
            let secret_id =
                needed(section, "secret_id_ref", "the keychain's entry for the secret id", Entry::parse);
            Some(vault::Auth::AppRole { role_id: role_id?, secret_id: secret_id? })
        }
        "jwt" => {
            let role = needed(section, "jwt_role", "the role of the login", one_word);
            let named = |text: &str| variable(text).map(|()| text.to_owned());
            let variable = needed(section, "jwt_env", "the variable that holds the JWT", named);
            Some(vault::Auth::Jwt { role: role?, variable: variable? })
        }
        _ => Some(vault::Auth::Token),
    }
}

/// The keys that each way to log in takes.
const CREDENTIALS: [(&str, [&str; 2]); 2] =
    [("approle", ["role_id", "secret_id_ref"]), ("jwt", ["jwt_role", "jwt_env"])];

/// A text that must be present.
fn needed<T, E: Display>(
    section: &mut Section<'_>,
    key: &'static str,
    what: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    if !section.has(key) {
        section.note(key, format_args!("is missing: {what}"));
    }
    section.parsed(key, parse)
}

/// The key that certificates are verified with.
fn user_ca(section: &mut Section<'_>) -> Option<PublicKey> {
    section.parsed("user_ca", |text| PublicKey::from_openssh(text).map_err(|_| "is not a public key"))
}

fn one_word(text: &str) -> Result<String, &'static str> {
    let is_word = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned()).ok_or("is not one word of visible characters")
}

/// Words between slashes, as they stand in the path of a URL.
fn is_api_path(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_word = |word: &str| !["", ".", ".."].contains(&word) && word.bytes().all(allowed);
    let is_path = text.len() <= 256 && text.split('/').all(is_word);
    is_path.then_some(()).ok_or("may contain only letters, digits, `_`, `.` and `-` between its slashes")
}

impl File {
    /// A path that stands in the file: a relative one starts at its folder.
    pub(super) fn beside(&self, text: &str) -> PathBuf {
        self.path.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
    }
}
