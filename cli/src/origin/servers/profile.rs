//! `[profiles.NAME]` and `[signers.NAME]`: read so that a mistake is told, and used by no command of this version.

use crate::origin::servers::reader::Section;
use crate::origin::servers::server::is_name;
use crate::output::sanitize::is_steering;

const MAX_ARGUMENTS: usize = 64;

/// Reads a profile; whatever is wrong is noted.
pub(super) fn check_profile(mut section: Section<'_>) {
    section.parsed("description", |text| {
        let is_shown = text.chars().count() <= 256 && !text.chars().any(is_steering);
        is_shown.then_some(()).ok_or("is longer than 256 characters, or has one that does not show itself")
    });
    section.parsed("template", |text| {
        (1..=4096).contains(&text.len()).then_some(()).ok_or("is not 1 to 4096 bytes long")
    });
    if let Some(words) = section.texts("argv") {
        if !(1..=128).contains(&words.len()) {
            section.note("argv", "does not have 1 to 128 elements");
        }
        for word in words {
            word.parse(|text| match text.len() > 4096 || text.chars().any(char::is_control) {
                true => Err("is longer than 4096 bytes, or has a control character"),
                false => Ok(()),
            });
        }
    }
    if section.has("template") == section.has("argv") {
        section.note("template", "or argv has to be there, and not both");
    }
    section.flag("requires_approval");
    section.flag("stdin");
    section.number("timeout_seconds", 1..=86400);
    for (_, argument) in section.named("args", MAX_ARGUMENTS, is_argument) {
        check_argument(argument);
    }
    section.finish();
}

fn check_argument(mut section: Section<'_>) {
    section.parsed("type", |word| match word {
        "text" | "word" | "path" | "int" | "time" => Ok(()),
        _ => Err("is not \"text\", \"word\", \"path\", \"int\" or \"time\""),
    });
    section.texts("choices");
    section.text("pattern");
    section.number("max", 1..=65536);
    section.text("default");
    section.flag("secret");
    section.flag("dash");
    section.finish();
}

fn is_argument(name: &str) -> Result<(), &'static str> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    is_name(name).and(begins.then_some(()).ok_or("does not begin with a letter"))
}

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
