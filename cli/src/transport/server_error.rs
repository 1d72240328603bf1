//! Why ssh could not log in to a server with what we have for it, and what to do next.

use std::io::Read as _;
use std::path::PathBuf;

use crate::error::{Code, Error};
use crate::openssh::login::{self, Refusal};
use crate::openssh::told;
use crate::sys::atomic_file;
use crate::transport::connect_error;
use crate::transport::outcome::{Cause, Unconnected};

/// How much is read of the errors of a hop's ssh, in bytes.
const MAX_LOG: u64 = 64 * 1024;

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
    /// The hops on the way there.
    pub hops: Vec<OpenedHop>,
}

/// A hop on the way to a server, and the errors of its ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedHop {
    /// Its name.
    pub words: String,
    /// Whether its host keys are pinned.
    pub is_pinned: bool,
    /// The file to which its ssh writes errors.
    pub log: PathBuf,
}

impl OpenedHop {
    /// Forgets the errors of an earlier ssh.
    pub(super) fn forget(&self) {
        let _ = atomic_file::remove(&self.log); // an old reason is better than none
    }

    /// Why the connection failed at this hop, if it did. `before` and `next`: the servers before and after it; `to`: the destination.
    fn failure(&self, before: Option<&str>, next: &str, to: &str, is_sandboxed: bool) -> Option<Unconnected> {
        let mut log = Vec::new();
        std::fs::File::open(&self.log).ok()?.take(MAX_LOG).read_to_end(&mut log).ok()?;
        let log = String::from_utf8_lossy(&log);
        if log.trim().is_empty() {
            return None;
        }
        let (words, said) = (&self.words, told::telling(&log));
        let error = if is_unopened(&log) {
            let what = format!("`{words}` does not connect to `{next}`");
            Error::new(Code::Transport, what).hint(format!(
                "see whether `{next}` can be reached from there, and whether sshd there lets this user forward to it \
                 (AllowTcpForwarding, PermitOpen)"
            ))
        } else {
            let hop = OpenedServer {
                by: Opener::Certificate,
                words: words.clone(),
                is_pinned: self.is_pinned,
                hops: Vec::new(),
            };
            let failed = judged(&log, &hop).unwrap_or_else(|| {
                let failed = connect_error::of(&log, is_sandboxed);
                let what = match before {
                    None => format!("cannot connect to `{words}`: {said}"),
                    Some(before) => no_answer(words, before, &said),
                };
                let error = Error::new(failed.error.code(), what);
                let hint = failed.error.next_step().map(str::to_owned);
                Unconnected { error: hint.into_iter().fold(error, Error::hint), ..failed }
            });
            failed.error.context(format_args!("on the way to `{to}`"))
        };
        // A hop refused us or is out of reach, not the server itself.
        Some(Unconnected { cause: Cause::Other, error: error.detail("hop", words) })
    }
}

/// Why the connection to `to` failed at one of the hops, if it did.
pub(super) fn failure_of(hops: &[OpenedHop], to: &str, is_sandboxed: bool) -> Option<Unconnected> {
    hops.iter().enumerate().find_map(|(at, hop)| {
        let name = |at: Option<usize>| hops.get(at?).map(|hop| hop.words.as_str());
        hop.failure(name(at.checked_sub(1)), name(Some(at + 1)).unwrap_or(to), to, is_sandboxed)
    })
}

/// The message if nothing comes through. It names both servers, because either may be the cause.
fn no_answer(to: &str, through: &str, said: &str) -> String {
    format!("cannot connect to `{to}` through `{through}`: {said}")
}

/// Whether the host that ssh has logged in to did not make the connection that ssh asked for. At this log level, ssh does not say why.
fn is_unopened(log: &str) -> bool {
    log.lines().any(|line| line.trim_end() == "stdio forwarding failed")
}

/// Makes sense of the log. It does not try again: that would run the command that the certificate forces, or send the password again.
pub(super) fn of(log: &str, server: &OpenedServer, is_sandboxed: bool) -> Unconnected {
    if let Some(failed) = judged(log, server) {
        return failed;
    }
    let words = &server.words;
    if let Some(failed) = failure_of(&server.hops, words, is_sandboxed) {
        return failed;
    }
    let Some(last) = server.hops.last() else { return connect_error::of(log, is_sandboxed) };
    let what = no_answer(words, &last.words, &told::telling(log));
    Unconnected { cause: Cause::Unreachable, error: Error::new(Code::Transport, what) }
}

/// What the log says of the server itself: that its host key is not the right one, or that it does not let us in.
fn judged(log: &str, server: &OpenedServer) -> Option<Unconnected> {
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
    Some(match login::refusal(log) {
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
        _ => return None,
    })
}
