//! A workspace as the control plane lists it, parsed from a row that may hold anything.

use serde_json::Value;

use runcode_wire::MAX_WORKSPACE_ID;

/// A row of the list. Its strings are foreign: they reach a terminal only through the filter, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The id, at most 2^53.
    pub id: u64,
    /// The slug, which is also the SSH user.
    pub title: String,
    /// The name that a user, possibly a teammate, gave it.
    pub custom_title: Option<String>,
    /// Its state; what it is on its way to wins over what it is.
    pub state: String,
    /// Whether it is somebody else's, shared with us.
    pub shared: bool,
    /// Whether it has SSH at all.
    pub ssh_capable: bool,
}

impl Workspace {
    /// Parses a row. One without a whole, positive id of at most 2^53 and a title is no workspace.
    pub fn from_row(row: &Value, shared: bool) -> Option<Workspace> {
        let id = row.get("id")?.as_u64().filter(|id| (1..=MAX_WORKSPACE_ID).contains(id))?;
        let text = |field: &str| {
            let text = row.get(field)?.as_str()?.chars().take(1024).collect::<String>();
            (!text.is_empty()).then_some(text)
        };
        Some(Workspace {
            id,
            title: text("title")?,
            custom_title: text("custom_title"),
            state: text("interim_state")
                .or_else(|| text("current_state"))
                .unwrap_or_else(|| "unknown".to_owned()),
            shared,
            ssh_capable: row.get("provider").and_then(Value::as_str) == Some("aws"),
        })
    }

    /// Whether it is up.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// Whether SSH can reach it now.
    pub fn is_connectable(&self) -> bool {
        self.ssh_capable && self.is_running()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use serde_json::json;

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
            assert_eq!(Workspace::from_row(&json!({"id": id, "title": "a"}), false), None, "{id}");
        }
        assert_eq!(Workspace::from_row(&json!({"id": 7}), false), None);
        assert_eq!(Workspace::from_row(&json!(7), false), None);
    }

    #[test]
    fn the_interim_state_wins() {
        let row = json!({"id": 7, "title": "a", "provider": "aws", "current_state": "running", "interim_state": "stopping"});
        let workspace = Workspace::from_row(&row, true).unwrap();
        assert_eq!(workspace.state, "stopping");
        assert!(!workspace.is_connectable() && workspace.ssh_capable && workspace.shared);
        let row = json!({"id": 7, "title": "a", "provider": "gcp", "current_state": "running", "interim_state": ""});
        let workspace = Workspace::from_row(&row, false).unwrap();
        assert!(workspace.is_running() && !workspace.is_connectable());
    }
}
