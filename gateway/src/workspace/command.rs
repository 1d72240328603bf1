//! Commands without a terminal: three pipes and a session of their own.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::account;
use super::environment::Login;

/// What a client asked to run.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) login: Login,
    /// The variables that the client asked for and may set.
    pub(crate) variables: Vec<(String, String)>,
    /// The command line for the login shell; `None` is an interactive login.
    pub(crate) command: Option<Vec<u8>>,
}

impl Invocation {
    /// The arguments of the login shell.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        match &self.command {
            Some(command) => vec!["-c".into(), os_string(command)],
            None => Vec::new(),
        }
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Starts a command with three pipes, in a session and process group of its own, so that it has no part in the
/// terminal that the plane was started from and can be ended with all that it started.
pub(crate) fn spawn(invocation: &Invocation) -> io::Result<Child> {
    let shell = &account::current().shell;
    let mut command = Command::new(shell);
    command
        .args(invocation.arguments())
        .current_dir(&invocation.login.dir)
        .env_clear()
        .envs(invocation.login.environment(&invocation.variables))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    {
        // sshd(8): the shell goes by its last name, with a dash before it when it is a login.
        let name = shell.rsplit('/').next().unwrap_or(shell);
        command.arg0(if invocation.command.is_some() { name.to_owned() } else { format!("-{name}") });
        super::before_exec::stand_alone(&mut command);
    }
    command.spawn()
}
