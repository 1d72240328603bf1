//! Why ssh could not connect, told by its own words.

use crate::error::{Code, Error};
use crate::openssh::told::{self, Told};
use crate::transport::outcome::{Cause, Unconnected};

/// What a sandboxed agent's user has to change.
#[cfg(not(target_os = "linux"))]
pub const SANDBOX_HINT: &str = "the sandbox that this runs in forbids network access: allow it for this command \
     (Codex: `sandbox_workspace_write.network_access = true`, or run it with approval outside the sandbox; Claude Code: \
     `sandbox.network.allowAllUnixSockets = true` in settings.json)";

/// What a sandboxed agent's user has to change.
#[cfg(target_os = "linux")]
pub const SANDBOX_HINT: &str = "the sandbox that this runs in forbids network access: allow it for this command \
     (Codex: `sandbox_workspace_write.network_access = true`, or run it with approval outside the sandbox; Claude Code: \
     `sandbox.network.allowAllUnixSockets = true` in settings.json), or run `runcode route on --sandboxes` outside of it";

/// Makes sense of the log of an ssh that could not connect. `is_sandboxed`: an agent's sandbox is known to forbid network access.
pub(super) fn of(log: &str, is_sandboxed: bool) -> Unconnected {
    if let Some(error) = told::without_user(log) {
        return Unconnected { cause: Cause::NoClient, error };
    }
    let cause = cause(log);
    let said = told::telling(log);
    let error = match cause {
        Cause::HostKey => Error::new(
            Code::Transport,
            format!("host key mismatch: not the key pinned for this session: {said}"),
        )
        .hint("connect again with --force; if that fails too, someone may be intercepting the connection"),
        Cause::AuthRejected => {
            Error::new(Code::Transport, format!("the gateway does not accept this session's key: {said}"))
        }
        _ => Error::new(Code::Transport, format!("cannot connect to the workspace: {said}")),
    };
    if cause == Cause::NoSocket {
        let hint = "set XDG_RUNTIME_DIR or XDG_CACHE_HOME to a folder of yours that takes sockets";
        return Unconnected { cause, error: error.hint(hint) };
    }
    let error = if cause == Cause::Forbidden || (is_sandboxed && cause.is_out_of_reach()) {
        error.hint(SANDBOX_HINT)
    } else {
        error
    };
    Unconnected { cause, error }
}

/// Only ssh's own lines decide which hint we give.
fn cause(log: &str) -> Cause {
    let told = Told::by(log);
    if told.is_host_key_changed()
        || told.is_host_key_unknown()
        || told.nothing_common() == Some("host key type")
    {
        Cause::HostKey
    } else if told.is_unclear() {
        Cause::Other
    } else if told.denied().is_some() || told.is_over_many_keys() {
        Cause::AuthRejected
    } else if told.is_without_socket() {
        Cause::NoSocket
    } else if told.is_forbidden() {
        Cause::Forbidden
    } else if told.is_unconnected(&["Connection refused"]) {
        Cause::Refused
    } else if told.is_unconnected(&["timed out", "No route to host", "Network is unreachable"])
        || told.has_timed_out()
        || told.says(&["ssh: Could not resolve hostname "])
    {
        Cause::Unreachable
    } else if told.hears(&["Connection closed by ", "Connection reset by ", "kex_exchange_identification: "])
        || told.hears(&["client_loop: send disconnect: "])
        || told.is_unconnected(&["Connection reset by peer"])
    {
        Cause::Dropped
    } else if told.hears(&["Connection to "]) {
        Cause::Unreachable
    } else {
        Cause::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes() {
        for (words, expected) in [
            ("ssh: connect to host 127.0.0.1 port 1: Connection refused", Cause::Refused),
            ("ssh: connect to host a port 1: Operation timed out", Cause::Unreachable),
            ("ssh: Could not resolve hostname a: Name or service not known", Cause::Unreachable),
            ("kex_exchange_identification: Connection closed by remote host", Cause::Dropped),
            ("kex_exchange_identification: read: Connection reset by peer", Cause::Dropped),
            ("Connection closed by UNKNOWN port 65535", Cause::Dropped),
            ("u@h: Permission denied (publickey).", Cause::AuthRejected),
            (
                "@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.",
                Cause::HostKey,
            ),
            ("No ED25519 host key is known for x.\nHost key verification failed.", Cause::HostKey),
            ("ssh: connect to host a port 1: Operation not permitted", Cause::Forbidden),
            ("socket(): Operation not permitted", Cause::Forbidden),
            ("Received disconnect from 1.2.3.4 port 22:2: Operation not permitted", Cause::Other),
            ("Received disconnect from 1.2.3.4 port 22:2: Host key verification failed.", Cause::Other),
            ("Bad remote protocol version identification: 'socket(): Operation not permitted'", Cause::Other),
            ("Received disconnect from a port 1:2: Too many authentication failures", Cause::AuthRejected),
            ("Received disconnect from a port 1:2: x\nsocket(): Operation not permitted", Cause::Other),
            ("Received disconnect from a port 1:2: x\nHost key verification failed.", Cause::Other),
            ("Received disconnect from a port 1:2: x\nConnection refused", Cause::Other),
            ("u@h: Permission denied (x\nHost key verification failed.).", Cause::AuthRejected),
            ("", Cause::Other),
            ("unix_listener: cannot bind to path /h/master.x: Operation not permitted", Cause::NoSocket),
            ("muxserver_listen: link mux listener /h/m.x => /h/m: Operation not permitted", Cause::NoSocket),
            ("No user exists for uid 54321", Cause::NoClient),
        ] {
            assert_eq!(of(words, false).cause, expected, "{words}");
        }
    }

    #[test]
    fn the_servers_words_cannot_steer_a_terminal() {
        let error = of("\u{1b}[2J\u{202e}evil: Connection refused", false).error;
        assert!(!error.message().chars().any(crate::output::sanitize::is_steering));
        assert!(error.message().ends_with("ssh says: \"\u{fffd}[2J\u{fffd}evil: Connection refused\""));
    }

    #[test]
    fn a_sandbox_is_named() {
        let hint = |words, sandboxed| of(words, sandboxed).error.next_step().map(str::to_owned);
        assert!(
            hint("socket(): Operation not permitted", false)
                .is_some_and(|hint| hint.contains("network_access"))
        );
        assert_eq!(hint("Connection refused", false), None);
    }
}
