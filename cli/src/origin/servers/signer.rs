//! `[signers.NAME]`: read so that a mistake is told, and used by no command of this version.

use crate::origin::servers::reader::Section;

/// Reads a signer; whatever is wrong is noted.
pub(super) fn check_signer(mut section: Section<'_>) {
    let keys: &[&str] = match section.text("kind").map(|kind| (kind.value, kind)) {
        Some(("ca_key", _)) => &["key"],
        Some(("agent", _)) => &["public_key", "socket"],
        Some(("step-ca", _)) => &[
            "ca_url",
            "root",
            "fingerprint",
            "provisioner",
            "subject",
            "key",
            "password_ref",
            "token_env",
            "user_ca",
        ],
        Some(("vault", _)) => &[
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
        ],
        Some(("plane", _)) => &[],
        Some((_, kind)) => {
            return kind.note("is not \"ca_key\", \"agent\", \"step-ca\", \"vault\" or \"plane\"");
        }
        None if section.has("kind") => return,
        None => return section.note("kind", "is missing"),
    };
    for key in keys {
        section.text(key);
    }
    section.finish();
}
