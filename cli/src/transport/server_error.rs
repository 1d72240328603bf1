//! Why ssh could not log in to a server with what we have for it, and what to do next.

use crate::error::{Code, Error};
use crate::openssh::login::{self, Refusal};
use crate::openssh::told;
use crate::transport::connect_error;
use crate::transport::outcome::{Cause, Unconnected};

/// What a server in servers.toml accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// A certificate of its signer.
    Certificate,
    /// A password.
    Password,
}

/// A server in servers.toml to which each run logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedServer {
    /// What we log in with.
    pub by: Opener,
    /// The words that a command takes for it.
    pub words: String,
    /// Whether its host keys are pinned.
    pub is_pinned: bool,
}

/// Makes sense of the log. It does not try again: that would run the command that the certificate forces, or send the password again.
pub(super) fn of(log: &str, server: &OpenedServer, is_sandboxed: bool) -> Unconnected {
    let (words, said) = (&server.words, told::telling(log));
    let pin = format!("`runcode servers pin {words}` shows its host keys, to compare and paste");
    let host_key = |code, why: &str| {
        let error = Error::new(code, format!("`{words}` {why}")).hint(pin.clone());
        Unconnected { cause: Cause::HostKey, error }
    };
    let fingerprint = |refused: Unconnected, key: Option<login::Fingerprint>| match key {
        Some(key) => Unconnected { error: refused.error.detail("fingerprint", key.as_str()), ..refused },
        None => refused,
    };
    match login::refusal(log) {
        Refusal::HostKeyUnknown(key) | Refusal::HostKeyChanged(key) if server.is_pinned => fingerprint(
            host_key(Code::HostKeyChanged, "shows a host key that servers.toml does not pin"),
            key,
        ),
        Refusal::HostKeyUnknown(key) => {
            fingerprint(host_key(Code::HostKeyUnknown, "has a host key that you have never accepted"), key)
        }
        Refusal::HostKeyChanged(key) => fingerprint(
            host_key(Code::HostKeyChanged, "shows a different host key from the one you have accepted"),
            key,
        ),
        Refusal::Unclear(key) => fingerprint(
            host_key(
                Code::HostKeyUnknown,
                "cannot be told from an impostor: its answer put text of its own into ssh's log",
            ),
            key,
        ),
        Refusal::KeysRefused | Refusal::TooManyKeys | Refusal::Question(_)
            if server.by == Opener::Password =>
        {
            let error = Error::new(Code::Transport, format!("`{words}` does not accept the password: {said}"))
                .hint("for the user: put the right one into the keychain. runcode waits a minute before it tries again, as wrong ones may lock the account");
            Unconnected { cause: Cause::AuthRejected, error }
        }
        Refusal::KeysRefused | Refusal::TooManyKeys | Refusal::Question(_) => {
            let what = format!("`{words}` does not accept the signer's certificate: {said}");
            let error = Error::new(Code::Transport, what).hint(
                "its sshd has to trust the CA (TrustedUserCAKeys), know the principal, and agree about the time: \
                 `runcode servers ca` shows the lines",
            );
            Unconnected { cause: Cause::AuthRejected, error }
        }
        _ => connect_error::of(log, is_sandboxed),
    }
}
