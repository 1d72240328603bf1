//! Works out from its log why ssh ended: which lines to believe, and about what.
//!
//! A log has three parts. Until ssh hears from the server, every line is ssh's own. Then, until ssh has verified the server's
//! host key (`SSH2_MSG_NEWKEYS sent`), anybody on the way can inject lines, through a certificate's ID or `SSH_MSG_DEBUG`. In
//! this part, we trust lines only up to the first one that might carry injected line breaks; after that the log is unclear
//! ([`Told::is_unclear`]). Once the server is verified, its words are its own: we believe it about logins, which it may refuse,
//! and about nothing else.

use crate::error::{Code, Error};
use crate::output::foreign;

/// A log, split by who can have written its lines.
#[derive(Debug, Default)]
pub struct Told<'a> {
    /// What ssh writes before it hears from the server; all of it, if the log has errors only.
    pub before: Vec<&'a str>,
    /// What ssh writes itself until the server is verified.
    unverified: Vec<&'a str>,
    /// What comes after that, from ssh or the server.
    verified: Vec<&'a str>,
    /// Whether the server could write lines before it was verified.
    is_unclear: bool,
}

/// Starts of the lines that cannot carry a line break from the server, once ssh hears from it.
const KNOWN: [&str; 37] = [
    "debug1: Remote protocol version ",
    "debug1: compat_banner: ",
    "debug1: match: ",
    "debug1: no match: ",
    "debug1: kex_exchange_identification: banner line ",
    "debug1: Authenticating to ",
    "debug1: load_hostkeys: ",
    "debug1: SSH2_MSG_KEX",
    "debug1: kex: ",
    "debug1: expecting SSH2_MSG_",
    "debug1: got SSH2_MSG_KEX",
    "debug1: sending SSH2_MSG_",
    "debug1: Server host key: ",
    "debug1: using hostkeyalias: ",
    "debug1: checking without port identifier",
    "debug1: found matching key w/out port",
    "debug1: Host '",
    "debug1: Found key in ",
    "debug1: hostkeys_find_by_key_",
    "debug1: ssh_packet_",
    "debug1: set_newkeys: ",
    "debug1: rekey ",
    "debug1: Enabling compatibility mode",
    "@",
    CHANGED[0],
    CHANGED[1],
    UNKNOWN[0],
    UNKNOWN[1],
    "Connection closed by ",
    "Connection reset by ",
    "Connection to ",
    "Connection timed out during banner exchange",
    "banner exchange: ",
    "kex_exchange_identification: ",
    "ssh_exchange_identification: ",
    "ssh_dispatch_run_fatal: ",
    "Bad remote protocol version identification: ",
];

/// Starts of the line after which ssh hears from the server and, for a version that does not write it, of lines about the server.
const HEARD: [&str; 3] = ["debug1: Local version string ", "debug1: Remote", "debug1: Server host "];

/// Starts of the lines that report a different or a revoked key.
const CHANGED: [&str; 2] =
    ["@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", "@       WARNING: REVOKED HOST KEY DETECTED!"];

/// Starts of the lines that report a key that ssh does not accept.
const UNKNOWN: [&str; 2] = ["Host key verification failed.", "No "];

/// How the line begins that ssh writes once a host has let it in. In a log without what ssh hears before, all after it may be
/// the host's words.
const LET_IN: &str = "Authenticated to ";

/// How the line begins with which ssh refuses a user id without an entry in the password database.
const WITHOUT_USER: &str = "No user exists for uid ";

const CERTIFICATE: &str = "debug1: Server host certificate: ";

