//! Asking ssh itself what it makes of a config (`ssh -G`), and where that differs from what was meant.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::grant::Destination;
use crate::openssh::told;
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::sys::digest::sha256;
use crate::sys::env::Var;
use crate::sys::random;
use crate::sys::subprocess::{self, Finished};

/// How long ssh may take: a config may run programs (`Match exec`) and ask a resolver (`CanonicalizeHostname`).
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer that is read.
const MAX: usize = 256 * 1024;

/// The directives that decide whom a connection trusts, who logs in, where it leads, what it runs, and whether it works at all.
const TELLING: [&str; 47] = [
    "addkeystoagent",
    "batchmode",
    "canonicalizehostname",
    "casignaturealgorithms",
    "certificatefile",
    "checkhostip",
    "ciphers",
    "controlmaster",
    "controlpath",
    "dynamicforward",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "globalknownhostsfile",
    "hostbasedauthentication",
    "hostkeyalgorithms",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "kbdinteractiveauthentication",
    "kexalgorithms",
    "knownhostscommand",
    "localcommand",
    "localforward",
    "loglevel",
    "macs",
    "passwordauthentication",
    "permitlocalcommand",
    "pkcs11provider",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "proxyusefdpass",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "sessiontype",
    "stdinnull",
    "stricthostkeychecking",
    "tunnel",
    "updatehostkeys",
    "user",
    "userknownhostsfile",
];

/// The directives that decide where a connection leads.
const ROUTE: [&str; 7] =
    ["hostname", "port", "user", "proxyjump", "proxycommand", "hostkeyalias", "bindinterface"];

/// What `whole` says about `host` that `meant` does not, or the other way round: telling directives only.
pub fn differences(ssh: &Path, meant: &Path, whole: &Path, host: &str) -> Result<Vec<String>> {
    let (meant, whole) = (resolve(ssh, meant, host)?, resolve(ssh, whole, host)?);
    let name = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let is_telling = |line: &&String| TELLING.contains(&name(line).as_str());
    let added = whole.iter().filter(|line| !meant.contains(line)).filter(is_telling).collect::<Vec<_>>();
    let is_named = |line: &&String| added.iter().any(|other| name(other) == name(line));
    let lost = meant.iter().filter(|line| !whole.contains(line) && !is_named(line)).filter(is_telling);
    let lost = lost.map(|line| format!("{} does not apply", foreign::path(line))).collect::<Vec<_>>();
    let added = added.into_iter().map(|line| format!("{} is added or changed", foreign::path(line)));
    Ok(added.chain(lost).collect())
}

/// The home folder whose `.ssh/config` ssh reads: the password database's, whatever HOME says (ssh_config(5)). `None` when
/// it does not tell.
pub fn home(ssh: &Path) -> Option<PathBuf> {
    let lines = resolve(ssh, Path::new("none"), "localhost").ok()?;
    let files = lines.iter().find_map(|line| line.strip_prefix("userknownhostsfile "))?;
    let home = files.split_once("/.ssh/known_hosts")?.0;
    home.starts_with('/').then(|| PathBuf::from(home))
}

/// What the user's and the system's own config say about a destination: the lines of `ssh -G`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved(Vec<String>);

impl Resolved {
    /// Asks ssh, which reads the config as it does to connect.
    pub fn of(ssh: &Path, destination: &Destination) -> Result<Resolved> {
        Resolved::at(ssh, &[], destination)
    }

    /// As [`Resolved::of`], with the options that say where the destination is.
    pub fn at(ssh: &Path, place: &[String], destination: &Destination) -> Result<Resolved> {
        // ssh_config(5): `Match` may look at what is to be run; nothing is.
        let options = ["-T"].into_iter().chain(place.iter().map(String::as_str)).map(OsStr::new);
        ask(ssh, &options.collect::<Vec<_>>(), destination.as_str()).map(Resolved)
    }

    /// What ssh answered, in lines.
    #[cfg(test)]
    pub(crate) fn from_lines(lines: Vec<String>) -> Resolved {
        Resolved(lines)
    }

    /// The first value of a directive, whose name is in lower case.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    }

    /// The SHA-256 of what decides where a connection leads.
    pub fn route(&self) -> String {
        let lines = ROUTE.iter().map(|name| format!("{name} {}\n", self.value(name).unwrap_or_default()));
        sha256(lines.collect::<String>().as_bytes())
    }

