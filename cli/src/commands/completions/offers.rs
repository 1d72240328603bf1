//! What can be inserted where a word is being typed.

use std::collections::BTreeMap;
use std::path::Path;

use clap_complete::engine::CompletionCandidate;

use crate::error::Result;
use crate::openssh::SshBinary;
use crate::origin::names::number;
use crate::origin::servers::Places;
use crate::origin::{Origin as _, Servers, SessionKey, SshHosts, Workspace};
use crate::output::sanitize;
use crate::session::Session;
use crate::session::store::Store;
use crate::sys::env::Env;
use crate::sys::paths::Paths;

/// Stands for the files that the shell itself finds. No argument can hold it.
const OF_THE_SHELL: &str = "\0";

/// A whole word for the command line: printable text, whatever quotes it needs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The word, without quotes.
    pub(super) word: String,
    /// What it means, on one line.
    pub(super) help: String,
}

impl Offer {
    /// The files that the shell itself finds, instead of a word.
    pub(super) fn of_the_shell() -> Offer {
        Offer { word: OF_THE_SHELL.to_owned(), help: String::new() }
    }

    /// Whether this is [`Offer::of_the_shell`], perhaps as the value of an option.
    pub(super) fn is_of_the_shell(&self) -> bool {
        self.word.ends_with(OF_THE_SHELL)
    }

    /// Parses what the command line's description offers. A word that is not UTF-8 or would not show as what it is (it has
    /// a control character, a line separator, a mark that reverses the direction of text, or a blank that some shells and
    /// locales take for one between words) is none.
    pub(super) fn parse(candidate: &CompletionCandidate) -> Option<Offer> {
        let word = candidate.get_value().to_str()?;
        let is_shown = |c: char| {
            !c.is_control()
                && (c == ' ' || !c.is_whitespace())
                && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let is_word = !word.is_empty() && word.trim_end_matches(OF_THE_SHELL).chars().all(is_shown);
        let help = candidate.get_help().map(|help| help.to_string()).unwrap_or_default();
        let help = sanitize::short(help.lines().next().unwrap_or_default());
        is_word.then(|| Offer { word: word.to_owned(), help })
    }

    /// Whether more can follow within the same word: a folder.
    pub(super) fn goes_on(&self) -> bool {
        self.word.ends_with('/')
    }
}

/// The files whose name begins as `word` does, folders with a slash. `~/` is `home`'s when there is one.
///
/// A name that begins with a dash has `./` before it: it must not be an option.
pub(super) fn files(word: &str, home: Option<&Path>) -> Vec<Offer> {
    let (folder, start) = word.split_at(word.rfind('/').map_or(0, |at| at + 1));
    if word.starts_with('-') {
        return Vec::new();
    }
    let place = match (folder.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(".").join(folder),
    };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let offer = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_wanted = name.starts_with(start) && (start.starts_with('.') || !name.starts_with('.'));
        let slash = if is_wanted && entry.path().is_dir() { "/" } else { "" };
        let dot = if word.is_empty() && name.starts_with('-') { "./" } else { "" };
        is_wanted.then(|| Offer { word: format!("{dot}{folder}{name}{slash}"), help: String::new() })
    };
    entries.flatten().filter_map(offer).collect()
}

/// The servers of servers.toml, the workspaces of the sessions on this machine, and the hosts that the user's ssh config names.
/// What is no name of one workspace (several have it, it is a number, it would be an option) is not offered as one: those go
/// by their ids.
pub(super) fn workspaces() -> Result<Vec<CompletionCandidate>> {
    let env = Env::of_process();
    let paths = Paths::from_env(&env)?;
    let ssh = SshBinary::from_env(&env);
    let servers = Places::from_env(None, &env, &paths).map(|places| Servers::new(places, &env));
    let servers = servers.and_then(|servers| servers.list()).unwrap_or_default(); // a file with mistakes names none
    let mut sessions = Store::new(&paths).sessions()?;
    sessions.retain(|session| servers.iter().all(|server| server.key != session.meta.key));
    let mut bearers = BTreeMap::<String, usize>::new();
    for server in &servers {
        *bearers.entry(server.title.raw().to_owned()).or_default() += 1;
    }
    for session in &sessions {
        *bearers.entry(session.meta.title.raw().to_lowercase()).or_default() += 1;
    }
    let candidate = |session: &Session| {
        let (key, title) = (&session.meta.key, session.meta.title.raw());
        let is_name = bearers.get(&title.to_lowercase()) == Some(&1)
            && number(title).is_none()
            && !title.starts_with('-');
        if is_name {
            let help = key.workspace_id().map_or_else(|| key.words(), |id| format!("workspace #{id}"));
            CompletionCandidate::new(title).help(Some(help.into()))
        } else {
            CompletionCandidate::new(key.words()).help(Some(session.meta.title.to_string().into()))
        }
    };
    let server = |server: &Workspace| {
        let help =
            server.environment.as_ref().map_or_else(|| "a server".to_owned(), |it| format!("a server, {it}"));
        CompletionCandidate::new(server.key.words()).help(Some(help.into()))
    };
    let mut found = servers.iter().map(server).chain(sessions.iter().map(candidate)).collect::<Vec<_>>();
    for host in SshHosts::new(ssh).names() {
        // A bare word that is a number or a session's name is that.
        let is_bare = number(host.as_str()).is_none() && !bearers.contains_key(&host.as_str().to_lowercase());
        let is_known = sessions.iter().any(|session| session.meta.key == SessionKey::ssh(&host));
        if !is_known {
            let words = if is_bare { host.to_string() } else { format!("ssh:{host}") };
            found.push(CompletionCandidate::new(words).help(Some("in your ssh config".into())));
        }
    }
    Ok(found)
}
