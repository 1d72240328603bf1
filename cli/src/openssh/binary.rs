//! Which ssh client is used.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Code, Error, Result};
use crate::sys::env::{Env, Var};
use crate::sys::program;

/// Where to look for the ssh client.
#[derive(Debug, Clone)]
pub struct SshBinary {
    named: Option<OsString>,
    path: Option<OsString>,
}

impl SshBinary {
    /// What `env` says about it; looks at no file.
    pub fn from_env(env: &Env) -> SshBinary {
        SshBinary { named: env.var(Var::RuncodeSsh), path: env.var(Var::Path) }
    }

    /// Whether the user named one.
    pub fn is_chosen(&self) -> bool {
        self.named.is_some()
    }

    /// The absolute path: what `RUNCODE_SSH` names, else the first `ssh` on PATH. Relative folders on PATH do not count:
    /// what happens to lie in the current folder is never run.
    pub fn find(&self) -> Result<PathBuf> {
        if let Some(named) = &self.named {
            let path = PathBuf::from(named);
            return if path.is_absolute() && program::is_program(&path) {
                Ok(path)
            } else {
                Err(Error::new(Code::SshMissing, "RUNCODE_SSH is not the absolute path of a program")
                    .hint("unset it to use the `ssh` on PATH"))
            };
        }
        let name = if cfg!(windows) { "ssh.exe" } else { "ssh" };
        program::find(name, self.path.as_deref())
            .ok_or_else(|| Error::new(Code::SshMissing, "there is no `ssh` on PATH").hint(install_hint()))
    }
}

/// How to get the ssh client on this system.
pub fn install_hint() -> &'static str {
    if cfg!(windows) {
        "install it: Settings > Apps > Optional features > OpenSSH Client"
    } else if cfg!(target_os = "macos") {
        "macOS comes with it in /usr/bin: add that folder to PATH"
    } else {
        "install it: `apt install openssh-client`, `dnf install openssh-clients` or `apk add openssh-client`"
    }
}
