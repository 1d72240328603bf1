//! A command line that is not understood: what is wrong with it, and how it is written right.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::{Cli, Command};
use crate::error::{Code, Error};
use crate::output::foreign;

/// Options that take a value and may stand before the verb.
const WITH_VALUE: [&str; 7] =
    ["--api-base", "--token", "--config-dir", "--cache-dir", "--servers", "-w", "--workspace"];

/// What can be said of a command line without understanding it.
pub struct Line<'a> {
    verb: Option<&'a str>,
    /// The word after the verb, options aside.
    next: Option<&'a str>,
    /// Whether the answer is wanted as JSON.
    pub is_json: bool,
    is_detached: bool,
    names_profile: bool,
}

impl<'a> Line<'a> {
    /// Reads the arguments of a process, the program's own name first.
    pub fn of(args: &'a [OsString]) -> Line<'a> {
        let own = args.iter().skip(1).take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
        let is_json = own.clone().any(|arg| arg == "--json");
        let is_detached = own.clone().any(|arg| arg == "--detach");
        let mut profile = own.clone().filter(|arg| arg.split('=').next() == Some("--profile"));
        let names_profile = profile.next().is_some();
        let mut words = own;
        let mut next = || {
            loop {
                let word = words.next()?;
                if WITH_VALUE.contains(&word) {
                    words.next();
                } else if !word.starts_with('-') {
                    return Some(word);
                }
            }
        };
        let verb = next().and_then(|word| Command::NAMES.iter().find(|name| **name == word).copied());
        Line { verb, next: verb.and_then(|_| next()), is_json, is_detached, names_profile }
    }

    /// Whether the verb ends with the remote command's status.
    pub fn passes_status(&self) -> bool {
        match self.verb {
            Some("jobs") => self.next == Some("wait"),
            Some("exec") if self.is_detached => false,
            verb => verb.is_some_and(Command::passes_status_as),
        }
    }

    /// The parser's error in the words of this program.
    pub fn explain(&self, error: &clap::Error) -> Error {
        let (message, hint) = match error.kind() {
            ErrorKind::InvalidSubcommand => {
                let unknown = text(error, ContextKind::InvalidSubcommand);
                let ours = match self.verb {
                    None => called_elsewhere(&unknown),
                    Some("jobs") => job_verb_elsewhere(&unknown),
                    Some(_) => None,
                };
                let ours = ours.map(|ours| format!("that is `runcode {ours}` here"));
                let hint = ours.or_else(|| did_you_mean(error, ContextKind::SuggestedSubcommand));
                let shown = foreign::word(&unknown);
                let message = match self.verb {
                    None => format!("there is no command {shown}"),
                    Some(_) => format!("`{}` has no command {shown}", self.path()),
                };
                (message, hint)
            }
            ErrorKind::MissingSubcommand => ("there is no command".to_owned(), None),
            ErrorKind::UnknownArgument => self.unknown(error),
            // What is wrong with a value says how it is written.
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let hint = did_you_mean(error, ContextKind::SuggestedValue);
                let help = self.verb.map(|_| format!("see `{} --help`", self.path()));
                (message(error), hint.or(help))
            }
            ErrorKind::ArgumentConflict if self.is_profile_with_words(error) => {
                (message(error), Some("write the profile's arguments as --arg NAME=VALUE".to_owned()))
            }
            _ => (message(error), None),
        };
        Error::new(Code::Usage, message).hint(match hint {
            Some(hint) => hint,
            None => self.how_it_is_written(),
        })
    }

    fn is_profile_with_words(&self, error: &clap::Error) -> bool {
        let is_about = |kind, name: &str| match error.get(kind) {
            Some(ContextValue::String(one)) => one.contains(name),
            Some(ContextValue::Strings(several)) => several.iter().any(|it| it.contains(name)),
            _ => false,
        };
        let kinds = [ContextKind::InvalidArg, ContextKind::PriorArg];
        ["--profile", "CMD"].iter().all(|name| kinds.iter().any(|kind| is_about(*kind, name)))
    }

    fn unknown(&self, error: &clap::Error) -> (String, Option<String>) {
        let unknown = text(error, ContextKind::InvalidArg);
        let shown = foreign::word(&unknown);
        let command = self.path();
        if !unknown.starts_with('-') {
            return (format!("`{command}` does not take {shown}"), None);
        }
        let is_which = ["-w", "--workspace"].contains(&&*unknown);
        if is_which && self.verb.is_some_and(|_| self.with(|it| it.is_some_and(has_which))) {
            let message = format!("{shown} stands before the command's name, and goes after it");
            return (message, Some(format!("write it as: {command} -w NAME")));
        }
        let message = format!("`{command}` has no option {shown}");
        let hint = did_you_mean(error, ContextKind::SuggestedArg);
        let hint = hint.or_else(|| self.with(|command| transposed(command?, &unknown)));
        if let Some(ours) = self.verb.and_then(|verb| option_elsewhere(verb, self.next, &unknown)) {
            return (message, Some(ours.to_owned()));
        }
        if let (true, None, Some(name)) = (self.names_profile, &hint, unknown.strip_prefix("--")) {
            let shown = foreign::argument(name);
            return (
                message,
                Some(format!("if it is an argument of the profile, write it as --arg {shown}=VALUE")),
            );
        }
        let example = match self.verb {
            Some("codex") => {
                let is_plain = unknown.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
                let shown = if is_plain { &unknown } else { "OPTIONS" };
                let own = format!("Codex's own options go after `--`: runcode codex -- {shown}");
                return (message, Some(hint.map_or(own.clone(), |hint| format!("{hint} {own}"))));
            }
            Some("exec") => "runcode exec -- ls -la",
            Some("run") => "runcode run my-ws -- ls -la",
            Some("dev") => "runcode dev -- sh -c 'runcode list'",
            _ => return (message, hint),
        };
        let own = format!("put the command and its options after `--`: {example}");
        (message, Some(hint.map_or(own.clone(), |hint| format!("{hint} {own}"))))
    }

