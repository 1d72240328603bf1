//! Faults on request, for tests and for people who write clients: what a broken or hostile server would do.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// The answer is right, but late. At the gateway: the greeting is.
    Delay {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// The answer is right, but comes one byte at a time.
    Drip {
        /// The pause before each byte, in milliseconds.
        ms: u64,
    },
    /// Nothing is ever answered, and the connection stays. At the gateway too.
    Hang,
    /// The body never ends.
    Endless,
    /// The connection ends before the body does.
    Truncate,
    /// The connection ends without an answer. At the gateway too.
    Drop,
    /// A redirect instead of an answer.
    Redirect {
        /// Where to.
        location: String,
    },
    /// A status and a message instead of an answer.
    Status {
        /// The HTTP status.
        status: u16,
        /// The message of the body.
        message: String,
    },
    /// A body of any kind instead of an answer.
    Body {
        /// The HTTP status.
        status: u16,
        /// The value of `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// The answer with a JSON merge patch (RFC 7396) applied: a lie.
    Lie {
        /// The patch.
        patch: Value,
    },
}

/// Where and how often something goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// A part of the path, such as `/ssh-session`; `ssh` stands for the gateway.
    pub on: String,
    /// How many times; without it, always.
    #[serde(default)]
    pub times: Option<u32>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

impl FaultRule {
    /// `fault`, always, on paths that contain `on`.
    pub fn new(on: impl Into<String>, fault: Fault) -> Self {
        FaultRule { on: on.into(), times: None, fault }
    }

    /// The same, so many times only.
    pub fn times(self, times: u32) -> Self {
        FaultRule { times: Some(times), ..self }
    }
}

/// The rules in force; the first that fits wins.
pub struct Faults(Mutex<Vec<FaultRule>>);

impl Faults {
    /// Puts these in force.
    pub fn new(rules: Vec<FaultRule>) -> Self {
        Faults(Mutex::new(rules))
    }

    /// Replaces all rules.
    pub fn set(&self, rules: Vec<FaultRule>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// What goes wrong with a request for `path`, which counts as one time.
    pub(crate) fn on_path(&self, path: &str) -> Option<Fault> {
        self.take(|rule| rule.on != SSH && path.contains(&rule.on))
    }

    /// What goes wrong with an SSH connection, which counts as one time.
    pub fn on_ssh(&self) -> Option<Fault> {
        self.take(|rule| rule.on == SSH)
    }

    fn take(&self, fits: impl Fn(&FaultRule) -> bool) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter_mut().find(|rule| rule.times != Some(0) && fits(rule))?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault.clone())
    }
}

const SSH: &str = "ssh";

/// Applies a JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_adds_and_removes() {
        let mut value = json!({ "bundle": { "host": "a", "port": 1, "user": "u" } });
        merge(&mut value, &json!({ "bundle": { "host": "b", "port": null, "new": [1] } }));
        assert_eq!(value, json!({ "bundle": { "host": "b", "user": "u", "new": [1] } }));
        merge(&mut value, &json!([]));
        assert_eq!(value, json!([]));
    }

    #[test]
    fn rules_count_down_and_keep_to_their_side() {
        let rules = vec![FaultRule::new("/start", Fault::Drop).times(1), FaultRule::new("ssh", Fault::Hang)];
        let faults = Faults::new(rules);
        assert_eq!(faults.on_path("/api/rc/workspace/1/ssh-session"), None);
        assert_eq!(faults.on_path("/api/rc/workspace/start"), Some(Fault::Drop));
        assert_eq!(faults.on_path("/api/rc/workspace/start"), None);
        assert_eq!(faults.on_ssh(), Some(Fault::Hang));
    }

    #[test]
    fn rules_are_written_as_flat_json() {
        let rule: Result<FaultRule, _> =
            serde_json::from_value(json!({ "on": "/start", "times": 2, "fault": "delay", "ms": 10 }));
        assert_eq!(rule.ok(), Some(FaultRule::new("/start", Fault::Delay { ms: 10 }).times(2)));
    }
}
