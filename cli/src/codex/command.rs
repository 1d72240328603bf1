//! What Codex wants to be run, as a command for the workspace.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;
use serde_json::Value;

use crate::codex::message::{INVALID_PARAMS, Refusal};
use crate::codex::paths::Paths;
use crate::codex::policy::Policy;
use crate::output::foreign;
use crate::session::execution::Execution;
use crate::transport::{EnvName, Secret, Variables};

/// The parameters of `process/start`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start {
    pub(super) process_id: String,
    argv: Vec<String>,
    cwd: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    env_policy: Option<Policy>,
    #[serde(default)]
    pub(super) tty: bool,
    #[serde(default)]
    pub(super) pipe_stdin: bool,
    #[serde(default)]
    arg0: Option<String>,
    #[serde(default)]
    enforce_managed_network: bool,
    #[serde(default)]
    managed_network: Option<Value>,
}

/// The longest name that a process may have, in bytes.
const ID_MAX: usize = 256;

/// Sets up a new terminal the usual way: whatever asked for it has none of its own, so it has no modes and no size.
const SANE: &str = "stty sane rows 24 cols 80 2>/dev/null; ";

impl Start {
    /// Refuses what cannot be done as asked.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let bad = |why: &str| Err(Refusal::new(INVALID_PARAMS, format!("runcode: {why}")));
        if self.process_id.is_empty() || self.process_id.len() > ID_MAX {
            return bad("`processId` is empty or too long");
        }
        if self.argv.first().is_none_or(String::is_empty) {
            return bad("`argv` names no program");
        }
        if self.argv.iter().any(|word| word.contains('\0')) {
            return bad("a word of the command contains a NUL");
        }
        if self.arg0.is_some() {
            return bad("`arg0` cannot be set on the workspace");
        }
        if self.enforce_managed_network || self.managed_network.is_some() {
            return bad(
                "Codex is set to restrict the command's network, which runcode cannot do on the workspace; nothing was run",
            );
        }
        Ok(())
    }

    /// The type of the terminal that it wants.
    pub(super) fn terminal(&self) -> Option<String> {
        let kind = || self.env.get("TERM").cloned().unwrap_or_else(|| "dumb".to_owned());
        self.tty.then(kind)
    }

    /// What is run. `is_shared`: others can see the workspace's processes.
    pub(super) fn execution(self, paths: &Paths, is_shared: bool) -> Result<Execution, Refusal> {
        let folder = String::from_utf8(paths.remote(&self.cwd)?)
            .map_err(|_| Refusal::new(INVALID_PARAMS, "runcode: the folder's name is not UTF-8"))?;
        let policy = self.env_policy.unwrap_or_default();
        let filter = policy.filter();
        let mut env = Variables::default();
        for (name, value) in policy.variables(self.env) {
            let name = EnvName::parse(&name).map_err(|why| {
                let name = foreign::word(&name);
                Refusal::new(INVALID_PARAMS, format!("runcode: the variable's name {name} {why}"))
            })?;
            if is_shared && name.is_secret_like() {
                env.secret.push((name, Secret::new(value)));
            } else {
                env.plain.push((name, value));
            }
        }
        let own = env.plain.iter().map(|(name, _)| name).chain(env.secret.iter().map(|(name, _)| name));
        let own = own.map(EnvName::as_str).collect::<Vec<_>>().join(" ");
        let sane = if self.tty { SANE } else { "" };
        let mut words = self.argv;
        if filter.is_some() || self.tty {
            let filter = filter.unwrap_or_default();
            let script = format!("{sane}{filter}shift; exec \"$@\"");
            let mut around = ["sh", "-c", &script, "sh", &own].map(str::to_owned).to_vec();
            around.append(&mut words);
            words = around;
        }
        Ok(Execution {
            from_home: false,
            folder: Some(folder),
            env,
            no_stdin: !self.pipe_stdin,
            timeout: None,
            words: words.into_iter().map(OsString::from).collect(),
            is_exact: true,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use serde_json::json;
    use std::path::PathBuf;

    fn start(change: Value) -> Start {
        let mut all = json!({ "processId": "1", "argv": ["/bin/bash", "-lc", "make"], "cwd": "file:///p/a",
            "env": { "TERM": "dumb" }, "envPolicy": { "inherit": "all", "ignoreDefaultExcludes": true },
            "tty": false, "pipeStdin": false, "arg0": null, "sandbox": { "permissions": {} },
            "enforceManagedNetwork": false, "managedNetwork": null, "metadata": {} });
        for (name, value) in change.as_object().unwrap() {
            all[name] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn paths() -> Paths {
        Paths::new(vec![PathBuf::from("/p")], vec![PathBuf::from("/w")])
    }

    #[test]
    fn a_command_is_what_codex_says() {
        let found = start(json!({})).execution(&paths(), false).unwrap();
        assert_eq!(found.words, ["/bin/bash", "-lc", "make"]);
        assert_eq!((found.folder.as_deref(), found.no_stdin, found.is_exact), (Some("/w/a"), true, true));
        let found = start(json!({ "tty": true })).execution(&paths(), false).unwrap();
        assert_eq!(found.words[4..], ["TERM", "/bin/bash", "-lc", "make"]);
        assert!(found.words[2].to_str().unwrap().starts_with("stty sane "));
        let secret = json!({ "env": { "API_KEY": "k", "A": "1" } });
        let found = start(secret.clone()).execution(&paths(), true).unwrap();
        assert_eq!((found.env.plain.len(), found.env.secret.len()), (1, 1));
        assert_eq!(start(secret).execution(&paths(), false).unwrap().env.plain.len(), 2);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for change in [
            json!({ "argv": [] }),
            json!({ "argv": [""] }),
            json!({ "argv": ["a\u{0}b"] }),
            json!({ "processId": "" }),
            json!({ "arg0": "x" }),
            json!({ "enforceManagedNetwork": true }),
            json!({ "managedNetwork": {} }),
        ] {
            assert!(start(change.clone()).check().is_err(), "{change}");
        }
        assert!(start(json!({})).check().is_ok());
        for change in
            [json!({ "cwd": "/p" }), json!({ "env": { "A B": "1" } }), json!({ "env": { "": "1" } })]
        {
            assert!(start(change.clone()).execution(&paths(), false).is_err(), "{change}");
        }
    }
}
