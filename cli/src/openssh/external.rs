//! How ssh is called for a host of the user's own: with the user's config, and with these options before it.
//!
//! ssh takes the first value that it meets (ssh_config(5)), so an option here wins over the config. There are no others: what
//! the user has set for the host, ssh does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::grant::{Destination, NamedServer};
use crate::openssh::config::{PRIVATE, quoted};
use crate::openssh::question::Resolved;

/// A host of the user's own, as ssh is called for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// What ssh connects to.
    pub destination: Destination,
    /// What servers.toml says of it.
    pub server: Option<NamedServer>,
    /// Where its pinned host keys are, if it has any.
    pub known_hosts: PathBuf,
}

impl OwnHost {
    /// One that is named to ssh alone.
    pub fn named(destination: Destination) -> OwnHost {
        OwnHost { destination, server: None, known_hosts: PathBuf::new() }
    }

    /// What its user calls it.
    pub fn name(&self) -> &str {
        self.server.as_ref().map_or(self.destination.as_str(), |server| &server.words)
    }

    /// The words that `connect` takes for it, whatever else has its name.
    pub fn words(&self) -> String {
        match &self.server {
            Some(server) => server.words.clone(),
            None if self.destination.as_str().starts_with("ssh://") => self.destination.to_string(),
            None => format!("ssh:{}", self.destination),
        }
    }

    /// Whether only the host keys of servers.toml count.
    pub fn is_pinned(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.host_keys.is_some())
    }

    /// The options that say where it is, beside its name.
    pub fn place(&self) -> Vec<String> {
        let mut place = Vec::new();
        if let Some(server) = &self.server {
            place.extend(server.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
            place.extend(server.user.iter().flat_map(|user| ["-l".to_owned(), user.to_string()]));
        }
        place
    }

    /// What ssh takes to reach it, without the program: for a person to type.
    pub fn shown(&self) -> String {
        let words = self.place().into_iter().chain([self.destination.to_string()]);
        words.collect::<Vec<_>>().join(" ")
    }

    /// All that ssh takes to reach it as we do, without the program.
    pub fn arguments(&self) -> Result<Vec<OsString>> {
        let mut options = Options(self.place().into_iter().map(OsString::from).collect());
        self.trust(&mut options, |directive| directive == "knownhostscommand")?;
        options.0.push(self.destination.as_str().into());
        Ok(options.0)
    }

    /// Trusts only a server's pinned host keys; without pins, only keys that the user has accepted before. `has`: whether ssh
    /// knows a directive.
    fn trust(&self, options: &mut Options, has: impl Fn(&str) -> bool) -> Result<()> {
        if self.server.is_none() {
            return Ok(());
        }
        options.set("StrictHostKeyChecking=yes");
        options.set("NoHostAuthenticationForLocalhost=no");
        options.set("VerifyHostKeyDNS=no"); // its answer would count instead
        if self.is_pinned() {
            options.path("UserKnownHostsFile", &self.known_hosts)?;
            options.set(if cfg!(windows) {
                "GlobalKnownHostsFile=none"
            } else {
                "GlobalKnownHostsFile=/dev/null"
            });
            options.set(&format!("HostKeyAlias={}", self.destination.host()));
            options.set("CheckHostIP=no");
            options.set("UpdateHostKeys=no");
            options.nothing_else_vouches(has);
        }
        Ok(())
    }
}

/// What ssh is started for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// A master in the background, which asks nobody.
    Master {
        /// Its socket.
        control_path: &'a Path,
        /// How long it stays without use, in seconds.
        keep: u32,
    },
    /// The same, brought up by a person at a terminal.
    PersonalMaster {
        /// Its socket.
        control_path: &'a Path,
        /// How long it stays without use, in seconds.
        keep: u32,
    },
    /// One command on a connection of its own.
    Command,
    /// One command over the master.
    Client {
        /// The master's socket.
        control_path: &'a Path,
    },
    /// A terminal, over the master where there is one.
    Terminal {
        /// The master's socket.
        control_path: Option<&'a Path>,
    },
}

