//! Workspaces as the control plane lists them, parsed from rows that may hold anything.

use serde_json::Value;

use crate::origin::{BaseUrl, SessionKey, Workspace};
use crate::output::foreign::Name;

/// Parses a row of the control plane at `base`. One without a whole, positive id of at most 2^53 and a title is no
/// workspace.
pub fn from_row(row: &Value, base: &BaseUrl, shared: bool) -> Option<Workspace> {
    let key = SessionKey::plane(base, row.get("id")?.as_u64()?)?;
    let text = |field: &str| {
        let text = row.get(field)?.as_str()?.chars().take(1024).collect::<String>();
        (!text.is_empty()).then_some(Name::from(text))
    };
    // What it is on its way to wins over what it is.
    let state = text("interim_state").or_else(|| text("current_state"));
    Some(Workspace {
        key,
        title: text("title")?,
        custom_title: text("custom_title"),
        environment: None,
        state: Some(state.unwrap_or_else(|| "unknown".into())),
        shared,
        ssh_capable: row.get("ssh") == Some(&Value::Bool(true))
            || row.get("provider").and_then(Value::as_str) == Some("aws"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use serde_json::json;

    fn parsed(row: &Value, shared: bool) -> Option<Workspace> {
        from_row(row, &BaseUrl::parse("https://a.example").unwrap(), shared)
    }

    #[test]
    fn a_row_with_a_wrong_id_is_ignored() {
        for id in [
            json!(-1),
            json!(true),
            json!("7"),
            json!(9_007_199_254_740_993_u64),
            json!(1.5),
            json!(null),
            json!(0),
            json!([7]),
        ] {
            assert_eq!(parsed(&json!({"id": id, "title": "a"}), false), None, "{id}");
        }
        assert_eq!(parsed(&json!({"id": 7}), false), None);
        assert_eq!(parsed(&json!(7), false), None);
    }

    #[test]
    fn the_interim_state_wins() {
        let row = json!({"id": 7, "title": "a", "provider": "aws", "current_state": "running", "interim_state": "stopping"});
        let workspace = parsed(&row, true).unwrap();
        assert!(workspace.is_in("stopping"));
        assert!(!workspace.is_connectable() && workspace.ssh_capable && workspace.shared);
        let row = json!({"id": 7, "title": "a", "provider": "gcp", "current_state": "running", "interim_state": ""});
        let workspace = parsed(&row, false).unwrap();
        assert!(workspace.is_running() && !workspace.is_connectable());
        for (ssh, is_capable) in
            [(json!(true), true), (json!("true"), false), (json!(1), false), (json!(false), false)]
        {
            let row =
                json!({"id": 7, "title": "a", "provider": "own", "ssh": ssh, "current_state": "running"});
            assert_eq!(parsed(&row, false).unwrap().is_connectable(), is_capable, "{ssh}");
        }
    }
}