    /// Whether this ssh has the directive at all.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// Whether the user's or the system's config says anything about `name` beyond what it says about every host.
pub fn knows(ssh: &Path, name: &Destination) -> Result<bool> {
    let word = random::word().to_ascii_lowercase();
    // Patterns such as `*.*` tell names with a dot from those without, and mean neither of them.
    let nobody = if name.as_str().contains('.') { format!("{word}.{word}.invalid") } else { word };
    let nobody = Destination::parse(&nobody).map_err(|why| Error::new(Code::Error, why))?;
    let (theirs, nobodys) = (Resolved::of(ssh, name)?, Resolved::of(ssh, &nobody)?);
    Ok(is_known(&theirs, name.as_str(), &nobodys, nobody.as_str()))
}

/// Whether two answers differ in more than the name that they are about. A `HostName` of its own counts: it is not the name.
fn is_known(theirs: &Resolved, name: &str, nobodys: &Resolved, nobody: &str) -> bool {
    let is_told = |line: &&String| !line.starts_with("host ");
    let name = name.to_ascii_lowercase();
    let theirs = theirs.0.iter().filter(is_told).map(|line| line.to_ascii_lowercase());
    let nobodys = nobodys.0.iter().filter(is_told);
    !theirs.eq(nobodys.map(|line| line.to_ascii_lowercase().replace(nobody, &name)))
}

/// The lines of `ssh -G` with this config and no other.
fn resolve(ssh: &Path, config: &Path, host: &str) -> Result<Vec<String>> {
    ask(ssh, &[OsStr::new("-F"), config.as_os_str()], host)
}

/// What `ssh -G` answers. If the user's config detaches (`ForkAfterAuthentication`), ssh insists on a command; if the config has
/// a command of its own (`RemoteCommand`), ssh rejects another one.
fn ask(ssh: &Path, options: &[&OsStr], host: &str) -> Result<Vec<String>> {
    let mut finished = ask_about(ssh, options, host, None)?;
    if !finished.status.success() {
        let about_a_command = ask_about(ssh, options, host, Some("true"))?;
        if about_a_command.status.success() {
            finished = about_a_command;
        }
    }
    if !finished.status.success() {
        let said = String::from_utf8_lossy(&finished.stderr);
        if let Some(error) = told::without_user(&said) {
            return Err(error);
        }
        let said =
            said.lines().next().map_or("it does not say why".to_owned(), |line| foreign::said("it", line));
        return Err(Error::new(Code::Error, format!("ssh rejects the config: {said}"))
            .hint(format!("`ssh -G {host}` shows the same")));
    }
    Ok(String::from_utf8_lossy(&finished.stdout).lines().map(str::to_owned).collect())
}

fn ask_about(ssh: &Path, options: &[&OsStr], host: &str, command: Option<&str>) -> Result<Finished> {
    let mut asked = Command::new(ssh);
    asked.arg("-G").args(options).args(["--", host]).args(command);
    asked.env(Var::RuncodeNoRenewal.name(), "1").env_remove(Var::RuncodeToken.name());
    let finished = subprocess::run(&mut asked, PATIENCE, MAX)
        .map_err(|error| Error::io(format_args!("run {}", ssh.named()), error))?;
    finished.ok_or_else(|| {
        let seconds = PATIENCE.as_secs();
        Error::new(Code::Error, format!("`ssh -G {host}` took longer than {seconds} s"))
            .hint("a slow `Match exec` or name server is the likely reason")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn resolved(lines: &[&str]) -> Resolved {
        Resolved(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn a_directive_is_found_by_its_whole_name() {
        let answer = resolved(&["port 22", "serveraliveinterval 0", "user me"]);
        assert_eq!(answer.value("serveraliveinterval"), Some("0"));
        assert!(!answer.has("serveralive") && answer.has("user") && !answer.has("use"));
    }

    #[test]
    fn a_host_is_known_by_more_than_its_name() {
        let nobody = resolved(&["host zz", "hostname zz", "user me", "controlpath /tmp/zz.sock"]);
        let known = |lines: &[&str]| is_known(&resolved(lines), "Web", &nobody, "zz");
        assert!(!known(&["host Web", "hostname web", "user me", "controlpath /tmp/web.sock"]));
        assert!(known(&["host Web", "hostname 10.0.0.1", "user me", "controlpath /tmp/web.sock"]));
        assert!(known(&["host Web", "hostname web", "user you", "controlpath /tmp/web.sock"]));
        assert!(known(&["host Web", "hostname web", "user me"]));
    }

    /// A program that answers as `ssh -G` with the config of a test: ssh takes `~` from the password database.
    #[cfg(unix)]
    fn ssh_with(config: &str) -> Option<(tempfile::TempDir, PathBuf)> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::var_os("PATH")?;
        let ssh =
            std::env::split_paths(&path).map(|folder| folder.join("ssh")).find(|path| path.is_file())?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), config).unwrap();
        let program = folder.path().join("ssh");
        let script =
            format!("#!/bin/sh\nexec '{}' -F '{}/config' \"$@\"\n", ssh.display(), folder.path().display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        Some((folder, program))
    }

    #[cfg(unix)]
    #[test]
    fn ssh_itself_says_which_hosts_it_knows() {
        let config = "Host web\n  Port 2222\nHost *.corp\n  User deploy\nHost *.*\n  ServerAliveInterval 7\n\
                      Host named\n  HostName 10.0.0.9\nHost *\n  ControlPath /tmp/%h\n";
        let Some((_folder, ssh)) = ssh_with(config) else { return };
        let known = |name| knows(&ssh, &Destination::parse(name).unwrap()).unwrap();
        assert!(known("web") && known("db.corp") && known("named"));
        assert!(!known("wbe") && !known("a.example") && !known("WBE"));
        let web = Resolved::of(&ssh, &Destination::parse("me@web").unwrap()).unwrap();
        assert_eq!((web.value("port"), web.value("user")), (Some("2222"), Some("me")));
    }

    #[cfg(unix)]
    #[test]
    fn ssh_answers_whatever_the_config_starts() {
        for lines in [
            "ForkAfterAuthentication yes",
            "ForkAfterAuthentication yes\n  RemoteCommand top",
            "RemoteCommand top",
            "SessionType none\n  ForkAfterAuthentication yes",
        ] {
            let Some((_folder, ssh)) = ssh_with(&format!("Host web\n  Port 2222\n  {lines}\n")) else {
                return;
            };
            let web = Resolved::of(&ssh, &Destination::parse("web").unwrap()).unwrap();
            assert_eq!(web.value("port"), Some("2222"), "{lines}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_config_that_ssh_refuses_is_told() {
        let Some((_folder, ssh)) = ssh_with("NoSuchDirective yes\n") else { return };
        let error = Resolved::of(&ssh, &Destination::parse("web").unwrap()).unwrap_err();
        let message = error.message();
        assert!(
            message.contains("ssh rejects the config: it says: \"") && message.ends_with('"'),
            "{message}"
        );
    }
}