/// The options for `ssh`, as its arguments.
pub fn options(host: &OwnHost, user: &Resolved, purpose: Purpose<'_>) -> Result<Vec<OsString>> {
    let mut options = Options(host.place().into_iter().map(OsString::from).collect());
    host.trust(&mut options, |directive| user.has(directive))?;
    match purpose {
        Purpose::Master { .. } | Purpose::Command => options.set("BatchMode=yes"),
        Purpose::PersonalMaster { .. } => options.set("BatchMode=no"),
        Purpose::Client { .. } | Purpose::Terminal { .. } => {}
    }
    // Nothing that the user has for a terminal runs, forwards or detaches in our place. Before 8.7, ssh does not know all of
    // these: what `ssh -G` does not have, nobody can have set.
    options.set("RemoteCommand=none");
    options.set("ClearAllForwardings=yes");
    if user.has("forkafterauthentication") {
        options.set("ForkAfterAuthentication=no");
    }
    let is_master = matches!(purpose, Purpose::Master { .. } | Purpose::PersonalMaster { .. });
    if !is_master && user.has("sessiontype") {
        options.set("SessionType=default"); // a master's is `-N`, which takes no other beside it
    }
    if !is_master && user.has("stdinnull") {
        options.set("StdinNull=no");
    }
    options.set(&format!("SendEnv={PRIVATE}"));
    if user.value("connecttimeout").is_none_or(|value| value == "none") {
        options.set("ConnectTimeout=15");
    }
    if user.value("serveraliveinterval").is_none_or(|value| value == "0") {
        options.set("ServerAliveInterval=15");
    }
    match purpose {
        Purpose::Master { control_path, keep } | Purpose::PersonalMaster { control_path, keep } => {
            options.path("ControlPath", control_path)?;
            options.set(&format!("ControlPersist={keep}"));
            if matches!(purpose, Purpose::Master { .. }) {
                options.set("LogLevel=DEBUG1"); // why it is not let in: see `login`
            }
        }
        Purpose::Client { control_path } | Purpose::Terminal { control_path: Some(control_path) } => {
            options.set("ControlMaster=no");
            options.path("ControlPath", control_path)?;
        }
        Purpose::Command | Purpose::Terminal { control_path: None } => {
            options.set("ControlMaster=no");
            options.set("ControlPath=none");
        }
    }
    Ok(options.0)
}

/// Options that make ssh accept any host key of these algorithms, write it to `known_hosts`, and not log in. They go before
/// those for [`Purpose::Command`].
pub fn taking_any_host_key(
    user: &Resolved,
    algorithms: &[String],
    known_hosts: &Path,
) -> Result<Vec<OsString>> {
    let mut options = Options(Vec::new());
    options.set("StrictHostKeyChecking=accept-new");
    options.path("UserKnownHostsFile", known_hosts)?;
    options.set(if cfg!(windows) { "GlobalKnownHostsFile=none" } else { "GlobalKnownHostsFile=/dev/null" });
    options.set("HashKnownHosts=no");
    options.set("CheckHostIP=no");
    options.set("UpdateHostKeys=no");
    options.set("VerifyHostKeyDNS=no");
    options.set("NoHostAuthenticationForLocalhost=no");
    options.set(&format!("HostKeyAlgorithms={}", algorithms.join(",")));
    options.set("PreferredAuthentications=none");
    options.nothing_else_vouches(|directive| user.has(directive));
    Ok(options.0)
}

/// The options of a client of the master: it needs nothing of the user's config, and could only be disturbed by it. The
/// master alone decides whether an agent is forwarded.
pub fn over_master(control_path: &Path) -> Result<Vec<OsString>> {
    let mut options = Options(["-F", "none"].map(OsString::from).to_vec());
    options.path("ControlPath", control_path)?;
    options.set(&format!("SendEnv={PRIVATE}"));
    options.set("ForwardAgent=yes");
    Ok(options.0)
}

