//! What a command of ours may do on this machine, where the user has routed the project: the model wrote it, so only what is known to
//! be harmless runs unasked.

use crate::hooks::simple_command::{Redirection, SimpleCommand};

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads, or works on the routed workspace alone.
    Harmless,
    /// It touches files of this machine, other workspaces, or the routing itself: the user decides.
    Asked(&'static str),
    /// It starts programs on this machine, or can be told to.
    Refused(&'static str),
}

/// Options that lead to other servers, logins or folders, wherever they stand.
const LEADING_ELSEWHERE: [&str; 7] =
    ["--servers", "--api-base", "--web-base", "--token", "--token-stdin", "--config-dir", "--cache-dir"];

/// Verbs that read, or work on the attached workspace, and their options that change nothing about that. Another option may lead to
/// a file, a program or a port of this machine, or to another workspace.
const HARMLESS: [(&str, &[&str]); 10] = [
    ("list", &[]),
    ("current", &[]),
    ("status", &[]),
    ("context", &[]),
    ("doctor", &[]),
    ("help", &[]),
    ("exec", &["--timeout", "--home", "--cwd", "--detach", "--name", "--no-stdin", "-n"]),
    ("write", &["--mode"]),
    ("forward", &["--list"]),
    ("jobs", &["--follow", "-f", "--since", "--stderr", "--timeout", "--signal"]),
];

/// The same, with the word after the verb.
const HARMLESS_PARTS: [(&str, &str); 5] = [
    ("route", "status"),
    ("servers", "list"),
    ("servers", "profiles"),
    ("audit", "list"),
    ("audit", "verify"),
];

/// Verbs for which another word names a workspace.
const NAMING: [&str; 5] = ["list", "current", "status", "context", "doctor"];

/// Verbs that start programs on this machine, or that are for programs.
const STARTING: [&str; 13] = [
    "dev",
    "demo",
    "serve",
    "codex",
    "codex-environment",
    "mcp",
    "hook",
    "keeper",
    "spare",
    "helper",
    "proxy",
    "shell",
    "edit",
];

/// What `command`, whose program is ours, may do here.
pub fn effect(command: &SimpleCommand) -> Effect {
    const WORDS: &str = "a word of it is not plain (a pattern, `~` or braces): write it out";
    const LEADS: &str = "it has an option that leads to other servers, logins or folders";
    if command.depends_on_locale {
        return Effect::Refused(
            "it has a non-ASCII character outside '…', which shells may read in different ways",
        );
    }
    let words = command.words.iter().skip(1).map(|word| word.value.as_deref()).collect::<Vec<_>>();
    // After exec's `--` comes its command. For every other verb, the words after `--` count as if the `--` were not there.
    let end = words.iter().position(|word| *word == Some("--")).unwrap_or(words.len());
    let (before, after) = words.split_at(end);
    let is_exec = before.iter().find(|word| **word != Some("--json")) == Some(&Some("exec"));
    let after = if is_exec { &[] } else { after.get(1..).unwrap_or_default() };
    let words = before.iter().chain(after).copied();
    let Some(mut words) = words.collect::<Option<Vec<_>>>() else { return Effect::Refused(WORDS) };
    words.retain(|word| *word != "--json");
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    if words.iter().any(|word| LEADING_ELSEWHERE.contains(&&*name(word))) {
        return Effect::Refused(LEADS);
    }
    let touches_file =
        command.redirections.iter().any(|redirection| matches!(redirection, Redirection::File));
    let touched = Effect::Asked("runcode: this reads or writes a file on this machine");
    let verb = match words.first() {
        None | Some(&("--help" | "-h" | "--version" | "-V")) if touches_file => return touched,
        None => return Effect::Harmless, // help
        Some(&("--help" | "-h" | "--version" | "-V")) => return Effect::Harmless,
        Some(first) if first.starts_with('-') => return Effect::Refused(LEADS),
        Some(verb) => *verb,
    };
    if STARTING.contains(&verb) {
        return Effect::Refused("it starts programs on this machine");
    }
    if touches_file {
        return touched;
    }
    let others = words.get(1..).unwrap_or_default();
    let second = others.first().copied().unwrap_or_default();
    let allowed = match HARMLESS.iter().find(|(known, _)| *known == verb) {
        Some((_, options)) => Some(*options),
        None => HARMLESS_PARTS.contains(&(verb, second)).then_some(&[][..]),
    };
    let is_allowed = |options: &[&str]| {
        let is_known = |word: &&str| !word.starts_with('-') || options.contains(&&*name(word));
        // A port there, for the same one here.
        let is_port = |word: &&str| word.starts_with('-') || word.bytes().all(|byte| byte.is_ascii_digit());
        others.iter().all(is_known)
            && (!NAMING.contains(&verb) || others.is_empty())
            && (verb != "forward" || others.iter().all(is_port))
    };
    match allowed {
        Some(options) if is_allowed(options) => Effect::Harmless,
        Some(_) => Effect::Asked(
            "runcode: this uses a file, a program or a port on this machine, or another workspace than the routed one",
        ),
        None if matches!(verb, "route" | "disconnect" | "stop" | "clean" | "logout") => {
            Effect::Asked("runcode: this ends routing; tools will run on this machine again")
        }
        None => {
            Effect::Asked("runcode: this works on this machine, or on another workspace than the routed one")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::hooks::simple_command::parse;

    fn of(text: &str) -> Effect {
        effect(&parse(text).unwrap())
    }

    #[test]
    fn only_the_harmless_runs_unasked() {
        for text in [
            "runcode",
            "runcode list --json",
            "runcode --json list",
            "runcode --help",
            "runcode exec --timeout 5 -- rm x",
            "runcode jobs",
            "runcode jobs output x --follow",
            "runcode forward 8080",
            "runcode exec -n --timeout=5 -- x",
            "runcode route status",
            "runcode servers profiles web1",
            "runcode exec -- x --servers y",
            "runcode --json exec -n -- x -w *",
            "runcode forward -- 8080",
            "runcode write a <<'E'\nx\nE",
        ] {
            assert_eq!(of(text), Effect::Harmless, "{text}");
        }
        for text in [
            "runcode dev -- sh -c 'echo x'",
            "runcode serve --config x <<'E'\nx\nE",
            "runcode --servers /x stop v",
            "runcode stop v --servers=/x",
            "runcode --api-base http://127.0.0.1:9 route off",
            "runcode --token x route off",
            "runcode {route,off}",
            "runcode ~ x",
            "runcode codex",
            "runcode hook road / x",
            "runcode mcp",
            "runcode shell",
            "runcode -x list",
            "runcode list --config-dir /x",
            "runcode list -- --servers x",
            "runcode -- dev",
            "runcode context -- *",
        ] {
            assert!(matches!(of(text), Effect::Refused(_)), "{text}: {:?}", of(text));
        }
        for text in [
            "runcode route off",
            "runcode disconnect",
            "runcode stop",
            "runcode clean --all",
            "runcode get x --out y",
            "runcode put x y",
            "runcode run box -- rm x",
            "runcode connect ssh:localhost",
            "runcode exec -w box -- x",
            "runcode exec -wbox -- x",
            "runcode forward 8123:8080 --open",
            "runcode forward -R 8999 --local 22",
            "runcode forward --to 10.0.0.1 80",
            "runcode write x --file secret",
            "runcode exec --env-secret X -- y",
            "runcode exec --env HOME -- y",
            "runcode exec -nw other -- x",
            "runcode exec -nwother -- x",
            "runcode context other",
            "runcode doctor ssh:x",
            "runcode status other",
            "runcode audit verify --log x",
            "runcode list > file",
            "runcode > file",
            "runcode --version > file",
            "runcode -h 2>> file",
            "runcode --json < file",
            "runcode context -- other",
            "runcode doctor -- ssh:x",
            "runcode forward -- 8123:8080",
            "runcode forward 80 -- 8123:8080",
            "runcode -- route off",
            "runcode route -- off",
            "runcode write x -- --file",
            "runcode jobs -- -w",
            "runcode exec -- x < file",
            "runcode login",
            "runcode config-ssh",
            "runcode new-verb",
        ] {
            assert!(matches!(of(text), Effect::Asked(_)), "{text}: {:?}", of(text));
        }
    }
}
