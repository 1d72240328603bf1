//! The block of `~/.ssh/config` that lets every program that speaks ssh reach the workspaces.
//!
//! It goes first, so that the user's own defaults cannot weaken it: ssh takes the first value it finds. The only
//! directives are ones that OpenSSH has had since 7.6, and that JetBrains, VS Code, Zed, asyncssh and paramiko take. No
//! `Match` is among them: parsers in other programs, such as those for Go and Rust, give up the whole file at one.
//!
//! ssh reads key and certificate once it is connected. With `ProxyUseFdpass` it waits for the proxy to hand over the
//! connection, and the proxy renews the session before. Windows' ssh has no such thing, so that `Match exec` renews there.

use crate::error::Result;
use std::collections::HashSet;

use crate::grant::SshUser;
use crate::integrations::host_names::Former;
use crate::integrations::managed_block::Markers;
use crate::integrations::shell_word;
use crate::openssh::config::HARDENED;
use crate::output::foreign::Name;

/// What the block stands between.
pub const MARKERS: Markers = Markers {
    begin: "# >>> runcode managed block (do not edit) >>>",
    end: "# <<< runcode managed block <<<",
};

/// A workspace's title when it can be part of a `Host` name: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(SshUser);

impl Title {
    /// Parses a title.
    pub fn parse(text: &str) -> Result<Title, &'static str> {
        if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err("does not start with a letter or a digit");
        }
        SshUser::parse(text).map(Title)
    }

    /// The title.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A workspace to write down.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its id.
    pub id: u64,
    /// Its title, also the user there.
    pub title: Title,
    /// Whether its id is part of its name.
    pub is_numbered: bool,
    /// Whether it is somebody else's, shared with the user.
    pub is_shared: bool,
    /// The name that its owner gave it. One of somebody else's has none here: what stands in this file reads as the user's own.
    pub note: Option<Name>,
    /// The name of its gateway in its session's pins.
    pub host_key_alias: String,
    /// Its session's key: a path as a quoted ssh_config value.
    pub identity: Vec<u8>,
    /// Its session's pins, likewise.
    pub known_hosts: Vec<u8>,
}

/// How ssh is to call us: the words before and after `proxy <id>`.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The program's absolute path.
    pub program: String,
    /// What `runcode proxy` has to be told, since an editor's environment is not the user's.
    pub options: Vec<String>,
    /// The control plane whose workspaces they are: its API base.
    pub plane: String,
}

/// How the line begins that says whose hosts they are.
const PLANE: &str = "# Control plane: ";

/// The control plane whose hosts `block` has, if it says so or has any. Older blocks say it in what they call, unless it is
/// `hosted`, the one that is asked by default.
pub fn plane_of(block: &[u8], hosted: &str) -> Option<String> {
    let block = String::from_utf8_lossy(block);
    if let Some(plane) = block.lines().find_map(|line| line.trim().strip_prefix(PLANE)) {
        return Some(plane.trim().to_owned());
    }
    let call = block.lines().find_map(|line| line.trim().strip_prefix("ProxyCommand "))?;
    let told = call.split(" --api-base ").nth(1).and_then(|rest| rest.split(' ').next());
    Some(told.map_or_else(|| hosted.to_owned(), |base| base.trim_matches('"').to_owned()))
}

/// The names in `block`, without the leading `runcode.`, including those of hosts that it no longer has.
pub fn names_in(block: &[u8]) -> Vec<Former> {
    let block = String::from_utf8_lossy(block);
    let (mut workspace, mut names) = (None, Vec::new());
    for line in block.lines() {
        if let Some(rest) = line.strip_prefix(WORKSPACE) {
            let (id, is_own) = read_workspace(rest);
            workspace = id.parse().ok().map(|id| (id, is_own));
        } else if let Some(name) = line.strip_prefix("Host ").and_then(|host| host.strip_prefix(HOST)) {
            let former = |(id, is_own)| Former { name: name.to_owned(), id, is_own };
            names.extend(workspace.take().map(former));
        } else if let Some((name, rest)) = line.strip_prefix(GONE).and_then(|gone| gone.split_once(' ')) {
            let (id, is_own) = read_workspace(rest);
            let former = |id| Former { name: name.to_owned(), id, is_own };
            names.extend(id.parse().ok().map(former));
        }
    }
    names
}

/// The id at the start, and whether it is the user's own.
fn read_workspace(text: &str) -> (&str, bool) {
    let id = text.split(' ').next().unwrap_or_default();
    id.strip_suffix(SHARED).map_or((id, true), |id| (id, false))
}

/// The start of the line that keeps the name of a host that is gone; the workspace that it led to follows.
const GONE: &str = "# No longer here: runcode.";

/// What follows the id of somebody else's workspace.
const SHARED: &str = ",shared";

/// How many names of hosts that are gone are kept.
const MAX_GONE: usize = 1024;

/// The start of the line that says which workspace the next host is.
const WORKSPACE: &str = "# workspace ";

/// The start of every host's name.
pub const HOST: &str = "runcode.";