impl<'a> Told<'a> {
    /// Splits a log into its parts.
    pub fn by(log: &'a str) -> Told<'a> {
        let (mut told, mut has_heard, mut is_verified) = (Told::default(), false, false);
        for line in log.lines() {
            let line = line.trim_end_matches('\r');
            if is_verified {
                told.verified.push(line);
            } else if !has_heard && is_from_source(line) {
                told.is_unclear = true;
                break;
            } else if !has_heard && !HEARD.iter().any(|start| line.starts_with(start)) {
                told.before.push(line);
            } else if !has_heard && line.starts_with(HEARD[0]) {
                has_heard = true;
            } else if line == "debug1: SSH2_MSG_NEWKEYS sent" {
                is_verified = true;
            } else {
                has_heard = true;
                told.unverified.push(line);
                if !is_last(line) && !KNOWN.iter().any(|known| line.starts_with(known)) {
                    told.is_unclear = true;
                    break;
                }
            }
            if is_last(line) || (!has_heard && line.starts_with(LET_IN)) {
                break;
            }
        }
        told
    }

    /// Whether the server could write lines before it was verified, so that the log does not show the outcome.
    pub fn is_unclear(&self) -> bool {
        self.is_unclear && !self.is_host_key_changed() && !self.is_host_key_unknown()
    }

    /// Whether ssh heard from the server, and never verified it.
    pub fn is_nobodys(&self) -> bool {
        !self.unverified.is_empty() && self.verified.is_empty()
    }

    /// What ssh writes of itself until the server is verified.
    fn own(&self) -> impl Iterator<Item = &'a str> {
        self.before.iter().chain(&self.unverified).copied()
    }

    /// Whether one of ssh's own lines, before the server is verified, begins with one of `starts`.
    pub fn says(&self, starts: &[&str]) -> bool {
        self.own().any(|line| starts.iter().any(|start| line.starts_with(start)))
    }

    /// Whether a line begins with one of `starts`, which may be the verified server's.
    pub fn hears(&self, starts: &[&str]) -> bool {
        self.says(starts)
            || self.verified.iter().any(|line| starts.iter().any(|start| line.starts_with(start)))
    }

    /// What ssh says to people before it hears from the server.
    pub fn errors_before(&self) -> impl Iterator<Item = &'a str> {
        self.before.iter().copied().filter(|line| is_for_people(line))
    }

    /// Whether ssh knows a different key for the host, or knows that this one is revoked.
    pub fn is_host_key_changed(&self) -> bool {
        let revoked = |line: &str| {
            (line.starts_with("Host key ") && line.contains(" revoked by file "))
                || (line.starts_with("The ") && line.ends_with(" is marked as revoked."))
        };
        self.says(&CHANGED) || self.own().any(revoked)
    }

    /// Whether ssh does not accept the host's key.
    pub fn is_host_key_unknown(&self) -> bool {
        let is_strict = |line: &str| {
            line.starts_with(UNKNOWN[1])
                && line.contains(" host key is known for ")
                && line.ends_with(" and you have requested strict checking.")
        };
        self.own().any(|line| line == UNKNOWN[0] || is_strict(line))
    }

    /// The fingerprint of the key that the host shows, as ssh writes it before any word of the host's. A host on the way
    /// (`ProxyJump`) has an ssh of its own, which does not log this.
    pub fn fingerprint(&self) -> Option<&'a str> {
        let shown = |line: &'a str| {
            line.strip_prefix("debug1: Server host key: ").or_else(|| line.strip_prefix(CERTIFICATE))
        };
        let words = self.unverified.iter().copied().find_map(shown)?;
        Some(words.split(' ').nth(1)?.trim_end_matches(','))
    }

    /// The login methods that the server still accepts, if it has refused us.
    pub fn denied(&self) -> Option<&'a str> {
        let heard = self.before.iter().chain(&self.verified);
        heard.copied().find_map(denied).map(|methods| methods.split(')').next().unwrap_or_default())
    }

    /// Whether the server hung up because ssh offered too many keys.
    pub fn is_over_many_keys(&self) -> bool {
        let heard = self.before.iter().chain(&self.verified);
        heard.copied().any(|line| {
            line.starts_with("Received disconnect from ")
                && line.ends_with(": Too many authentication failures")
        })
    }

    /// What kind of algorithm the two sides do not share.
    pub fn nothing_common(&self) -> Option<&'a str> {
        let rest = self.own().find_map(|line| line.strip_prefix("Unable to negotiate with "))?;
        let what = rest.split_once(": no matching ")?.1;
        Some(what.split_once(" found").map_or(what, |(what, _)| what))
    }

    /// The verified server's lines, or ssh's, after `start`.
    pub fn after(&self, start: &str) -> Option<&'a str> {
        let heard = self.before.iter().chain(&self.verified);
        heard.copied().filter_map(|line| line.strip_prefix(start)).next_back()
    }

    /// Whether ssh-agent was asked for a signature and gave none.
    pub fn has_agent_refused(&self) -> bool {
        self.before.iter().chain(&self.verified).any(|line| {
            line.starts_with("sign_and_send_pubkey: ") && line.ends_with("agent refused operation")
        })
    }

    /// Whether ssh refuses to run, because this process's user has no entry in the password database.
    pub fn is_without_user(&self) -> bool {
        self.says(&[WITHOUT_USER])
    }

    /// Whether ssh cannot make a socket for others to share its connection.
    pub fn is_without_socket(&self) -> bool {
        self.hears(&["unix_listener: ", "muxserver_listen: "])
    }

    /// Whether this machine stops ssh from connecting (a sandbox).
    pub fn is_forbidden(&self) -> bool {
        self.errors_before().any(|line| {
            let is_own = ["ssh: connect to host ", "socket"].iter().any(|start| line.starts_with(start));
            is_own && line.trim_end().ends_with("Operation not permitted")
        })
    }

    /// Whether `ssh: connect to host …` ends with one of `reasons`.
    pub fn is_unconnected(&self, reasons: &[&str]) -> bool {
        self.errors_before().any(|line| {
            line.starts_with("ssh: connect to host ")
                && reasons.iter().any(|reason| line.trim_end().ends_with(reason))
        })
    }

    /// Whether ssh gave up waiting for the server.
    pub fn has_timed_out(&self) -> bool {
        self.own().any(|line| {
            line.starts_with("Connection timed out during banner exchange")
                || (line.starts_with("Connection to ") && line.trim_end().ends_with(" timed out"))
        })
    }
}

