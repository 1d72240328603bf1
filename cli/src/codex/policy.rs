//! Which variables a command finds on the workspace (Codex's `shell_environment_policy`), as shell code that removes the others.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What Codex says about variables.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Policy {
    inherit: Inherit,
    ignore_default_excludes: bool,
    exclude: Vec<String>,
    set: BTreeMap<String, String>,
    include_only: Vec<String>,
}

/// Which of the variables that already exist stay.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Inherit {
    #[default]
    All,
    Core,
    None,
}

/// What `core` keeps.
const CORE: &str = "HOME|LOGNAME|PATH|SHELL|USER|USERNAME|TMPDIR|TEMP|TMP|LANG|LC_*";

/// What Codex removes by default.
const DEFAULT_EXCLUDES: &str = "*KEY*|*SECRET*|*TOKEN*";

/// How Codex's own variables begin; no workspace has any.
const ITS_OWN: &str = "CODEX_";

impl Policy {
    /// The variables to set, `over` among them and before all.
    pub(super) fn variables(&self, over: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let is_kept = |name: &String| {
            self.include_only.is_empty() || self.include_only.iter().any(|pattern| matches(pattern, name))
        };
        let mut all = self.set.clone();
        all.retain(|name, _| is_kept(name));
        all.extend(over);
        all
    }

    /// Shell code that removes what the command must not find, but not the variables in `$1`; `None` if there is nothing
    /// to remove.
    pub(super) fn filter(&self) -> Option<String> {
        let mut drops = patterns(&self.exclude);
        if !self.ignore_default_excludes {
            drops.push(DEFAULT_EXCLUDES.to_owned());
        }
        let is_its_own = |pattern: &String| pattern.starts_with(ITS_OWN) && !pattern.contains(['*', '?']);
        drops.retain(|pattern| !is_its_own(pattern));
        let mut arms = String::new();
        if !drops.is_empty() {
            arms += &format!("{}) ;; ", drops.join("|"));
        }
        let keep = match (self.inherit, self.include_only.is_empty()) {
            (Inherit::All, true) => "*".to_owned(),
            (Inherit::None, _) => String::new(),
            (Inherit::Core, true) => CORE.to_owned(),
            (_, false) => patterns(&self.include_only).join("|"),
        };
        if arms.is_empty() && keep == "*" {
            return None;
        }
        if !keep.is_empty() {
            // Both must allow it.
            let is_core_too = self.inherit == Inherit::Core && !self.include_only.is_empty();
            let also = if is_core_too {
                format!("case $N in {CORE}) continue ;; esac")
            } else {
                "continue".to_owned()
            };
            arms += &format!("{keep}) {also} ;; ");
        }
        Some(format!(
            "command -v awk >/dev/null || {{ echo 'runcode: the workspace has no awk, which the variables need' >&2; \
             exit 255; }}; for n in $(awk 'BEGIN{{for(n in ENVIRON)print n}}'); do case $n in *[!A-Za-z0-9_]*) continue ;; esac; \
             case \" $1 \" in *\" $n \"*) continue ;; esac; N=$(printf %s \"$n\" | tr a-z A-Z); case $N in {arms}esac; \
             unset \"$n\"; done; "
        ))
    }
}

/// Those patterns that a name can match, for `case`, in upper case: matching ignores case.
fn patterns(given: &[String]) -> Vec<String> {
    let can_match = |pattern: &&String| {
        !pattern.is_empty()
            && pattern.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '*' | '?'))
    };
    given.iter().filter(can_match).map(|pattern| pattern.to_ascii_uppercase()).collect()
}

/// Whether a name matches a pattern of `*`, `?` and letters, ignoring case.
fn matches(pattern: &str, name: &str) -> bool {
    let build = |text: &str| globset::GlobBuilder::new(text).case_insensitive(true).build().ok();
    match patterns(&[pattern.to_owned()]).first().and_then(|pattern| build(pattern)) {
        Some(glob) => glob.compile_matcher().is_match(name),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn policy(json: &str) -> Policy {
        serde_json::from_str(json).unwrap()
    }

    /// What is left of an environment, by the real shell.
    fn left(json: &str, own: &str) -> Vec<String> {
        let Some(filter) = policy(json).filter() else { return vec!["all".to_owned()] };
        let mut sh = std::process::Command::new("sh");
        sh.env_clear().args(["-c", &format!("{filter}shift; exec /usr/bin/env"), "sh", own]);
        sh.env("PATH", "/usr/bin:/bin").env("HOME", "/h").env("My_Token", "t").env("FOO_BAR", "1\nEVIL=2");
        let output = sh.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned()));
        let mut names = names
            .filter(|name| !matches!(name.as_str(), "PWD" | "_" | "SHLVL" | "OLDPWD"))
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    #[test]
    fn variables_are_taken_away_as_told() {
        let usual = r#"{"inherit":"all","ignoreDefaultExcludes":true,"exclude":["CODEX_VERSION"]}"#;
        assert_eq!(left(usual, ""), ["all"]);
        assert_eq!(left(r#"{"inherit":"all"}"#, ""), ["EVIL", "FOO_BAR", "HOME", "PATH"]);
        assert_eq!(
            left(r#"{"inherit":"all"}"#, "A My_Token"),
            ["EVIL", "FOO_BAR", "HOME", "My_Token", "PATH"]
        );
        assert_eq!(left(r#"{"inherit":"core"}"#, ""), ["HOME", "PATH"]);
        assert_eq!(left(r#"{"inherit":"none"}"#, "HOME"), ["HOME"]);
        assert_eq!(
            left(r#"{"ignoreDefaultExcludes":true,"exclude":["foo*","x$(y)"]}"#, ""),
            ["HOME", "My_Token", "PATH"]
        );
        assert_eq!(left(r#"{"includeOnly":["P?TH","foo_*"]}"#, ""), ["EVIL", "FOO_BAR", "PATH"]);
        assert_eq!(left(r#"{"inherit":"core","includeOnly":["P*","FOO*"]}"#, ""), ["PATH"]);
        let hostile = r#"{"ignoreDefaultExcludes":true,"exclude":["a) touch /tmp/x;;","`id`","'"]}"#;
        assert!(policy(hostile).filter().is_none());
    }

    #[test]
    fn what_codex_sets_wins() {
        let over = BTreeMap::from([("A".to_owned(), "over".to_owned())]);
        let policy = policy(r#"{"set":{"A":"1","B":"2"},"includeOnly":["a*"]}"#);
        assert_eq!(policy.variables(over.clone()), over);
        let all = super::Policy { include_only: vec![], ..policy };
        assert_eq!(all.variables(over).get("B").map(String::as_str), Some("2"));
    }
}
