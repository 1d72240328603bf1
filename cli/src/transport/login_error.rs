//! Why the user's own ssh could not log in to a host of the user's own, with what to do next.

use crate::error::{Code, Error};
use crate::openssh::external::OwnHost;
use crate::openssh::login::{Fingerprint, Question, Refusal};
use crate::openssh::told::{self, Told};
use crate::output::foreign;
use crate::transport::connect_error::{self, SANDBOX_HINT};
use crate::transport::outcome::{Cause, Unconnected};
use crate::transport::second_look;

/// Explains a failed login from ssh's log, and from the log of a second look if one was needed.
/// `is_sandboxed`: an agent's sandbox is known to forbid network access.
pub(super) fn of(log: &str, second: Option<&str>, host: &OwnHost, is_sandboxed: bool) -> Unconnected {
    if let Some(error) = told::without_user(log) {
        return Unconnected { cause: Cause::NoClient, error };
    }
    if Told::by(log).is_without_socket() {
        return connect_error::of(log, is_sandboxed);
    }
    let (refusal, said) = second_look::refusal(log, second);
    let fails = |message: String| Error::new(Code::Transport, message);
    let (to, ssh) = (host.name(), host.shown());
    let retry = format!("see what `ssh {ssh}` says");
    let (cause, error) = match refusal {
        Refusal::HostKeyUnknown(fingerprint) | Refusal::HostKeyChanged(fingerprint) if host.is_pinned() => {
            let why = format!("`{to}` shows a host key that servers.toml does not pin");
            let hint = format!(
                "ask whoever runs the host why, before you pin another key; `runcode servers pin {to}` lists its keys of today"
            );
            host_key(Code::HostKeyChanged, why, fingerprint, hint)
        }
        Refusal::Unclear(fingerprint) => {
            let why = format!(
                "runcode cannot tell whether the host key of `{to}` is right, because whoever answered wrote text of its own into ssh's log"
            );
            let hint = format!(
                "see what `ssh {ssh}` says, and compare the fingerprint with the host's own (`ssh-keygen -lf` there)"
            );
            host_key(Code::HostKeyUnknown, why, fingerprint, hint)
        }
        Refusal::HostKeyUnknown(fingerprint) => {
            let pin = host
                .server
                .as_ref()
                .map(|server| format!("; or pin it: `runcode servers pin {}`", server.words));
            let hint =
                format!("log in once with `ssh {ssh}`, and compare the fingerprint with the host's own");
            let why = format!("you have never accepted the host key of `{to}`");
            host_key(Code::HostKeyUnknown, why, fingerprint, hint + &pin.unwrap_or_default())
        }
        Refusal::HostKeyChanged(fingerprint) => {
            let why = format!("`{to}` shows a different host key from the one you have accepted");
            let hint = format!(
                "ask whoever runs the host before you accept the new one; `ssh {ssh}` says where the old one is"
            );
            host_key(Code::HostKeyChanged, why, fingerprint, hint)
        }
        Refusal::Question(question) => {
            let (why, or) = match question {
                Question::Answer => (format!("`{to}` asks for a password or a one-time code"), String::new()),
                Question::Key(path) if path.is_empty() => {
                    (format!("`{to}` needs a key that only you can unlock"), String::new())
                }
                Question::Key(path) => {
                    let is_plain = foreign::argument(&path) == path;
                    let load = is_plain.then(|| format!("; or load the key: ssh-add {path}"));
                    let path = foreign::file(&path);
                    let why =
                        format!("`{to}` takes the key {path}, which wants its passphrase, a PIN or a touch");
                    (why, load.unwrap_or_default())
                }
                Question::Agent => {
                    (format!("ssh-agent has a key for `{to}`, but did not sign with it"), String::new())
                }
            };
            (Cause::AuthRejected, login_required(why, host, &or))
        }
        Refusal::KeysRefused => {
            let error = fails(format!("`{to}` accepts none of your keys: {said}"));
            (
                Cause::AuthRejected,
                error.hint(format!(
                    "`ssh -v {ssh}` shows which were offered; the host needs one in authorized_keys"
                )),
            )
        }
        Refusal::TooManyKeys => {
            let error = fails(format!("`{to}` disconnected after too many keys"));
            let hint = format!(
                "name the right one for it in ~/.ssh/config: `IdentityFile` with `IdentitiesOnly yes`; {retry}"
            );
            (Cause::AuthRejected, error.hint(hint))
        }
        Refusal::UnknownName => {
            let error = fails(format!("no host of this name is known: {said}"));
            (Cause::Unreachable, error.hint("check the name, or give it a `HostName` in ~/.ssh/config"))
        }
        Refusal::PortRefused => {
            let error = fails(format!("nothing listens there: {said}"));
            (Cause::Refused, error.hint(format!("is sshd running, and is this its port? {retry}")))
        }
        Refusal::Silent => {
            let error = fails(format!("`{to}` does not answer: {said}"));
            (
                Cause::Unreachable,
                error.hint(format!("is it up, and is a VPN or a `ProxyJump` needed? {retry}")),
            )
        }
        Refusal::Forbidden => {
            (Cause::Forbidden, fails(format!("cannot connect to `{to}`: {said}")).hint(SANDBOX_HINT))
        }
        Refusal::NoCommonAlgorithm => (
            Cause::Other,
            fails(format!("`{to}` and this ssh have no algorithm in common: {said}")).hint(retry),
        ),
        Refusal::BadConfig => (
            Cause::Other,
            fails(format!("ssh rejects your config: {said}")).hint(format!("`ssh -G {ssh}` shows the same")),
        ),
        Refusal::NoWay(Some(jump)) => {
            let error = fails(format!("`{to}` is reached through `{jump}`, which ssh could not get through"));
            let connect = OwnHost::named(jump.clone()).words();
            (Cause::Unreachable, error.hint(format!("`runcode connect {connect}` says why; if it asks for a code or a passphrase, `runcode connect {} --interactive` lets you answer; {retry}", host.words())))
        }
        Refusal::NoWay(None) => {
            let error = fails(format!("`{to}` is reached through a `ProxyCommand`, which ended: {said}"));
            (Cause::Unreachable, error.hint(retry))
        }
        Refusal::HungUp => {
            (Cause::Dropped, fails(format!("`{to}` closed the connection: {said}")).hint(retry))
        }
        Refusal::Other => (Cause::Other, fails(format!("cannot connect to `{to}`: {said}")).hint(retry)),
    };
    let error = if is_sandboxed && cause.is_out_of_reach() { error.hint(SANDBOX_HINT) } else { error };
    Unconnected { cause, error }
}