fn denied(line: &str) -> Option<&str> {
    let (user, methods) = line.split_once("Permission denied (")?;
    (user.is_empty() || (user.contains('@') && user.ends_with(": ") && is_for_people(user)))
        .then_some(methods)
}

/// Whether this is ssh's last line, and quotes the server: the quote may continue on the next lines.
pub fn is_last(line: &str) -> bool {
    const LAST: [&str; 3] = ["Received disconnect from ", "Unable to negotiate with ", "GSSAPI Error"];
    LAST.iter().any(|last| line.starts_with(last)) || denied(line).is_some()
}

/// The error for an ssh that refuses to run, where `said` tells that.
pub fn without_user(said: &str) -> Option<Error> {
    let id = said.lines().find_map(|line| line.strip_prefix(WITHOUT_USER))?.trim();
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| {
        Error::new(
            Code::Unavailable,
            format!("ssh runs only for users that this machine knows, and user id {id} has no name"),
        )
        .hint(format!(
            "run as a user of /etc/passwd, or add one there, as an image's entry point may: \
                 echo \"me:x:{id}:0::$HOME:/bin/sh\" >>/etc/passwd"
        ))
    })
}

/// The last line for people that says why ssh ended, safe to show, and with its author named.
pub fn telling(log: &str) -> String {
    const NOISE: [&str; 4] =
        ["Connection closed by UNKNOWN", "banner exchange: Connection to UNKNOWN", "@@@", LET_IN];
    let mut has_ended = false;
    let is_short = !log.lines().any(|line| line.starts_with(HEARD[0]));
    let is_end = |line: &str| is_last(line) || (is_short && line.starts_with(LET_IN));
    let heard = log.lines().take_while(|line| !std::mem::replace(&mut has_ended, is_end(line)));
    let is_telling = |line: &&str| is_for_people(line) && !NOISE.iter().any(|noise| line.contains(noise));
    let Some(last) = heard.filter(is_telling).last() else { return "ssh ended without a message".to_owned() };
    let told = Told::by(log);
    let is_own = told.verified.is_empty() && !told.is_unclear;
    foreign::said(if is_own { "ssh" } else { "ssh, or the host through it," }, last.trim())
}

/// Whether it is a line that the user's `LogVerbose` asks for (ssh_config(5)), at any level and with the place in ssh's sources before
/// it. Among them are such as hold a server's words.
fn is_from_source(line: &str) -> bool {
    let rest = ["debug1: ", "debug2: ", "debug3: "].iter().find_map(|level| line.strip_prefix(level));
    rest.and_then(|rest| rest.split(':').next()).is_some_and(|place| place.ends_with(".c"))
}

fn is_for_people(line: &str) -> bool {
    !line.trim().is_empty()
        && !["debug1:", "debug2:", "debug3:", "OpenSSH_"].iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