/// The lines between the markers.
///
/// `before`: the previous names. Those of hosts that are gone are kept, the user's own first: nobody else's workspace may take them.
pub fn body(hosts: &[Host], before: &[Former], caller: &Caller) -> Result<Vec<u8>> {
    let mut body =
        b"# Written by `runcode config-ssh`; `runcode config-ssh --remove` takes it out.\n".to_vec();
    body.extend_from_slice(format!("{PLANE}{}\n", caller.plane).as_bytes());
    for host in hosts {
        host.render(caller, &mut body)?;
    }
    let here = hosts.iter().map(|host| host.alias().to_lowercase()).collect::<HashSet<_>>();
    let is_gone = |old: &&Former| !here.contains(&format!("{HOST}{}", old.name.to_lowercase()));
    let gone = gone(before.iter().filter(is_gone));
    if !gone.is_empty() {
        body.push(b'\n');
    }
    body.extend_from_slice(gone.as_bytes());
    // What the user wrote below, before the first Host of their own, stays valid for every host.
    body.extend_from_slice(b"Host *\n");
    Ok(body)
}

/// The lines that keep the names of hosts that are gone, the user's own first.
pub fn gone<'a>(names: impl Iterator<Item = &'a Former>) -> String {
    let (own, others) = names.partition::<Vec<_>, _>(|former| former.is_own);
    let line = |Former { name, id, is_own }: &Former| {
        let whose = if *is_own { "" } else { SHARED };
        format!("{GONE}{name} {id}{whose}\n")
    };
    own.into_iter().chain(others).take(MAX_GONE).map(line).collect()
}

impl Host {
    /// The name to connect to.
    pub fn alias(&self) -> String {
        if self.is_numbered {
            format!("{HOST}{}-{}", self.title.0, self.id)
        } else {
            format!("{HOST}{}", self.title.0)
        }
    }

    fn render(&self, caller: &Caller, body: &mut Vec<u8>) -> Result<()> {
        let mut line = |bytes: &[u8]| {
            body.extend_from_slice(bytes);
            body.push(b'\n');
        };
        let alias = self.alias();
        line(format!("\n{WORKSPACE}{}", self.comment()).as_bytes());
        if let Some(command) = caller.renewal(self.id).filter(|_| cfg!(windows)) {
            // ssh reads key and certificate before the proxy could renew them. The line selects nothing.
            line(format!("Match originalhost {alias} exec \"{command}\"").as_bytes());
        }
        line(format!("Host {alias}").as_bytes());
        line(format!("    ProxyCommand {}", caller.relay(self.id)?).as_bytes());
        line(format!("    User {}", self.title.0).as_bytes());
        line(format!("    HostKeyAlias {}", self.host_key_alias).as_bytes());
        for (name, value) in [("IdentityFile", &self.identity), ("UserKnownHostsFile", &self.known_hosts)] {
            line(&[format!("    {name} ").as_bytes(), value].concat());
        }
        for (name, value) in HARDENED.into_iter().chain(FIXED) {
            line(format!("    {name} {value}").as_bytes());
        }
        Ok(())
    }

    /// One line of printable ASCII, whatever the name is.
    fn comment(&self) -> String {
        let note = self.note.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let whose = if self.is_shared { SHARED } else { "" };
        format!("{}{whose}{}", self.id, note.chars().map(shown).collect::<String>())
    }
}

impl Caller {
    /// The ProxyCommand: for the shell that runs it, then for ssh, which expands `%`.
    fn relay(&self, id: u64) -> Result<String> {
        let mut words = vec![shell_word::quote(&self.program)?, "proxy".to_owned(), id.to_string()];
        for option in &self.options {
            words.push(if is_plain(option) { option.clone() } else { shell_word::quote(option)? });
        }
        if words.last().is_some_and(|last| last.ends_with('"')) {
            words.push("--".to_owned()); // paramiko strips quotes that stand first and last in a line
        }
        Ok(words.join(" ").replace('%', "%%"))
    }

    /// The command of `Match exec`, inside double quotes. ssh's own reading of quotes there differs between versions,
    /// so a path that needs more than single quotes has none: the proxy renews the session all the same.
    fn renewal(&self, id: u64) -> Option<String> {
        let id = id.to_string();
        let words = [&self.program, "proxy", "--renew", &id].map(str::to_owned);
        let words = words.into_iter().chain(self.options.iter().cloned()).collect::<Vec<_>>();
        let is_quotable =
            |word: &String| !word.contains(['\'', '"', '\\']) && !word.chars().any(char::is_control);
        // cmd.exe knows no single quotes.
        let quote =
            |word: &String| if cfg!(windows) || is_plain(word) { word.clone() } else { format!("'{word}'") };
        let fits =
            words.iter().all(is_quotable) && !(cfg!(windows) && words.iter().any(|word| word.contains(' ')));
        fits.then(|| words.iter().map(quote).collect::<Vec<_>>().join(" ").replace('%', "%%"))
    }
}

/// Whether every shell reads `word` as it is, without quotes.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.:_-".contains(&byte))
}

/// What is the same for every workspace. No HostName (JetBrains would dial it), no RemoteCommand and no forwards
/// (VS Code brings its own), no multiplexing (a proxy's end would be the end of everybody's connection).
const FIXED: [(&str, &str); 8] = [
    ("ProxyUseFdpass", if cfg!(windows) { "no" } else { "yes" }),
    ("RequestTTY", "auto"),
    ("ControlMaster", "no"),
    ("ControlPath", "none"),
    ("ServerAliveInterval", "15"),
    ("ServerAliveCountMax", "3"),
    ("ConnectTimeout", "30"),
    ("LogLevel", "ERROR"),
];

#[cfg(all(test, unix))]
#[path = "ssh_config_block_tests.rs"]
mod tests;
