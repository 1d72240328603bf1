//! What a new agent session is told about the attached workspace.
//!
//! A model reads this as runcode's own words. So it contains no text from a control plane, a workspace or a variable, only what
//! this machine decided, and is never longer than [`MAX_BYTES`].

use serde_json::json;

use crate::origin::SessionKey;

/// The longest answer, in bytes.
pub const MAX_BYTES: usize = 720;

/// The longest name of a workspace that is told, in characters.
const MAX_NAME: usize = 64;

/// The answer for an agent whose commands go to this workspace, in the format of Claude Code and Codex.
pub fn answer(key: &SessionKey) -> String {
    told("SessionStart", &text(key))
}

/// The answer for a session, or a subagent of one, whose tools are routed to this workspace.
pub fn answer_routed(event: &str, key: &SessionKey) -> String {
    let name = name(key);
    told(
        event,
        &format!(
            "RunCode: this project is routed to the remote workspace{name}. Bash and Monitor run there, in the project's folder \
             there (`pwd` shows it; its path here does not exist there). Read, Edit, Write and NotebookEdit do not reach it: \
             use the tools read, edit and write of the MCP server runcode, or Bash. A single `runcode …` command runs on this \
             machine. When a call is refused, nothing was run: do what the message says. Never stop the workspace unless the \
             user asks for it."
        ),
    )
}

fn told(event: &str, text: &str) -> String {
    json!({ "hookSpecificOutput": { "hookEventName": event, "additionalContext": text } }).to_string()
}

/// The workspace's name after a blank, unless others chose the text.
fn name(key: &SessionKey) -> String {
    let name = key.shown(None);
    let is_plain = name.chars().all(|c| c.is_ascii_graphic() && c != '`' && c != '"');
    if is_plain && name.len() <= MAX_NAME { format!(" {name}") } else { String::new() }
}

/// Codex does not put the plugin's `bin` on PATH. Only the skill, which lies in the plugin, can tell where that is.
fn text(key: &SessionKey) -> String {
    let name = name(key);
    format!(
        "RunCode: this project is attached to the remote workspace{name}. Until `runcode disconnect`, its work belongs \
         there: use `runcode exec -- …`, `write`, `put` and `get`, not the local shell and file tools. Read the skill \
         runcode:ssh first; it says where `runcode` is if the shell does not find it. Never stop the workspace unless the user \
         asks for it."
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
        let longest = SessionKey::server(&"x".repeat(MAX_NAME)).unwrap();
        for (key, name) in [(key, "#7"), (longest, " xxx")] {
            for told in [answer(&key), answer_routed("SubagentStart", &key)] {
                assert!(told.len() <= MAX_BYTES, "{} bytes", told.len());
                assert!(told.contains(name) && !told.contains('\n'), "{told}");
            }
        }
    }
}
