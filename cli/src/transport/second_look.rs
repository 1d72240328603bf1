//! A second connection, made to learn why the first one failed when its log is unclear.
//!
//! ssh tells which key a host shows, and which of the user's keys it takes, at a level at which it also passes on what a server
//! says before it is verified: the ID of its certificate, above all. Where it did, ssh is asked again at a level at which it
//! passes on nothing of the kind, but tells when the host has let it in: what comes then is the host's.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::openssh::log::{Log, Through};
use crate::openssh::login::{self, Question, Refusal};
use crate::openssh::told::{Told, telling};
use crate::sys::interrupt::Interrupt;
use crate::sys::subprocess::{self, Outcome};

/// The first arguments of the ssh that opens it.
pub(super) const QUIET: [&str; 6] =
    ["-o", "LogLevel=VERBOSE", "-o", "ControlPath=none", "-o", "ControlMaster=no"];

/// Whether `log` does not tell why it ended.
pub(super) fn is_needed(log: &str) -> bool {
    Told::by(log).is_unclear()
}

/// What `ssh` says, which begins with [`QUIET`] and has no destination yet. Nothing if the login succeeds, takes too long, or is
/// interrupted.
pub(super) fn log(
    mut ssh: Command,
    destination: &str,
    folder: &Path,
    patience: Duration,
    interrupt: Option<&Interrupt>,
) -> Option<String> {
    let mut log = Log::create(folder, Through::Master).ok()?;
    ssh.args(["-T", "-E"]).arg(log.path()).arg("--").arg(destination).arg("exit 0");
    let is_cancelled = || interrupt.is_some_and(Interrupt::has_any);
    let Outcome::Finished(finished) = subprocess::run_unless(&mut ssh, patience, 0, &is_cancelled).ok()?
    else {
        return None;
    };
    log.read().ok()?;
    (finished.status.code() == Some(255)).then(|| log.reasons().to_owned())
}

/// Why the login failed, and ssh's words for it: the second look decides, with details from the first one.
pub(super) fn refusal(first: &str, second: Option<&str>) -> (Refusal, String) {
    let unclear = login::refusal(first);
    let (Refusal::Unclear(shown), Some(second)) = (&unclear, second) else {
        return (unclear, telling(first));
    };
    let refusal = match login::refusal(second) {
        Refusal::HostKeyUnknown(_) => Refusal::HostKeyUnknown(shown.clone()),
        Refusal::HostKeyChanged(_) => Refusal::HostKeyChanged(shown.clone()),
        // The host is verified, and refuses us. Only the first log shows whether it would accept a key that nobody unlocked.
        // Even if that line was forged, the refusal is real.
        Refusal::KeysRefused if has_taken_a_key(first) => Refusal::Question(Question::Key(String::new())),
        clear => clear,
    };
    (refusal, telling(second))
}

fn has_taken_a_key(log: &str) -> bool {
    log.lines().any(|line| line.starts_with("debug1: Server accepts key: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_look_decides() {
        let first = "debug1: Local version string SSH-2.0-x\r\n\
            debug1: Server host certificate: t SHA256:VrPCP73GORYqBu6G4ocsGpn+eCEHN2O5JKzCMboKOPc, serial 0 ID \"\n\
            debug1: SSH2_MSG_NEWKEYS sent\ndebug1: Server accepts key: x\nme@h: Permission denied (password).";
        let changed =
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.";
        let has_key = |key: &Option<login::Fingerprint>| {
            key.as_ref().is_some_and(|key| key.as_str().starts_with("SHA256:VrPC"))
        };
        assert!(is_needed(first));
        assert!(matches!(refusal(first, None).0, Refusal::Unclear(key) if has_key(&key)));
        assert!(matches!(refusal(first, Some(changed)).0, Refusal::HostKeyChanged(key) if has_key(&key)));
        let unknown = "Host key verification failed.\r\n";
        assert!(matches!(refusal(first, Some(unknown)).0, Refusal::HostKeyUnknown(key) if has_key(&key)));
        let denied =
            |methods: &str| refusal(first, Some(&format!("me@h: Permission denied ({methods}).\r\n"))).0;
        assert_eq!(denied("password"), Refusal::Question(Question::Answer));
        assert_eq!(denied("publickey"), Refusal::Question(Question::Key(String::new())));
        assert_eq!(refusal(first, Some("Connection closed by h port 1\n")).0, Refusal::HungUp);
        // A host that has let ssh in refuses the session, in words that look like ssh's.
        for words in [unknown, changed, "me@h: Permission denied (password).\r\n"] {
            let second = format!(
                "Authenticated to h ([1.2.3.4]:22) using \"none\".\nchannel 0: open failed: x: x\r\n{words}"
            );
            let (refusal, said) = refusal(first, Some(&second));
            let is_believed = matches!(
                refusal,
                Refusal::HostKeyUnknown(_)
                    | Refusal::HostKeyChanged(_)
                    | Refusal::Question(_)
                    | Refusal::KeysRefused
            );
            assert!(!is_believed, "{refusal:?} {said}");
        }
    }
}
