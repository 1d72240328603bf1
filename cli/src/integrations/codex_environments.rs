//! `environments.toml` in Codex's home folder, which says where Codex runs its tools. Codex obeys it before any variable.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};
use crate::sys::env::{Env, Var};
use crate::sys::paths::home;

/// The name of our environment in it.
const NAME: &str = "runcode";

/// The verb that is our environment.
const VERB: &str = "codex-environment";

/// Where it is.
pub fn file(env: &Env) -> Result<PathBuf> {
    let folder = match env.var(Var::CodexHome) {
        Some(folder) => std::path::absolute(PathBuf::from(folder))
            .map_err(|error| Error::io("find the folder that CODEX_HOME names", error))?,
        None => home(env)?.join(".codex"),
    };
    Ok(folder.join("environments.toml"))
}

/// The content that leads to `program`, and never to this machine.
pub fn content(program: &str) -> Vec<u8> {
    let program = program.chars().fold(String::new(), |text, c| match c {
        '"' | '\\' => text + "\\" + c.encode_utf8(&mut [0; 4]),
        c if c.is_control() => text + &format!("\\u{:04X}", u32::from(c)),
        c => text + c.encode_utf8(&mut [0; 4]),
    });
    format!(
        "# Codex runs its tools on the workspace attached to its folder: `runcode install-codex`.\n\
         # `runcode install-codex --remove` takes this file away.\n\
         default = \"{NAME}\"\n\
         include_local = false\n\n\
         [[environments]]\n\
         id = \"{NAME}\"\n\
         program = \"{program}\"\n\
         args = [\"{VERB}\"]\n\
         initialize_timeout_sec = 60\n"
    )
    .into_bytes()
}

/// Whether the file leads to us alone, never to this machine, and says nothing else.
pub fn leads_to_us(content: &[u8]) -> bool {
    let Some(table) = std::str::from_utf8(content).ok().and_then(|text| DeTable::parse(text).ok()) else {
        return false;
    };
    let table = table.get_ref();
    let text = |table: &DeTable<'_>, key: &str| match table.get(key).map(|value| value.get_ref()) {
        Some(DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    };
    let is_local =
        !matches!(table.get("include_local").map(|value| value.get_ref()), Some(DeValue::Boolean(false)));
    let Some(DeValue::Array(all)) = table.get("environments").map(|value| value.get_ref()) else {
        return false;
    };
    let mut all = all.iter();
    let (Some(only), None) = (all.next(), all.next()) else { return false };
    let DeValue::Table(only) = only.get_ref() else { return false };
    let is_ours = match only.get("args").map(|value| value.get_ref()) {
        Some(DeValue::Array(args)) => {
            let args = args.iter().map(|arg| match arg.get_ref() {
                DeValue::String(arg) => arg == VERB,
                _ => false,
            });
            args.collect::<Vec<_>>() == [true]
        }
        _ => false,
    };
    let names = |table: &DeTable<'_>, known: &[&str]| {
        table.iter().all(|(key, _)| known.contains(&key.get_ref().as_ref()))
    };
    let has_program = text(only, "program").is_some_and(|program| {
        program.rsplit(['/', '\\']).next().is_some_and(|name| name == "runcode" || name == "runcode.exe")
    });
    !is_local
        && is_ours
        && has_program
        && text(table, "default").as_deref() == Some(NAME)
        && text(only, "id").as_deref() == Some(NAME)
        && names(table, &["default", "include_local", "environments"])
        && names(only, &["id", "program", "args", "initialize_timeout_sec"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_file_leads_to_us() {
        for program in ["/usr/bin/runcode", "/a \"b\\c\u{7}\u{e9}/runcode"] {
            let ours = content(program);
            assert!(leads_to_us(&ours), "{}", String::from_utf8_lossy(&ours));
        }
    }

    #[test]
    fn what_may_lead_elsewhere_is_not_ours() {
        let ours = String::from_utf8(content("/bin/runcode")).unwrap_or_default();
        for (from, to) in [
            ("include_local = false", "include_local = true"),
            ("include_local = false", ""),
            ("default = \"runcode\"", "default = \"none\""),
            ("default = \"runcode\"", ""),
            ("/bin/runcode", "/bin/sh"),
            ("codex-environment\"", "codex-environment\", \"x\""),
            ("codex-environment", "exec"),
            ("args", "cwd = \"/\"\nargs"),
            ("args", "url = \"ws://127.0.0.1:1\"\nargs"),
            ("[[environments]]", "[[environments]]\nid = \"other\"\nprogram = \"sh\"\n[[environments]]"),
            ("default", "other = 1\ndefault"),
            ("default", "default = = "),
        ] {
            let changed = ours.replacen(from, to, 1);
            assert!(changed != ours && !leads_to_us(changed.as_bytes()), "{changed}");
        }
        assert!(!leads_to_us(b"") && !leads_to_us(b"\xff"));
    }
}
