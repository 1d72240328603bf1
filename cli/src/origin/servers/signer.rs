//! `[signers.NAME]`: who certifies keys for runs.

use std::path::PathBuf;

use ssh_key::PublicKey;

use crate::origin::servers::config::File;
use crate::origin::servers::policy::path;
use crate::origin::servers::reader::Section;
use crate::signer::{AgentKey, Spec};

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
        "step-ca" => {
            unsupported(&mut section, &STEP_CA);
            Some(Spec::Unsupported("step-ca"))
        }
        "vault" => {
            unsupported(&mut section, &VAULT);
            Some(Spec::Unsupported("vault"))
        }
        "plane" => Some(Spec::Unsupported("plane")),
        _ => {
            kind.note("is not \"ca_key\", \"agent\", \"step-ca\", \"vault\" or \"plane\"");
            return None;
        }
    };
    section.finish();
    spec
}

const STEP_CA: [&str; 9] = [
    "ca_url",
    "root",
    "fingerprint",
    "provisioner",
    "subject",
    "key",
    "password_ref",
    "token_env",
    "user_ca",
];

const VAULT: [&str; 12] = [
    "url",
    "mount",
    "role",
    "namespace",
    "ca",
    "auth",
    "role_id",
    "secret_id_ref",
    "jwt_role",
    "jwt_env",
    "options",
    "user_ca",
];

fn unsupported(section: &mut Section<'_>, keys: &[&'static str]) {
    for key in keys {
        section.text(key);
    }
}

impl File {
    /// A path that stands in the file: a relative one starts at its folder.
    pub(super) fn beside(&self, text: &str) -> PathBuf {
        self.path.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
    }
}
