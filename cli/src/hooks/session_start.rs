//! What a new agent session is told about the attached workspace.
//!
//! A model reads this as runcode's own words. So no text of a control plane or a workspace is in it, whatever they call
//! themselves: only what this machine decided, and never more than [`MAX_BYTES`].

use serde_json::json;

use crate::origin::SessionKey;

/// The longest answer, in bytes.
pub const MAX_BYTES: usize = 600;

/// The longest name of a workspace that is told, in characters.
const MAX_NAME: usize = 64;

/// The answer for an agent whose commands mean this workspace, as Claude Code and Codex read it. `command` is how the agent
/// calls runcode.
pub fn answer(key: &SessionKey, command: &str) -> String {
    let told = |command: &str| {
        let text = text(key, command);
        json!({ "hookSpecificOutput": { "hookEventName": "SessionStart", "additionalContext": text } })
            .to_string()
    };
    Some(told(command)).filter(|told| told.len() <= MAX_BYTES).unwrap_or_else(|| told("runcode"))
}

fn text(key: &SessionKey, command: &str) -> String {
    let name = key.shown(None);
    let is_plain = name.chars().all(|c| c.is_ascii_graphic() && c != '`' && c != '"');
    let name = if is_plain && name.len() <= MAX_NAME { format!(" {name}") } else { String::new() };
    format!(
        "RunCode: this project is attached to the remote workspace{name}. Until `runcode disconnect`, its work belongs \
         there: use `{command} exec -- …`, `write`, `put` and `get`, not the local shell and file tools. Read the skill \
         runcode:ssh first. Never stop the workspace unless the user asks for it."
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn every_answer_is_short_and_names_the_id() {
        let key = r#"{"workspace_id":7,"api_base":"https://a.example"}"#;
        let key = serde_json::from_str::<SessionKey>(key).unwrap();
        for command in ["runcode", &"/long".repeat(20), &"\\\"".repeat(60), &"x".repeat(10_000)] {
            let told = answer(&key, command);
            assert!(told.len() <= MAX_BYTES, "{} bytes", told.len());
            assert!(told.contains("#7") && !told.contains('\n'), "{told}");
        }
    }
}