    /// What has to be written, and where to read on.
    fn how_it_is_written(&self) -> String {
        let usage = self.with(|command| {
            let usage = command?.render_usage().to_string();
            let lines = usage.trim_start_matches("Usage:").lines().map(str::trim);
            Some(lines.collect::<Vec<_>>().join(", or "))
        });
        match usage {
            Some(usage) => format!("usage: {usage} (see `{} --help`)", self.path()),
            None => "run `runcode --help` for the list of commands".to_owned(),
        }
    }

    /// The command that is meant, as it is typed.
    fn path(&self) -> String {
        self.with(|command| command.and_then(|it| it.get_bin_name()).unwrap_or("runcode").to_owned())
    }

    /// Looks at the parser of the command that is meant: the verb, or its own command.
    fn with<T>(&self, look: impl FnOnce(Option<&mut clap::Command>) -> T) -> T {
        let mut parser = Cli::command();
        parser.build();
        let Some(verb) = self.verb.and_then(|verb| parser.find_subcommand_mut(verb)) else {
            return look(None);
        };
        match self.next.filter(|next| verb.find_subcommand(next).is_some()) {
            Some(next) => look(verb.find_subcommand_mut(next)),
            None => look(Some(verb)),
        }
    }
}

/// An option that has the same letters in another order, which the parser does not see.
fn transposed(command: &clap::Command, unknown: &str) -> Option<String> {
    let letters = |word: &str| {
        let mut letters = word.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    let wanted = letters(unknown.strip_prefix("--")?);
    let mut options = command.get_arguments().filter(|it| !it.is_hide_set()).filter_map(|it| it.get_long());
    options.find(|long| letters(long) == wanted).map(|long| format!("did you mean `--{long}`?"))
}

/// Whether the command takes `-w`.
fn has_which(command: &mut clap::Command) -> bool {
    command.get_arguments().any(|it| it.get_id() == "named")
}

/// What is often written after `jobs`, as it is here.
fn job_verb_elsewhere(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "ls" | "list" | "ps" | "status" => "jobs",
        "logs" | "log" | "cat" | "tail" => "jobs output ID",
        "stop" | "down" | "cancel" => "jobs kill ID",
        "rm" | "remove" | "delete" => "jobs clean ID",
        "start" | "run" | "exec" => "exec --detach -- CMD",
        _ => return None,
    })
}

/// What other tools' names for a thing are here.
fn called_elsewhere(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "ls" | "ps" | "workspaces" => "list",
        "start" | "up" | "boot" => "connect <workspace> --start",
        "attach" | "open" | "use" => "connect <workspace>",
        "detach" => "disconnect",
        "down" | "halt" | "shutdown" => "stop",
        "ssh" | "sh" | "bash" | "console" => "shell <workspace>",
        "cp" | "scp" | "push" | "upload" => "put LOCAL... REMOTE",
        "pull" | "download" | "cat" => "get REMOTE",
        "port-forward" | "tunnel" | "expose" => "forward PORT",
        "auth" | "signin" => "login",
        "approve" => "servers approve FILE",
        "whoami" | "check" => "doctor",
        "version" => "--version",
        "kill" => "jobs kill ID",
        "logs" | "tail" => "jobs output ID",
        _ => return None,
    })
}

/// What other tools' options of a verb are here.
fn option_elsewhere(verb: &str, next: Option<&str>, option: &str) -> Option<&'static str> {
    if (verb, next) == ("jobs", Some("kill")) {
        let is_killing = ["-9", "-k", "-K", "--force", "-f"].contains(&option);
        return is_killing.then_some("write it as: runcode jobs kill ID --signal KILL");
    }
    Some(match (verb, option) {
        ("put" | "get", "-r" | "-R" | "-a" | "--recursive" | "-p") => {
            "it is not needed: folders are sent whole, with modes and times"
        }
        ("exec" | "run", "--workdir" | "--dir" | "-C") => "did you mean `--cwd`?",
        ("exec", "--host") => "name another workspace with -w: runcode exec -w my-ws -- ls -la",
        ("run", "--workspace" | "-w") => {
            "`run` takes the workspace as its first argument: runcode run my-ws -- ls -la"
        }
        ("run", "--start") => "boot it with `runcode connect my-ws --start`, then use `runcode exec`",
        ("exec" | "run", "-t" | "-it" | "-i" | "--tty") => {
            "commands get no terminal; `runcode shell` opens one"
        }
        _ => return None,
    })
}

/// The first paragraph of the parser's own words, on one line.
fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let message = lines.collect::<Vec<_>>().join(" ");
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            message.replace("the following required arguments were not provided:", "missing argument:")
        }
        _ => message
            .replace(" is not in 1..18446744073709551615", " is less than 1")
            .replace(" is not in 1..=86400", " is not between 1 and 86400")
            .replace("invalid digit found in string", "it is not a whole number")
            .replace("cannot parse integer from empty string", "it is not a whole number"),
    }
}

fn did_you_mean(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let suggested = match error.get(kind)? {
        ContextValue::String(one) => vec![one.clone()],
        ContextValue::Strings(several) => several.iter().rev().cloned().collect(), // the likeliest comes last
        _ => return None,
    };
    let shown = suggested.iter().filter(|word| *word != "proxy").map(|word| format!("`{word}`"));
    let shown = shown.collect::<Vec<_>>();
    (!shown.is_empty()).then(|| format!("did you mean {}?", shown.join(" or ")))
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}