struct Options(Vec<OsString>);

impl Options {
    fn set(&mut self, option: &str) {
        self.0.extend(["-o".into(), option.into()]);
    }

    /// Stops the user's own program and Kerberos from vouching for the host in place of its key. `has`: whether ssh knows a
    /// directive.
    fn nothing_else_vouches(&mut self, has: impl Fn(&str) -> bool) {
        for (directive, option) in
            [("knownhostscommand", "KnownHostsCommand=none"), ("gssapikeyexchange", "GSSAPIKeyExchange=no")]
        {
            if has(directive) {
                self.set(option);
            }
        }
    }

    fn path(&mut self, name: &str, path: &Path) -> Result<()> {
        let quoted = quoted(path)?;
        #[cfg(unix)]
        let quoted: OsString = std::os::unix::ffi::OsStringExt::from_vec(quoted);
        #[cfg(windows)]
        let quoted: OsString = String::from_utf8_lossy(&quoted).into_owned().into();
        let mut option = OsString::from(format!("{name}="));
        option.push(quoted);
        self.0.extend(["-o".into(), option]);
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::process::{Command, Stdio};

    use super::*;

    const USERS: &str = "Host box\n  HostName 10.0.0.1\n  User me\n  Port 2222\n  ForwardAgent yes\n  Compression yes\n\
        \x20 StrictHostKeyChecking accept-new\n  ProxyJump bastion\n  SetEnv A=b\n";
    const WILD: &str = "Host box\n  RemoteCommand tmux\n  RequestTTY force\n  LocalForward 8080 localhost:80\n\
        \x20 ExitOnForwardFailure yes\n  ControlMaster auto\n  ControlPath /tmp/own-%C\n  ControlPersist yes\n\
        \x20 ForkAfterAuthentication yes\n  SessionType none\n  StdinNull yes\n  BatchMode no\n  ConnectTimeout 3\n\
        \x20 ServerAliveInterval 7\n  LogLevel QUIET\n";

    /// The lines of `ssh -G`, with `options` before the config.
    fn resolved(folder: &Path, options: &[OsString]) -> Option<Vec<String>> {
        let mut ssh = Command::new("ssh");
        ssh.arg("-G").arg("-F").arg(folder.join("config")).args(options).args(["--", "box"]);
        let output = ssh.stdin(Stdio::null()).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }

    /// A config, and what of it changes with the options for `purpose`: `-` before what goes, `+` before what comes.
    fn changes(config: &str, purpose: Purpose<'_>) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), config).unwrap();
        let before = resolved(folder.path(), &[])?;
        let host = OwnHost::named(Destination::parse("box").unwrap());
        let options = options(&host, &Resolved::from_lines(before.clone()), purpose).unwrap();
        let mut options = options;
        options.push("-T".into());
        let after = resolved(folder.path(), &options)?;
        let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
        let come = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+{line}"));
        Some(gone.chain(come).collect())
    }

    const LISTED: [&str; 15] = [
        "batchmode",
        "clearallforwardings",
        "connecttimeout",
        "controlmaster",
        "controlpath",
        "controlpersist",
        "forkafterauthentication",
        "localforward",
        "loglevel",
        "remotecommand",
        "requesttty",
        "sendenv",
        "serveraliveinterval",
        "sessiontype",
        "stdinnull",
    ];

    #[test]
    fn only_the_listed_directives_change() {
        let path = Path::new("/tmp/a \"b\"/%h/master");
        let purposes = [
            Purpose::Master { control_path: path, keep: 300 },
            Purpose::PersonalMaster { control_path: path, keep: 300 },
            Purpose::Command,
            Purpose::Terminal { control_path: Some(path) },
            Purpose::Terminal { control_path: None },
        ];
        for purpose in purposes {
            for config in [USERS, WILD] {
                let Some(changes) = changes(config, purpose) else { return };
                for change in &changes {
                    let name = change[1..].split(' ').next().unwrap();
                    assert!(LISTED.contains(&name), "{purpose:?}: {change}");
                }
                assert!(changes.iter().any(|change| change == "+clearallforwardings yes"), "{changes:?}");
            }
        }
    }

    #[test]
    fn what_the_user_has_set_is_kept_or_overruled() {
        let path = Path::new("/tmp/master");
        let Some(master) = changes(WILD, Purpose::Master { control_path: path, keep: 300 }) else { return };
        for line in ["+batchmode yes", "-remotecommand tmux", "+requesttty false", "+controlpath /tmp/master"]
        {
            assert!(master.iter().any(|change| change == line), "{line}: {master:?}");
        }
        for name in ["connecttimeout", "serveraliveinterval"] {
            assert!(!master.iter().any(|change| change[1..].starts_with(name)), "{master:?}");
        }
        let plain = changes(USERS, Purpose::Master { control_path: path, keep: 300 }).unwrap();
        for line in
            ["+connecttimeout 15", "+serveraliveinterval 15", "+controlpersist 300", "+sendenv LC_RUNCODE"]
        {
            assert!(plain.iter().any(|change| change == line), "{line}: {plain:?}");
        }
    }

    /// A server's host key is checked as its owner says, whatever the user's config allows.
    #[test]
    fn pins_win_over_the_users_policy() {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";
        let lax = "Host box\n  StrictHostKeyChecking no\n  VerifyHostKeyDNS yes\n  HostKeyAlias other\n\
                   \x20 NoHostAuthenticationForLocalhost yes\n  KnownHostsCommand /bin/echo %H\n  Port 9\n  User other\n";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), lax).unwrap();
        let Some(before) = resolved(folder.path(), &[]) else { return };
        let named = |pins: &str| NamedServer {
            words: "gpu".to_owned(),
            port: Some(2222.try_into().unwrap()),
            user: Some(crate::grant::SshUser::parse("me").unwrap()),
            host_keys: serde_json::from_str(pins).unwrap(),
            environment: None,
            is_restricted: false,
            definition: String::new(),
        };
        let after = |pins: &str| {
            let host = OwnHost {
                server: Some(named(pins)),
                known_hosts: "/tmp/a \"b\"/%h".into(),
                ..OwnHost::named(Destination::parse("box").unwrap())
            };
            let user = Resolved::from_lines(before.clone());
            resolved(folder.path(), &options(&host, &user, Purpose::Command).unwrap()).unwrap()
        };
        let has = |lines: &[String], line: &str| lines.iter().any(|it| it == line);
        let pinned = after(&format!("[\"{KEY}\"]"));
        for line in
            ["hostkeyalias box", "knownhostscommand none", "userknownhostsfile \"/tmp/a \\\"b\\\"/%h\""]
        {
            let plain = line.replace(['"', '\\'], "");
            let is_there = pinned.iter().any(|it| it.replace(['"', '\\'], "") == plain);
            assert!(is_there || line.ends_with("none"), "{line}: {pinned:?}");
        }
        assert!(!pinned.iter().any(|line| line.starts_with("knownhostscommand /")), "{pinned:?}");
        for lines in [pinned, after("null")] {
            for line in ["stricthostkeychecking true", "verifyhostkeydns false", "port 2222", "user me"] {
                assert!(has(&lines, line), "{line}: {lines:?}");
            }
            assert!(has(&lines, "nohostauthenticationforlocalhost no"), "{lines:?}");
        }
    }

    #[test]
    fn a_client_of_the_master_reads_no_config() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), WILD).unwrap();
        let Some(lines) = resolved(folder.path(), &over_master(Path::new("/tmp/master")).unwrap()) else {
            return;
        };
        assert!(
            !lines.iter().any(|line| line.starts_with("remotecommand") || line.starts_with("localforward"))
        );
    }
}
