//! `ssh-keygen -Y`: signatures by people over texts (PROTOCOL.sshsig). Its messages are not stable: only its status counts.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::openssh::install_hint;
use crate::sys::env::{Env, Var};
use crate::sys::{program, subprocess};

/// What approvals are signed for: a signature for anything else is none.
pub const NAMESPACE: &str = "approval@runcode.io";

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer, in bytes.
const MAX: usize = 64 * 1024;

/// The installed `ssh-keygen`.
#[derive(Debug)]
pub struct Keygen(PathBuf);

impl Keygen {
    /// The system's own, wherever PATH leads; else the first one on PATH.
    pub fn find(env: &Env) -> Result<Keygen> {
        let name = if cfg!(windows) { "ssh-keygen.exe" } else { "ssh-keygen" };
        let own = Path::new("/usr/bin").join(name);
        let found = if program::is_program(&own) {
            Some(own)
        } else {
            program::find(name, env.var(Var::Path).as_deref())
        };
        found.map(Keygen).ok_or_else(|| {
            Error::new(Code::SshMissing, "there is no `ssh-keygen`, which checks signatures")
                .hint(install_hint())
        })
    }

    /// Who of the people in `allowed` may have made this signature; empty if nobody. That it is one is for [`Keygen::verifies`].
    pub fn principals(&self, allowed: &Path, signature: &Path) -> Result<Vec<String>> {
        let mut keygen = Command::new(&self.0);
        keygen.args(["-Y", "find-principals", "-f"]).arg(allowed).arg("-s").arg(signature);
        let found = self.run(&mut keygen, None)?;
        let lines = found.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    }

    /// Whether the signature is by this person over this text, and may be now.
    pub fn verifies(&self, allowed: &Path, who: &str, signature: &Path, text: &[u8]) -> Result<bool> {
        let mut keygen = Command::new(&self.0);
        keygen.args(["-Y", "verify", "-n", NAMESPACE, "-f"]).arg(allowed);
        keygen.args(["-I", who, "-s"]).arg(signature);
        let mut input = tempfile::tempfile()?;
        input.write_all(text)?;
        input.rewind()?;
        Ok(self.run(&mut keygen, Some(input))?.is_some())
    }

    /// What it says, if it ends well.
    fn run(&self, keygen: &mut Command, input: Option<File>) -> Result<Option<String>> {
        let failed = |error| Error::io("run ssh-keygen", error);
        let finished = subprocess::run_reading(keygen, input, PATIENCE, MAX).map_err(failed)?;
        let Some(finished) = finished else {
            return Err(Error::new(Code::TimedOut, "ssh-keygen took too long over a signature"));
        };
        Ok(finished.status.success().then(|| String::from_utf8_lossy(&finished.stdout).into_owned()))
    }

    /// Has a person sign this text, at their terminal where the key asks for something.
    pub fn sign(&self, key: &Path, text: &[u8]) -> Result<Vec<u8>> {
        let mut input = tempfile::tempfile()?;
        input.write_all(text)?;
        input.rewind()?;
        let mut keygen = Command::new(&self.0);
        keygen.args(["-Y", "sign", "-q", "-n", NAMESPACE, "-f"]).arg(key);
        let output = keygen.stdin(input).stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| Error::io("run ssh-keygen", error))?;
        match output.status.success() && output.stdout.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
            true => Ok(output.stdout),
            false => Err(Error::new(Code::Error, "ssh-keygen did not sign").hint(
                "see what it says above; --key names another key, or its public half if ssh-agent has it",
            )),
        }
    }
}