/// A host key that does not count, with its fingerprint where ssh told it.
fn host_key(code: Code, why: String, key: Option<Fingerprint>, hint: String) -> (Cause, Error) {
    let error = match key {
        Some(key) => {
            Error::new(code, format!("{why} ({})", key.as_str())).detail("fingerprint", key.as_str())
        }
        None => Error::new(code, why),
    };
    (Cause::HostKey, error.hint(hint))
}

/// Only a person can bring the connection up: the line for that person to type.
pub fn login_required(why: String, host: &OwnHost, or: &str) -> Error {
    Error::new(Code::LoginRequired, why)
        .hint(format!("ask the user to run: runcode connect {} --interactive{or}", host.words()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::grant::Destination;

    fn error(log: &str, to: &str) -> Error {
        of(log, None, &OwnHost::named(Destination::parse(to).unwrap()), false).error
    }

    /// Each try logs in to the jump host, or runs the user's program, so runcode does not retry such a failure by itself.
    #[test]
    fn a_way_that_fails_is_tried_once() {
        for made in ["debug1: Setting implicit ProxyCommand from ProxyJump: ssh -W '[%h]:%p' jump\r\n", ""] {
            let log = format!(
                "{made}debug1: Executing proxy command: exec x\r\nConnection closed by UNKNOWN port 65535\r\n"
            );
            let failed = of(&log, None, &OwnHost::named(Destination::parse("h").unwrap()), false);
            assert!(failed.error.message().contains("is reached through"), "{}", failed.error);
            assert_eq!(failed.cause.pause(0, true), None);
        }
    }

    #[test]
    fn each_refusal_has_a_code_and_a_next_step() {
        let key =
            "debug1: Server host key: ssh-ed25519 SHA256:VrPCP73GORYqBu6G4ocsGpn+eCEHN2O5JKzCMboKOPc\r\n";
        for (log, code, part) in [
            (format!("{key}Host key verification failed."), Code::HostKeyUnknown, "never accepted"),
            (
                format!("{key}@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @"),
                Code::HostKeyChanged,
                "different host key",
            ),
            ("me@h: Permission denied (publickey,password).".into(), Code::LoginRequired, "one-time code"),
            ("me@h: Permission denied (publickey).".into(), Code::Transport, "none of your keys"),
            (
                "ssh: Could not resolve hostname h: No such host".into(),
                Code::Transport,
                "no host of this name",
            ),
            ("ssh: connect to host h port 22: Connection refused".into(), Code::Transport, "nothing listens"),
            (
                "debug1: Setting implicit ProxyCommand from ProxyJump: ssh -J a -W '[%h]:%p' me@b\n\
                 debug1: Executing proxy command: exec ssh\nConnection closed by UNKNOWN port 65535"
                    .into(),
                Code::Transport,
                "through `me@b`",
            ),
            (
                "debug1: Executing proxy command: exec nc\nConnection closed by UNKNOWN port 65535".into(),
                Code::Transport,
                "a `ProxyCommand`",
            ),
            (String::new(), Code::Transport, "without a message"),
        ] {
            let error = error(&log, "box");
            assert_eq!(error.code(), code, "{log}");
            assert!(error.message().contains(part), "{}", error.message());
            assert!(error.next_step().is_some(), "{log}");
        }
        let unknown = error(&format!("{key}Host key verification failed."), "box");
        assert_eq!(unknown.details().len(), 1);
    }

    #[test]
    fn the_line_for_a_person_is_exact() {
        let log = "me@h: Permission denied (keyboard-interactive).";
        for (to, line) in
            [("box", "connect ssh:box --interactive"), ("ssh://me@h:2", "connect ssh://me@h:2 --interactive")]
        {
            assert!(error(log, to).next_step().unwrap().ends_with(line));
        }
    }
}
