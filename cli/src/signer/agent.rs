//! A CA's private key that an ssh-agent holds.

use std::path::{Path, PathBuf};

use runcode_sshcert::sign_elsewhere;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::error::Result;
use crate::openssh::agent::{self, Trouble};
use crate::output::foreign::FileName as _;
use crate::output::progress::note;
use crate::signer::{AgentKey, Order, Signer, failed, files};
use crate::sys::env::{Env, Var};

pub(super) struct Agent {
    key: PublicKey,
    socket: PathBuf,
}

impl Agent {
    pub(super) fn new(key: &AgentKey, socket: Option<&Path>, env: &Env) -> Result<Agent> {
        let key = match key {
            AgentKey::Line(key) => key.clone(),
            AgentKey::File(path, owner) => {
                let shown = path.named();
                let found = files::read("the signer's public key", path, *owner, 16 * 1024)?;
                let text = String::from_utf8(found.bytes).unwrap_or_default();
                PublicKey::from_openssh(text.trim())
                    .map_err(|_| failed(format!("the signer's public key {shown} is none")))?
            }
        };
        let socket = socket.map(Path::to_owned).or_else(|| env.var(Var::SshAuthSock).map(PathBuf::from));
        let socket = socket.filter(|path| path.is_absolute() || cfg!(windows)).ok_or_else(|| {
            failed("no ssh-agent is known that could sign".to_owned())
                .hint("start one, `ssh-add` the CA's key, and set SSH_AUTH_SOCK or `socket`")
        })?;
        Ok(Agent { key, socket })
    }
}

impl Signer for Agent {
    fn authority(&self) -> Option<KeyData> {
        Some(self.key.key_data().clone())
    }

    fn sign(&self, order: &Order<'_>) -> Result<String> {
        let options = order.options();
        let mut trouble = None;
        let blob = self
            .key
            .to_bytes()
            .map_err(|error| failed(format!("the signer's public key cannot be used: {error}")))?;
        let is_rsa = self.key.algorithm().is_rsa();
        let signed =
            sign_elsewhere(&order.terms(&options, order.short_id()), self.key.key_data(), &mut |data| {
                let waits = || note("note: ssh-agent may be waiting for you to confirm or touch the key");
                agent::sign(&self.socket, &blob, data, is_rsa, waits).map_err(|why| trouble = Some(why)).ok()
            });
        signed.map(|certificate| certificate.as_str().to_owned()).map_err(|_| match trouble {
            Some(Trouble::Unreachable(why)) => {
                let socket = self.socket.named();
                failed(format!("the ssh-agent at {socket} cannot be reached: {why}"))
                    .hint("is it running, and is SSH_AUTH_SOCK or `socket` right?")
            }
            Some(Trouble::Refused) => failed("the ssh-agent does not sign with the CA's key".to_owned())
                .hint(
                    "`ssh-add -L` shows the keys that it has; a key added with `ssh-add -c` asks you first",
                ),
            Some(Trouble::Silent) => failed("the ssh-agent has not answered for 60 s".to_owned())
                .hint("it may be waiting for you to confirm the use of the key"),
            Some(Trouble::Malformed) | None => failed(
                "the ssh-agent answered with something that is not a signature by the CA's key".to_owned(),
            ),
        })
    }
}
