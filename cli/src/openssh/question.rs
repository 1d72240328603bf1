//! Asking ssh itself what it makes of a config (`ssh -G`), and where that differs from what was meant.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Code, Error, Result};
use crate::output::sanitize;
use crate::sys::env::Var;

/// The directives that decide whom a connection trusts, who it is, where it leads and what it runs.
const SENSITIVE: [&str; 36] = [
    "addkeystoagent",
    "batchmode",
    "canonicalizehostname",
    "certificatefile",
    "checkhostip",
    "controlmaster",
    "controlpath",
    "dynamicforward",
    "forwardagent",
    "forwardx11",
    "globalknownhostsfile",
    "hostbasedauthentication",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "kbdinteractiveauthentication",
    "knownhostscommand",
    "localcommand",
    "localforward",
    "loglevel",
    "passwordauthentication",
    "permitlocalcommand",
    "pkcs11provider",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "proxyusefdpass",
    "remotecommand",
    "remoteforward",
    "stricthostkeychecking",
    "tunnel",
    "updatehostkeys",
    "user",
    "userknownhostsfile",
];

/// What `whole` says about `host` that `meant` does not, or the other way round: sensitive directives only.
pub fn differences(ssh: &Path, meant: &Path, whole: &Path, host: &str) -> Result<Vec<String>> {
    let (meant, whole) = (resolve(ssh, meant, host)?, resolve(ssh, whole, host)?);
    let is_sensitive = |line: &&String| SENSITIVE.contains(&line.split(' ').next().unwrap_or_default());
    let added = whole.iter().filter(|line| !meant.contains(line)).filter(is_sensitive);
    let lost = meant.iter().filter(|line| !whole.contains(line)).filter(is_sensitive);
    let added = added.map(|line| format!("`{}` is added or changed", sanitize::short(line)));
    Ok(added.chain(lost.map(|line| format!("`{}` does not hold", sanitize::short(line)))).collect())
}

/// The home folder whose `.ssh/config` ssh reads: the password database's, whatever HOME says (ssh_config(5)). `None` when
/// it does not tell.
pub fn home(ssh: &Path) -> Option<PathBuf> {
    let lines = resolve(ssh, Path::new("none"), "localhost").ok()?;
    let files = lines.iter().find_map(|line| line.strip_prefix("userknownhostsfile "))?;
    let home = files.split_once("/.ssh/known_hosts")?.0;
    home.starts_with('/').then(|| PathBuf::from(home))
}

/// The lines of `ssh -G`.
fn resolve(ssh: &Path, config: &Path, host: &str) -> Result<Vec<String>> {
    let mut command = Command::new(ssh);
    command.arg("-G").arg("-F").arg(config).args(["--", host]).stdin(Stdio::null());
    command.env(Var::RuncodeNoRenewal.name(), "1");
    let output =
        command.output().map_err(|error| Error::io(format_args!("run `{}`", ssh.display()), error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = sanitize::short(said.lines().next().unwrap_or("it does not say why"));
        return Err(Error::new(Code::Error, format!("ssh does not take the config: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
